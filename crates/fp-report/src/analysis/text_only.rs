//! Text-only questions. No comparison includes them, since they have no image tokens to prune.

use fp_eval::format::{counted, percent};
use serde::Serialize;

use super::samples::is_answered;
use super::scores::Scores;
use crate::run::Run;

/// Text-only questions of a run; the unpruned answer is the same in every cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextOnly {
    /// Number of questions asked.
    pub num_questions: usize,
    /// Number of these that failed.
    pub num_failed: usize,
    /// Mean score over the answered ones; `None` if none was answered.
    pub accuracy: Option<f64>,
    /// Number of the datasets' text-only questions that were not asked.
    pub num_left_out: usize,
    /// Accuracy of every cell over all questions, with and without an image. Not for comparing
    /// cells: the answers to text-only questions are the same in each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accuracy_of_all_questions: Vec<OverallAccuracy>,
}

/// A cell's mean score over questions with and without an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverallAccuracy {
    /// The cell's id.
    pub cell: String,
    /// Number of questions that it answered, text-only ones included.
    pub n: usize,
    /// Their mean score.
    pub accuracy: Option<f64>,
}

impl TextOnly {
    /// The text-only questions of a run; `None` where its datasets have none.
    pub(crate) fn of(run: &Run, scores: &Scores) -> Option<TextOnly> {
        let left_out = run.spec.datasets.iter();
        let num_left_out = left_out.map(|dataset| dataset.num_text_only_left_out).sum();
        if run.text_only.is_empty() && num_left_out == 0 {
            return None;
        }
        let answered = run.text_only.iter().filter(|record| is_answered(record));
        // All cells share one run.
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

    /// Remarks for readers, one sentence each.
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
                "{} {} skipped; `--text-only` (`text_only` in a configuration) asks {} too and reports them separately.",
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
