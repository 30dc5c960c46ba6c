//! The noise floor: differences between two runs of the same study.

use fp_eval::study::{Cell, SampleRecord};
use serde::Serialize;

use super::kept::kept_tokens;
use super::near_ties::NearTie;
use crate::error::ReportError;
use crate::lookup::for_each_pair;
use crate::run::Run;

/// Differences between a run and its repetition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoiseFloor {
    /// Number of samples that both have.
    pub num_samples: usize,
    /// Number of answers that both have: samples × cells.
    pub num_answers: usize,
    /// Number of answers that only one of them has.
    pub only_one: usize,
    /// Number of answers whose tokens differ.
    pub tokens_differ: usize,
    /// Number of answers whose text differs.
    pub texts_differ: usize,
    /// Number of answers whose score differs.
    pub scores_differ: usize,
    /// Number of kept sets that differ.
    pub kept_differ: usize,
    /// Number of differing answers that are not marked as near-ties in either run: only rounding
    /// may cause differences, so each of these is a fault.
    pub unexplained: usize,
    /// All answers that differ in any way.
    pub differences: Vec<AnswerDifference>,
    /// Largest difference of a cell's mean score between the runs.
    pub largest_cell_difference: f64,
}

/// An answer that differs between two runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AnswerDifference {
    /// Index of the sample.
    pub index: usize,
    /// Its id in its dataset.
    pub id: String,
    /// The cell's id.
    pub cell: String,
    /// Whether only one of the runs has it.
    pub only_one: bool,
    /// Whether its tokens differ.
    pub tokens: bool,
    /// Whether its text differs.
    pub text: bool,
    /// Whether its score differs.
    pub score: bool,
    /// Whether the kept tokens differ.
    pub kept: bool,
    /// The near-tie that explains it, from the first run or else from the second; `None` for a
    /// fault.
    pub near_tie: Option<NearTie>,
}

impl NoiseFloor {
    /// Compares a sample that both runs have; also adds to the sums of score differences,
    /// `[cells]`.
    fn compare(
        &mut self,
        cells: &[Cell],
        sums: &mut [(f64, usize)],
        record: &SampleRecord,
        other: &SampleRecord,
    ) {
        self.num_samples += 1;
        for (cell, sum) in sums.iter_mut().enumerate() {
            let answers = (record.run_of(cell), other.run_of(cell));
            let mut difference = match answers {
                (None, None) => continue,
                (Some(first), Some(second)) => {
                    self.num_answers += 1;
                    sum.0 += first.score - second.score;
                    sum.1 += 1;
                    AnswerDifference {
                        tokens: first.token_ids != second.token_ids,
                        text: first.text != second.text,
                        score: first.score != second.score,
                        kept: kept_tokens(record, cell) != kept_tokens(other, cell),
                        ..AnswerDifference::default()
                    }
                }
                _ => AnswerDifference {
                    only_one: true,
                    ..AnswerDifference::default()
                },
            };
            if difference == AnswerDifference::default() {
                continue;
            }
            let id = &cells[cell].id;
            difference.index = record.index;
            difference.id.clone_from(&record.id);
            difference.cell.clone_from(id);
            // A missing answer is a failure, which rounding can't explain.
            difference.near_tie = [record, other]
                .into_iter()
                .filter(|_| !difference.only_one)
                .find_map(|record| NearTie::of(record, cell, id));
            self.add(difference);
        }
    }

    fn add(&mut self, difference: AnswerDifference) {
        self.only_one += usize::from(difference.only_one);
        self.tokens_differ += usize::from(difference.tokens);
        self.texts_differ += usize::from(difference.text);
        self.scores_differ += usize::from(difference.score);
        self.kept_differ += usize::from(difference.kept);
        self.unexplained += usize::from(difference.near_tie.is_none());
        self.differences.push(difference);
    }
}

/// Compares two runs with the same cells, sample by sample.
pub(crate) fn noise_floor(run: &Run, repetition: &Run) -> Result<NoiseFloor, ReportError> {
    let incomparable = |reason: &str| ReportError::Incomparable {
        first: run.folder.clone(),
        second: repetition.folder.clone(),
        reason: reason.to_owned(),
    };
    let cells = &run.spec.grid.cells;
    if *cells != repetition.spec.grid.cells {
        return Err(incomparable("a noise floor needs the same cells in both"));
    }
    let mut floor = NoiseFloor {
        num_samples: 0,
        num_answers: 0,
        only_one: 0,
        tokens_differ: 0,
        texts_differ: 0,
        scores_differ: 0,
        kept_differ: 0,
        unexplained: 0,
        differences: Vec::new(),
        largest_cell_difference: 0.0,
    };
    let mut sums = vec![(0.0, 0_usize); cells.len()];
    let shared = run.records.iter().map(|sample| sample.index);
    let shared: Vec<usize> = shared
        .filter(|index| {
            let of_other = repetition
                .records
                .binary_search_by_key(index, |it| it.index);
            of_other.is_ok()
        })
        .collect();
    for_each_pair(run, &shared, repetition, &shared, |record, other| {
        if other.prompt_hash == record.prompt_hash {
            floor.compare(cells, &mut sums, record, other);
        }
    })?;
    if floor.num_samples == 0 {
        return Err(incomparable("they share no sample"));
    }
    floor.largest_cell_difference = sums
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(sum, n)| (sum / *n as f64).abs())
        .fold(0.0, f64::max);
    Ok(floor)
}
