//! Answers that explain a cell's score without the image: one label for everything, words that the
//! rule can't parse, a leaked prompt.
//!
//! The checks are those of answer files; see [`fp_data::rescore::Health`].

use fp_data::Sample;
use fp_data::rescore::{Finding, Health, QuestionFacts};
use rayon::prelude::*;
use serde::Serialize;

use crate::run::Run;
use crate::sample::ReportSample;

/// A finding that explains the score of a cell on a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoudAnswers {
    /// The cell's id.
    pub cell: String,
    /// The dataset's name and split.
    pub dataset: String,
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
}

/// All loud findings, cell by cell.
pub(crate) fn loud_answers(run: &Run) -> Vec<LoudAnswers> {
    let datasets: Vec<_> = run
        .spec
        .datasets
        .iter()
        .zip(run.dataset_names())
        .enumerate()
        .map(|(number, (dataset, name))| {
            let records: Vec<usize> = (0..run.records.len())
                .filter(|&at| run.records[at].dataset == number)
                .collect();
            let samples: Vec<Sample> = records.iter().map(|&at| sample(&run.records[at])).collect();
            (dataset.answer_rule, name, records, samples)
        })
        .collect();
    // The reference values that every cell's answers are compared with are computed once.
    let datasets: Vec<_> = datasets
        .iter()
        .map(|(rule, name, records, samples)| {
            let questions: Vec<QuestionFacts<'_>> =
                samples.par_iter().map(QuestionFacts::new).collect();
            (*rule, name, records, questions)
        })
        .collect();
    let cells = run.spec.grid.cells.par_iter().enumerate();
    cells
        .flat_map_iter(|(index, cell)| {
            datasets
                .iter()
                .flat_map(move |(rule, name, records, questions)| {
                    let said = records.iter().map(|&at| {
                        let score = run.columns.scores[index][at]?;
                        Some((run.columns.text(index, at)?, score))
                    });
                    let health = Health::of_samples(*rule, questions, said);
                    let loud: Vec<LoudAnswers> = health
                        .loud()
                        .map(|finding| LoudAnswers {
                            cell: cell.id.clone(),
                            dataset: (*name).clone(),
                            finding: finding.clone(),
                        })
                        .collect();
                    loud
                })
        })
        .collect()
}

/// The question of a record, with the fields that checks need.
fn sample(record: &ReportSample) -> Sample {
    Sample {
        id: record.id.clone(),
        image_id: record.image_id.clone(),
        question: record.question.clone(),
        answers: record.answers.clone(),
        family: record.family.clone(),
        ..Sample::default()
    }
}
