//! Which cells are held against which by a benchmark's own figures.

use super::Scored;
use crate::analysis::references::{Reference, family_name};
use crate::analysis::roster::Roster;
use crate::run::Run;

/// Two cells to be compared, by position in the grid.
#[derive(Debug, Clone)]
pub(super) struct CellPair {
    pub(super) reference: Reference,
    pub(super) a: usize,
    pub(super) b: usize,
    /// As tests of accuracies call their families; of each figure by itself.
    pub(super) family: String,
    /// The questions that both answered.
    pub(super) part: usize,
}

/// Every studied cell against the baseline strategy at the same budget and h and against no
/// pruning, in the families of the study; and every other cell against no pruning, a family
/// of its own. The mean over seeds of chance is no set of answers: each seed is a cell here.
pub(super) fn pairs(run: &Run, roster: &Roster, scored: &mut Scored<'_>) -> Vec<CellPair> {
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
        let against = reference.label(roster.baseline_name());
        for (strategy, count, budget, cell) in roster.studied() {
            is_studied[cell] = true;
            let b = match reference {
                Reference::Baseline => roster
                    .reference_of(strategy)
                    .and_then(|other| roster.cell(other, count, budget)),
                _ => roster.vanilla,
            };
            let label = &roster.budgets[budget];
            let family = family_name(rule, &against, label, roster.head_counts[count]);
            add(reference, cell, b, family);
        }
    }
    for (cell, _) in is_studied.iter().enumerate().filter(|(_, is)| !**is) {
        let family = "other cells against vanilla".to_owned();
        add(Reference::Vanilla, cell, roster.vanilla, family);
    }
    pairs
}
