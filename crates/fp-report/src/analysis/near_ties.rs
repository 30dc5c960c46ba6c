//! Answers that rounding may have decided, each named.

use fp_eval::study::{CutRecord, RunRecord, SampleRecord};
use serde::Serialize;

use crate::run::Run;

/// An answer that rounding may have decided: another machine may give another one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearTie {
    /// The sample.
    pub index: usize,
    /// Its id in its data set.
    pub id: String,
    /// The cell's id.
    pub cell: String,
    /// Smallest gap at a choice of heads, as a share of the range of scores; none where
    /// no such choice was near. 0 is a tie, which index order decides on every machine.
    pub head_gap: Option<f64>,
    /// The gap at the choice of tokens, alike.
    pub token_gap: Option<f64>,
    /// Smallest distance between the two largest logits of the answer, if that was near.
    pub margin: Option<f32>,
}

impl NearTie {
    /// What was near in one cell of a sample; none where nothing was.
    pub(crate) fn of(record: &SampleRecord, cell: usize, id: &str) -> Option<NearTie> {
        let choice = record.cells.get(cell)?;
        let near = |cuts: &[Option<CutRecord>]| {
            let cuts = cuts.iter().flatten().filter(|cut| cut.is_near_tie());
            cuts.map(|cut| cut.gap).min_by(f64::total_cmp)
        };
        let tie = NearTie {
            index: record.index,
            id: record.id.clone(),
            cell: id.to_owned(),
            head_gap: near(&[choice.head_cut, choice.coarse_head_cut]),
            token_gap: near(&[choice.token_cut]),
            margin: record
                .run_of(cell)
                .filter(|run| run.is_near_tie())
                .and_then(|run: &RunRecord| run.min_margin),
        };
        let is_any = tie.head_gap.is_some() || tie.token_gap.is_some() || tie.margin.is_some();
        is_any.then_some(tie)
    }
}

/// Every near-tie of a run, sample by sample.
pub(crate) fn near_ties(run: &Run) -> Vec<NearTie> {
    let cells = &run.spec.grid.cells;
    run.records
        .iter()
        .flat_map(|record| {
            let cells = cells.iter().enumerate();
            cells.filter_map(|(index, cell)| NearTie::of(record, index, &cell.id))
        })
        .collect()
}
