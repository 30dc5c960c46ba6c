//! Questions that are asked without an image: no part of any comparison, since there is
//! nothing in them to prune.

use fp_eval::format::{counted, percent};
use serde::Serialize;

use super::samples::is_answered;
use super::scores::Scores;
use crate::run::Run;

/// Text-only questions of a run, answered unpruned, the same in every cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextOnly {
    /// Questions asked.
    pub num_questions: usize,
    /// Those of them that failed.
    pub num_failed: usize,
    /// Mean score over those answered; none where none was.
    pub accuracy: Option<f64>,
    /// Questions that the datasets have and that were not asked.
    pub num_left_out: usize,
    /// Every cell over all questions, those on images and the text-only ones. Compare no cells
    /// by it: the text-only part is the same answer in each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accuracy_of_all_questions: Vec<OverallAccuracy>,
}

/// A cell's mean score over questions on images and text-only ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverallAccuracy {
    /// The cell's id.
    pub cell: String,
    /// Questions that it answered, text-only ones included.
    pub n: usize,
    /// Their mean score.
    pub accuracy: Option<f64>,
}

impl TextOnly {
    /// Of a run; none where its datasets have no such question.
    pub(crate) fn of(run: &Run, scores: &Scores) -> Option<TextOnly> {
        let left_out = run.spec.datasets.iter();
        let num_left_out = left_out.map(|dataset| dataset.num_text_only_left_out).sum();
        if run.text_only.is_empty() && num_left_out == 0 {
            return None;
        }
        let answered = run.text_only.iter().filter(|record| is_answered(record));
        // One run answers all cells.
        let own: Vec<f64> = answered.filter_map(|record| record.first_score).collect();
        let overall = |(cell, column): (_, &super::scores::Column)| {
            let on_images = column.iter().flatten().copied();
            let all: Vec<f64> = on_images.chain(own.iter().copied()).collect();
            let cell: &fp_eval::study::Cell = cell;
            OverallAccuracy {
                cell: cell.id.clone(),
                n: all.len(),
                accuracy: mean(&all),
            }
        };
        let cells = run.spec.grid.cells.iter().zip(&scores.cells);
        Some(TextOnly {
            num_questions: run.text_only.len(),
            num_failed: run.text_only.len() - own.len(),
            accuracy: mean(&own),
            num_left_out,
            accuracy_of_all_questions: if run.text_only.is_empty() {
                Vec::new()
            } else {
                cells.map(overall).collect()
            },
        })
    }

    /// What a reader has to know of them, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.num_questions > 0 {
            let failed = match self.num_failed {
                0 => String::new(),
                failed => format!(", {failed} of them failed"),
            };
            let accuracy = self.accuracy.map_or(String::new(), |accuracy| {
                format!("; accuracy on them {} %", percent(accuracy))
            });
            sentences.push(format!(
                "{}, answered unpruned, the same in every cell; not part of comparisons{failed}{accuracy}.",
                counted(self.num_questions, "text-only question"),
            ));
        }
        if let Some(unpruned) = self.unpruned() {
            sentences.push(format!(
                "Over all {}, the text-only ones included, the accuracy without pruning is {} %.",
                counted(unpruned.n, "question"),
                percent(unpruned.accuracy.unwrap_or_default())
            ));
        }
        if self.num_left_out > 0 {
            sentences.push(format!(
                "{} {} left out; `--text-only` (`text_only` in a configuration) asks {} too, apart.",
                counted(self.num_left_out, "text-only question"),
                if self.num_left_out == 1 { "is" } else { "are" },
                if self.num_left_out == 1 { "it" } else { "them" },
            ));
        }
        sentences
    }

    fn unpruned(&self) -> Option<&OverallAccuracy> {
        let mut all = self.accuracy_of_all_questions.iter();
        all.find(|overall| overall.cell == "vanilla" && overall.accuracy.is_some())
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
