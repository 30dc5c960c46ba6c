//! The noise floor: what differs between two runs of the same study.

use std::collections::HashMap;

use serde::Serialize;

use super::kept::kept_tokens;
use crate::report::error::ReportError;
use crate::report::run::Run;

/// What differs between a run and its repetition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NoiseFloor {
    /// Samples that both have.
    pub num_samples: usize,
    /// Answers that both have: samples × cells.
    pub num_answers: usize,
    /// Answers whose text differs.
    pub texts_differ: usize,
    /// Answers whose score differs.
    pub scores_differ: usize,
    /// Kept sets that differ.
    pub kept_differ: usize,
    /// Of the answers that differ in any way, those not marked as a near-tie in either
    /// run: nothing but rounding may differ, so each is a fault.
    pub unexplained: usize,
    /// Largest difference of a cell's mean score between the runs.
    pub largest_cell_difference: f64,
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
    let by_index: HashMap<usize, usize> = repetition
        .records
        .iter()
        .enumerate()
        .map(|(position, record)| (record.index, position))
        .collect();
    let mut floor = NoiseFloor {
        num_samples: 0,
        num_answers: 0,
        texts_differ: 0,
        scores_differ: 0,
        kept_differ: 0,
        unexplained: 0,
        largest_cell_difference: 0.0,
    };
    let mut sums = vec![(0.0, 0_usize); cells.len()];
    for record in &run.records {
        let other = by_index
            .get(&record.index)
            .map(|&at| &repetition.records[at]);
        let Some(other) = other.filter(|other| other.prompt_hash == record.prompt_hash) else {
            continue;
        };
        floor.num_samples += 1;
        for (cell, sum) in sums.iter_mut().enumerate() {
            let (Some(first), Some(second)) = (record.run_of(cell), other.run_of(cell)) else {
                continue;
            };
            floor.num_answers += 1;
            let text = first.text != second.text;
            let score = first.score != second.score;
            let kept = kept_tokens(record, cell) != kept_tokens(other, cell);
            floor.texts_differ += usize::from(text);
            floor.scores_differ += usize::from(score);
            floor.kept_differ += usize::from(kept);
            let is_near_tie = record.is_near_tie(cell) || other.is_near_tie(cell);
            floor.unexplained += usize::from((text || score || kept) && !is_near_tie);
            sum.0 += first.score - second.score;
            sum.1 += 1;
        }
    }
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
