//! Pairs of cells that are compared by a benchmark's own figures.

use super::Scored;
use crate::analysis::cell_index::CellIndex;
use crate::analysis::references::{Reference, family_name};
use crate::run::Run;

/// Two cells to compare, by index in the grid.
#[derive(Debug, Clone)]
pub(super) struct CellPair {
    pub(super) reference: Reference,
    pub(super) a: usize,
    pub(super) b: usize,
    /// Name of the family, as for tests of accuracies; each figure has its own.
    pub(super) family: String,
    /// The part of the questions that both answered.
    pub(super) part: usize,
}

/// Every studied cell against the baseline strategy at the same budget and h and against no
/// pruning, in the families of the study; and every other cell against no pruning, as a family of
/// its own. Chance is one cell per seed here, because a mean over seeds has no answers.
pub(super) fn pairs(run: &Run, cell_index: &CellIndex, scored: &mut Scored<'_>) -> Vec<CellPair> {
    let rule = run.spec.config.statistics.holm_family;
    let mut pairs = Vec::new();
    let mut add = |reference, a: usize, b: Option<usize>, family: String| {
        if let Some(b) = b.filter(|b| *b != a) {
            pairs.push(CellPair {
                reference,
                a,
                b,
                family,
                part: scored.part(&[a, b]),
            });
        }
    };
    let mut is_studied = vec![false; run.spec.grid.cells.len()];
    for reference in [Reference::Baseline, Reference::Vanilla] {
        let against = reference.label(cell_index.baseline_name());
        for (strategy, count, budget, cell) in cell_index.studied() {
            is_studied[cell] = true;
            let b = match reference {
                Reference::Baseline => cell_index
                    .reference_of(strategy)
                    .and_then(|other| cell_index.cell(other, count, budget)),
                _ => cell_index.vanilla,
            };
            let label = &cell_index.budgets[budget];
            let family = family_name(rule, &against, label, cell_index.head_counts[count]);
            add(reference, cell, b, family);
        }
    }
    for (cell, _) in is_studied.iter().enumerate().filter(|(_, is)| !**is) {
        let family = "other cells against vanilla".to_owned();
        add(Reference::Vanilla, cell, cell_index.vanilla, family);
    }
    pairs
}
