//! Every studied cell against its references: the baseline strategy, chance, FastV, evenly spaced
//! tokens, and no pruning.

use fp_eval::study::config::HolmFamily;
use serde::Serialize;

use super::cell_index::CellIndex;
use super::compare::{Comparison, Pair, PairedTester, TestResults, Untested};
use super::scores::{Column, Scores};
use crate::error::ReportError;
use crate::run::Run;

/// The references of tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The baseline strategy at the same budget and h.
    Baseline,
    /// The mean over the seeds of chance at the same budget.
    Random,
    /// FastV: the mean over all heads at the same budget.
    AllHeads,
    /// Evenly spaced tokens at the same budget.
    UniformGrid,
    /// No pruning.
    Vanilla,
}

impl Reference {
    /// All references.
    pub const ALL: [Reference; 5] = [
        Reference::Baseline,
        Reference::Random,
        Reference::AllHeads,
        Reference::UniformGrid,
        Reference::Vanilla,
    ];

    /// The reference's name in tables; the baseline has its own name.
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
    /// The reference.
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

/// The comparisons with all references, and the pairs that could not be tested.
pub(crate) fn against_references(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    tester: &PairedTester,
) -> Result<(Vec<ReferenceComparisons>, Vec<Untested>), ReportError> {
    let samples: Vec<usize> = (0..run.records.len()).collect();
    let family = run.spec.config.statistics.holm_family;
    let (mut all, mut untested) = (Vec::new(), Vec::new());
    for reference in Reference::ALL {
        let pairs = pairs(run, cell_index, scores, reference, family);
        let tested = tester.test(&pairs, &samples)?;
        untested.extend(tested.untested);
        if !tested.comparisons.is_empty() {
            all.push(ReferenceComparisons {
                reference,
                comparisons: tested.comparisons,
            });
        }
    }
    Ok((all, untested))
}

fn pairs(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    reference: Reference,
    family: HolmFamily,
) -> Vec<Pair> {
    let cells = &run.spec.grid.cells;
    let against = reference.label(cell_index.baseline_name());
    let mut pairs = Vec::new();
    for budget in 0..cell_index.budgets.len() {
        let label = &cell_index.budgets[budget];
        let plain = |cell: Option<usize>| {
            cell.map(|cell| (cells[cell].id.clone(), Column::clone(&scores.cells[cell])))
        };
        let of_budget = match reference {
            Reference::Baseline => None,
            Reference::Random => (!cell_index.random[budget].is_empty()).then(|| {
                (
                    format!("random/{label}"),
                    scores.mean_of(&cell_index.random[budget]),
                )
            }),
            Reference::AllHeads => plain(cell_index.all_heads[budget]),
            Reference::UniformGrid => plain(cell_index.uniform_grid[budget]),
            Reference::Vanilla => plain(cell_index.vanilla),
        };
        for (strategy, count, at, cell) in cell_index.studied() {
            if at != budget {
                continue;
            }
            let b = match reference {
                Reference::Baseline => cell_index
                    .reference_of(strategy)
                    .and_then(|other| plain(cell_index.cell(other, count, budget))),
                _ => of_budget.clone(),
            };
            let Some((name, column)) = b else { continue };
            let heads = cell_index.head_counts[count];
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

/// Name of a family of tests that are corrected together.
pub(crate) fn family_name(family: HolmFamily, against: &str, budget: &str, heads: usize) -> String {
    match family {
        HolmFamily::Budget => format!("against {against} at {budget}"),
        HolmFamily::BudgetAndHeads => format!("against {against} at {budget}, h = {heads}"),
        HolmFamily::Study => format!("against {against}"),
    }
}

/// Comparisons among the controls, one family: FastV and evenly spaced tokens against chance,
/// dropping everything and omitting the image against no pruning. In addition all other methods of
/// the run against FastV, a family of its own.
pub(crate) fn controls(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    tester: &PairedTester,
) -> Result<TestResults, ReportError> {
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
    if let Some(vanilla) = cell_index.vanilla {
        let column = &scores.cells[vanilla];
        for a in [cell_index.drop_all, cell_index.no_image] {
            add(a, cells[vanilla].id.clone(), column);
        }
        for &a in &cell_index.oracle {
            add(a, cells[vanilla].id.clone(), column);
        }
    }
    for (budget, seeds) in cell_index.random.iter().enumerate() {
        if seeds.is_empty() {
            continue;
        }
        let column = scores.mean_of(seeds);
        for a in [
            cell_index.all_heads[budget],
            cell_index.uniform_grid[budget],
        ] {
            add(a, format!("random/{}", cell_index.budgets[budget]), &column);
        }
    }
    // Every other method against FastV: at its budget, or at all budgets if it has none.
    for other in &cell_index.others {
        for (budget, &fastv) in cell_index.all_heads.iter().enumerate() {
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
    tester.test(&pairs, &samples)
}
