//! Cells' answers as columns: small values in place of one record per sample and cell.

use std::collections::HashMap;
use std::sync::Arc;

use fp_eval::study::SampleRecord;
use rayon::prelude::*;

/// One score per sample; `None` where a cell doesn't apply or failed.
pub(crate) type Column = Arc<[Option<f64>]>;

/// Text number of a missing answer.
const NO_TEXT: u32 = u32::MAX;

/// Answers of all cells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    /// `[cells]`.
    pub(crate) scores: Vec<Column>,
    /// `[cells][samples]`, indices in [`Columns::answers`].
    texts: Vec<Vec<u32>>,
    /// The distinct answers.
    pub(crate) answers: Vec<String>,
    /// `[cells]`.
    pub(crate) counts: Vec<CellCounts>,
}

/// Counts of one cell over all samples with images.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CellCounts {
    /// Number of answers whose number of tokens in the last layer is known.
    pub(crate) num_kept_known: usize,
    /// Total of those numbers of tokens.
    pub(crate) num_kept: usize,
    pub(crate) num_skipped: usize,
    /// Number of samples that other cells answered and this one failed on.
    pub(crate) num_failed: usize,
    pub(crate) num_near_ties: usize,
}

impl Columns {
    /// A cell's answer to a sample, as an index in [`Columns::answers`].
    pub(crate) fn answer(&self, cell: usize, sample: usize) -> Option<usize> {
        let number = self.texts[cell][sample];
        (number != NO_TEXT).then_some(number as usize)
    }

    /// The text of a cell's answer to a sample.
    pub(crate) fn text(&self, cell: usize, sample: usize) -> Option<&str> {
        let answer = self.answer(cell, sample)?;
        self.answers.get(answer).map(String::as_str)
    }
}

/// Columns under construction.
#[derive(Debug)]
pub(crate) struct ColumnsOfRecords {
    cells: Vec<CellColumns>,
    answers: Vec<String>,
    known: HashMap<String, u32>,
}

#[derive(Debug)]
struct CellColumns {
    scores: Vec<Option<f64>>,
    texts: Vec<u32>,
    counts: CellCounts,
}

impl ColumnsOfRecords {
    pub(crate) fn new(num_cells: usize, num_samples: usize) -> ColumnsOfRecords {
        let cell = || CellColumns {
            scores: vec![None; num_samples],
            texts: vec![NO_TEXT; num_samples],
            counts: CellCounts::default(),
        };
        ColumnsOfRecords {
            cells: (0..num_cells).map(|_| cell()).collect(),
            answers: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Adds records, each with its index.
    pub(crate) fn add(&mut self, records: &[(usize, SampleRecord)]) {
        let texts: Vec<Vec<u32>> = records
            .iter()
            .map(|(_, record)| {
                record
                    .runs
                    .iter()
                    .map(|run| self.number(&run.text))
                    .collect()
            })
            .collect();
        self.cells
            .par_iter_mut()
            .enumerate()
            .for_each(|(cell, columns)| {
                for ((place, record), texts) in records.iter().zip(&texts) {
                    columns.add(*place, record, cell, texts);
                }
            });
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.known.get(text) {
            return number;
        }
        let number = self.answers.len() as u32;
        self.answers.push(text.to_owned());
        self.known.insert(text.to_owned(), number);
        number
    }

    /// The columns of the samples in `is_kept`.
    pub(crate) fn finish(self, is_kept: &[bool]) -> Columns {
        let all = is_kept.iter().all(|kept| *kept);
        let mut columns = Columns {
            answers: self.answers,
            ..Columns::default()
        };
        for mut cell in self.cells {
            if !all {
                let mut kept = is_kept.iter();
                cell.scores.retain(|_| kept.next() == Some(&true));
                let mut kept = is_kept.iter();
                cell.texts.retain(|_| kept.next() == Some(&true));
            }
            columns.scores.push(cell.scores.into());
            columns.texts.push(cell.texts);
            columns.counts.push(cell.counts);
        }
        columns
    }
}

impl CellColumns {
    fn add(&mut self, place: usize, record: &SampleRecord, cell: usize, texts: &[u32]) {
        let Some(of_cell) = record.cells.get(cell).filter(|_| !record.text_only) else {
            return;
        };
        let counts = &mut self.counts;
        counts.num_skipped += usize::from(of_cell.skipped.is_some());
        counts.num_failed += usize::from(of_cell.error.is_some());
        counts.num_near_ties += usize::from(record.is_near_tie(cell));
        let Some(run) = record.run_of(cell) else {
            return;
        };
        self.scores[place] = Some(run.score);
        let text = of_cell.run.and_then(|run| texts.get(run));
        self.texts[place] = text.copied().unwrap_or(NO_TEXT);
        if let Some(layout) = record.layout {
            counts.num_kept_known += 1;
            counts.num_kept += run.seen.num_last(layout.num_image);
        }
    }
}
