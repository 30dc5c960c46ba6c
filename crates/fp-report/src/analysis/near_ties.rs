//! Answers that rounding may have decided.

use fp_eval::study::{CutRecord, RunRecord, SampleRecord};
use serde::Serialize;

/// An answer that rounding may have decided: on another machine it may differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NearTie {
    /// Index of the sample.
    pub index: usize,
    /// Its id in its dataset.
    pub id: String,
    /// The cell's id.
    pub cell: String,
    /// Smallest gap at a selection of heads, relative to the range of scores; `None` where no such
    /// selection was near. 0 is a tie, which index order decides on every machine.
    pub head_gap: Option<f64>,
    /// The gap at the selection of tokens, defined in the same way.
    pub token_gap: Option<f64>,
    /// Smallest distance between the two largest logits of the answer, if it was near.
    pub margin: Option<f32>,
}

impl NearTie {
    /// The near-tie of one cell on a sample; `None` where nothing was near.
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

/// Most near-ties that results list; a file of their own has all of them.
pub const MOST_LISTED: usize = 100;

/// The near-ties of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NearTies {
    /// Their number.
    pub count: usize,
    /// The first ones, by sample and cell: [`MOST_LISTED`] at most.
    pub first: Vec<NearTie>,
    /// `[first]`, indices of their cells.
    #[serde(skip)]
    cells: Vec<usize>,
}

impl NearTies {
    pub(super) fn add(&mut self, tie: NearTie, cell: usize) {
        self.count += 1;
        let key = (tie.index, cell);
        let before = |at: usize| (self.first[at].index, self.cells[at]) < key;
        let mut place = self.first.len();
        while place > 0 && !before(place - 1) {
            place -= 1;
        }
        if place < MOST_LISTED {
            self.first.insert(place, tie);
            self.cells.insert(place, cell);
            self.first.truncate(MOST_LISTED);
            self.cells.truncate(MOST_LISTED);
        }
    }
}
