//! One sample of a run, without the data of its cells.

use std::collections::BTreeMap;

use fp_eval::study::{FailureKind, SampleRecord};
use fp_image::TokenGrid;
use fp_scoring::TokenLayout;

/// A sample as reports keep it: the data of its record other than cells and runs, which are columns
/// of the run.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportSample {
    /// Index over all datasets of the run.
    pub index: usize,
    /// Index of its dataset in the run.
    pub dataset: usize,
    /// Id in its dataset.
    pub id: String,
    /// Id that samples on one image share.
    pub image_id: String,
    /// The image's file, relative to the dataset's folder; empty for a text-only question.
    pub image: String,
    /// Whether the question is text-only.
    pub text_only: bool,
    /// Width and height in pixels; `None` where the image couldn't be read.
    pub image_size: Option<[usize; 2]>,
    /// Kind of question.
    pub family: String,
    /// Further categories.
    pub keys: BTreeMap<String, String>,
    /// The whole prompt.
    pub question: String,
    /// Accepted answers.
    pub answers: Vec<String>,
    /// Boxes of the evidence, `[x0, y0, x1, y1]` in pixels.
    pub boxes: Vec<[f64; 4]>,
    /// Numbers of tokens before, of and after the image; `None` for a sample that failed or is
    /// text-only.
    pub layout: Option<TokenLayout>,
    /// The grids of the image's tokens, where they aren't one square.
    pub grids: Vec<TokenGrid>,
    /// Why the whole sample failed.
    pub error: Option<String>,
    /// The kind of that failure.
    pub failure: Option<FailureKind>,
    /// Whether at least one cell answered it.
    pub is_answered: bool,
    /// Reasons why cells failed on it, each with the number of cells.
    pub cell_errors: Vec<(String, usize)>,
    /// Score of its first run; for a text-only question, the run of all cells.
    pub first_score: Option<f64>,
}

impl ReportSample {
    pub(crate) fn new(record: SampleRecord) -> ReportSample {
        let mut cell_errors: Vec<(String, usize)> = Vec::new();
        for error in record.cells.iter().filter_map(|cell| cell.error.as_ref()) {
            match cell_errors.iter_mut().find(|(known, _)| known == error) {
                Some((_, count)) => *count += 1,
                None => cell_errors.push((error.clone(), 1)),
            }
        }
        ReportSample {
            is_answered: record.error.is_none()
                && record.cells.iter().any(|cell| cell.run.is_some()),
            cell_errors,
            first_score: record.runs.first().map(|run| run.score),
            index: record.index,
            dataset: record.dataset,
            id: record.id,
            image_id: record.image_id,
            image: record.image,
            text_only: record.text_only,
            image_size: record.image_size,
            family: record.family,
            keys: record.keys,
            question: record.question,
            answers: record.answers,
            boxes: record.boxes,
            layout: record.layout,
            grids: record.grids,
            error: record.error,
            failure: record.failure,
        }
    }

    /// Why the first failing cell failed on it.
    pub(crate) fn cell_error(&self) -> Option<&String> {
        self.cell_errors.first().map(|(error, _)| error)
    }

    /// Number of cells that failed on it.
    pub(crate) fn num_failed_answers(&self) -> usize {
        self.cell_errors.iter().map(|(_, count)| count).sum()
    }
}
