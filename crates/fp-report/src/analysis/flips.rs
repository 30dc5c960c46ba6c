//! Answers that flip between no pruning and a cell: lost and won.

use serde::Serialize;

use super::scores::{Column, Scores};
use super::strata::Strata;
use crate::run::Run;

/// Least score of a right answer.
pub const RIGHT: f64 = 0.5;

/// Answers of one cell compared with those without pruning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellFlips {
    /// The cell's id.
    pub cell: String,
    /// Over all samples.
    #[serde(flatten)]
    pub all: Flips,
    /// By stratum.
    pub strata: Vec<StratumFlips>,
}

/// Flips in one stratum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StratumFlips {
    /// Name of the grouping.
    pub by: String,
    /// The group.
    pub group: String,
    /// The counts.
    #[serde(flatten)]
    pub flips: Flips,
}

/// Number of samples in each of four cases; right is a score of at least [`RIGHT`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Flips {
    /// Right without and with pruning.
    pub both_right: usize,
    /// Right only without pruning.
    pub lost: usize,
    /// Right only with pruning.
    pub won: usize,
    /// Wrong both ways.
    pub both_wrong: usize,
}

impl Flips {
    /// Number of samples.
    pub fn n(&self) -> usize {
        self.both_right + self.lost + self.won + self.both_wrong
    }

    fn count(vanilla: &Column, cell: &Column, samples: impl Iterator<Item = usize>) -> Flips {
        let mut flips = Flips::default();
        for sample in samples {
            let (Some(before), Some(after)) = (vanilla[sample], cell[sample]) else {
                continue;
            };
            *match (before >= RIGHT, after >= RIGHT) {
                (true, true) => &mut flips.both_right,
                (true, false) => &mut flips.lost,
                (false, true) => &mut flips.won,
                (false, false) => &mut flips.both_wrong,
            } += 1;
        }
        flips
    }
}

/// Flips of every cell but `vanilla`; empty without that control.
pub(crate) fn flips(
    run: &Run,
    scores: &Scores,
    strata: &[Strata],
    vanilla: Option<usize>,
) -> Vec<CellFlips> {
    let Some(vanilla) = vanilla else {
        return Vec::new();
    };
    let cells = run.spec.grid.cells.iter().enumerate();
    cells
        .filter(|(index, _)| *index != vanilla)
        .map(|(index, cell)| {
            let (before, after) = (&scores.cells[vanilla], &scores.cells[index]);
            let mut by_stratum = Vec::new();
            for strata in strata {
                for group in &strata.groups {
                    by_stratum.push(StratumFlips {
                        by: strata.by.clone(),
                        group: group.name.clone(),
                        flips: Flips::count(before, after, group.samples.iter().copied()),
                    });
                }
            }
            CellFlips {
                cell: cell.id.clone(),
                all: Flips::count(before, after, 0..run.records.len()),
                strata: by_stratum,
            }
        })
        .collect()
}
