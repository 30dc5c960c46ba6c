//! Every studied cell against what it is held to: the baseline strategy, chance,
//! FastV, evenly spaced tokens, and no pruning.

use fp_eval::study::config::HolmFamily;
use serde::Serialize;

use super::compare::{Comparison, Judge, Judged, Pair, Untested};
use super::roster::Roster;
use super::scores::{Column, Scores};
use crate::error::ReportError;
use crate::run::Run;

/// What cells are tested against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The baseline strategy at the same budget and h.
    Baseline,
    /// The mean over the seeds of chance at the same budget.
    Random,
    /// The mean over every head at the same budget.
    AllHeads,
    /// Evenly spaced tokens at the same budget.
    UniformGrid,
    /// No pruning.
    Vanilla,
}

impl Reference {
    /// All of them.
    pub const ALL: [Reference; 5] = [
        Reference::Baseline,
        Reference::Random,
        Reference::AllHeads,
        Reference::UniformGrid,
        Reference::Vanilla,
    ];

    /// As it stands in tables; the baseline goes by its own name.
    pub fn label(self, baseline: &str) -> String {
        match self {
            Reference::Baseline => baseline.to_owned(),
            Reference::Random => "random".to_owned(),
            Reference::AllHeads => "all_heads".to_owned(),
            Reference::UniformGrid => "uniform_grid".to_owned(),
            Reference::Vanilla => "vanilla".to_owned(),
        }
    }
}

/// All comparisons with one reference.
#[derive(Debug, Clone, Serialize)]
pub struct ReferenceComparisons {
    /// What is tested against.
    pub reference: Reference,
    /// The comparisons; `a` is a cell's id.
    pub comparisons: Vec<Comparison>,
}

impl ReferenceComparisons {
    /// The comparison of a cell.
    pub fn of(&self, cell_id: &str) -> Option<&Comparison> {
        self.comparisons
            .iter()
            .find(|comparison| comparison.a == cell_id)
    }
}

/// The comparisons with every reference, and the pairs that could not be tested.
pub(crate) fn against_references(
    run: &Run,
    roster: &Roster,
    scores: &Scores,
    judge: &Judge,
) -> Result<(Vec<ReferenceComparisons>, Vec<Untested>), ReportError> {
    let samples: Vec<usize> = (0..run.records.len()).collect();
    let family = run.spec.config.statistics.holm_family;
    let (mut all, mut untested) = (Vec::new(), Vec::new());
    for reference in Reference::ALL {
        let pairs = pairs(run, roster, scores, reference, family);
        let judged = judge.judge(&pairs, &samples)?;
        untested.extend(judged.untested);
        if !judged.comparisons.is_empty() {
            all.push(ReferenceComparisons {
                reference,
                comparisons: judged.comparisons,
            });
        }
    }
    Ok((all, untested))
}

fn pairs(
    run: &Run,
    roster: &Roster,
    scores: &Scores,
    reference: Reference,
    family: HolmFamily,
) -> Vec<Pair> {
    let cells = &run.spec.grid.cells;
    let against = reference.label(roster.baseline_name());
    let mut pairs = Vec::new();
    for budget in 0..roster.budgets.len() {
        let label = &roster.budgets[budget];
        let plain = |cell: Option<usize>| {
            cell.map(|cell| (cells[cell].id.clone(), Column::clone(&scores.cells[cell])))
        };
        let of_budget = match reference {
            Reference::Baseline => None,
            Reference::Random => (!roster.random[budget].is_empty()).then(|| {
                (
                    format!("random/{label}"),
                    scores.mean_of(&roster.random[budget]),
                )
            }),
            Reference::AllHeads => plain(roster.all_heads[budget]),
            Reference::UniformGrid => plain(roster.uniform_grid[budget]),
            Reference::Vanilla => plain(roster.vanilla),
        };
        for (strategy, count, at, cell) in roster.studied() {
            if at != budget {
                continue;
            }
            let b = match reference {
                Reference::Baseline => roster
                    .reference_of(strategy)
                    .and_then(|other| plain(roster.cell(other, count, budget))),
                _ => of_budget.clone(),
            };
            let Some((name, column)) = b else { continue };
            let heads = roster.head_counts[count];
            let family = family_name(family, &against, label, heads);
            pairs.push(Pair::new(
                cells[cell].id.clone(),
                &scores.cells[cell],
                name,
                &column,
                family,
            ));
        }
    }
    pairs
}

/// What tests that are corrected together are called.
pub(crate) fn family_name(family: HolmFamily, against: &str, budget: &str, heads: usize) -> String {
    match family {
        HolmFamily::Budget => format!("against {against} at {budget}"),
        HolmFamily::BudgetAndHeads => format!("against {against} at {budget}, h = {heads}"),
        HolmFamily::Study => format!("against {against}"),
    }
}

/// The controls among themselves, one family: FastV and evenly spaced tokens against
/// chance, everything dropped and the image left out against no pruning. And every other
/// method of the run against FastV, a family of its own.
pub(crate) fn controls(
    run: &Run,
    roster: &Roster,
    scores: &Scores,
    judge: &Judge,
) -> Result<Judged, ReportError> {
    let cells = &run.spec.grid.cells;
    let mut pairs = Vec::new();
    let mut add = |a: Option<usize>, name: String, column: &Column| {
        if let Some(a) = a {
            let family = "controls";
            pairs.push(Pair::new(
                cells[a].id.clone(),
                &scores.cells[a],
                name,
                column,
                family,
            ));
        }
    };
    if let Some(vanilla) = roster.vanilla {
        let column = &scores.cells[vanilla];
        for a in [roster.drop_all, roster.no_image] {
            add(a, cells[vanilla].id.clone(), column);
        }
        for &a in &roster.oracle {
            add(a, cells[vanilla].id.clone(), column);
        }
    }
    for (budget, seeds) in roster.random.iter().enumerate() {
        if seeds.is_empty() {
            continue;
        }
        let column = scores.mean_of(seeds);
        for a in [roster.all_heads[budget], roster.uniform_grid[budget]] {
            add(a, format!("random/{}", roster.budgets[budget]), &column);
        }
    }
    // Every other method against FastV: at its budget, or at all of them where it has none.
    for other in &roster.others {
        for (budget, &fastv) in roster.all_heads.iter().enumerate() {
            if let (Some(cell), Some(fastv)) = (other.at(budget), fastv) {
                pairs.push(Pair::new(
                    cells[cell].id.clone(),
                    &scores.cells[cell],
                    cells[fastv].id.clone(),
                    &scores.cells[fastv],
                    "methods",
                ));
            }
        }
    }
    let samples: Vec<usize> = (0..run.records.len()).collect();
    judge.judge(&pairs, &samples)
}
