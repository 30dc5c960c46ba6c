//! Each strategy at each budget, with its best number of heads there.

use serde::Serialize;

use super::best::mean_on;
use super::cell_index::CellIndex;
use super::compare::{Comparison, Pair, PairedTester, Untested};
use super::halves::Split;
use super::scores::{Column, Scores};
use crate::error::ReportError;
use crate::run::Run;

/// A strategy at one budget, with the number of heads that has the largest mean on the selection
/// half; it is tested on the confirmation half.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AtBestHeads {
    /// The strategy.
    pub strategy: String,
    /// The budget's label.
    pub budget: String,
    /// h, as selected.
    pub num_selected_heads: usize,
    /// The cell's id.
    pub cell: String,
    /// Mean score on the samples of the selection half, 0 to 1.
    pub select_mean: f64,
    /// Mean score on the confirmation half; `None` without an answer there.
    pub confirm_mean: Option<f64>,
    /// Whether this is the baseline strategy.
    pub is_baseline: bool,
    /// Test against FastV; all strategies and budgets are one family.
    pub against_all_heads: Option<Comparison>,
    /// Test against the baseline at its own best number of heads; all strategies and budgets are
    /// one family.
    pub against_baseline: Option<Comparison>,
}

/// The head count selected for each strategy at each budget.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// `[strategies][budgets]`.
    chosen: Vec<Vec<Option<Chosen>>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen {
    /// Index among the cell index's head counts.
    count: usize,
    cell: usize,
    mean: f64,
}

impl Choice {
    /// Selects by the means on `samples`; of equal means the first head count in the configuration
    /// is selected.
    pub(super) fn new(cell_index: &CellIndex, scores: &Scores, samples: &[usize]) -> Choice {
        let choose = |strategy: usize, budget: usize| {
            let counts = 0..cell_index.head_counts.len();
            let cells: Vec<(usize, usize)> = counts
                .filter_map(|count| Some((count, cell_index.cell(strategy, count, budget)?)))
                .collect();
            // On the samples that all head counts answered.
            let all = scores.mean_of(&cells.iter().map(|(_, cell)| *cell).collect::<Vec<_>>());
            let shared: Vec<usize> = samples
                .iter()
                .copied()
                .filter(|&sample| all.get(sample).is_some_and(Option::is_some))
                .collect();
            let mut best: Option<Chosen> = None;
            for (count, cell) in cells {
                let Some(mean) = mean_on(&scores.cells[cell], &shared) else {
                    continue;
                };
                if best.is_none_or(|best| mean > best.mean) {
                    best = Some(Chosen { count, cell, mean });
                }
            }
            best
        };
        let budgets = 0..cell_index.budgets.len();
        Choice {
            chosen: (0..cell_index.strategies.len())
                .map(|strategy| budgets.clone().map(|at| choose(strategy, at)).collect())
                .collect(),
        }
    }

    fn at(&self, strategy: usize, budget: usize) -> Option<Chosen> {
        self.chosen[strategy][budget]
    }

    /// A strategy's mean over all budgets, sample by sample; `None` where it lacks one.
    pub(super) fn mean_over_budgets(&self, scores: &Scores, strategy: usize) -> Option<Column> {
        let chosen = self.chosen[strategy].iter();
        let cells: Option<Vec<usize>> = chosen.map(|c| c.map(|chosen| chosen.cell)).collect();
        cells.map(|cells| scores.mean_of(&cells))
    }

    /// A strategy's number of heads at each budget.
    pub(super) fn heads(&self, cell_index: &CellIndex, strategy: usize) -> Vec<usize> {
        let chosen = self.chosen[strategy].iter().flatten();
        chosen
            .map(|chosen| cell_index.head_counts[chosen.count])
            .collect()
    }
}

/// All strategies at all budgets, in the configuration's order, tested on the confirmation half.
pub(super) fn at_best_heads(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    tester: &PairedTester,
    choice: &Choice,
    split: &Split,
) -> Result<(Vec<AtBestHeads>, Vec<Untested>), ReportError> {
    let samples = &split.confirm;
    let cells = &run.spec.grid.cells;
    let id = |cell: usize| cells[cell].id.clone();
    let column = |cell: usize| &scores.cells[cell];
    let mut entries = Vec::new();
    let (mut to_all_heads, mut to_baseline) = (Vec::new(), Vec::new());
    for (strategy, entry) in cell_index.strategies.iter().enumerate() {
        for (budget, label) in cell_index.budgets.iter().enumerate() {
            let Some(Chosen { count, cell, mean }) = choice.at(strategy, budget) else {
                continue;
            };
            if let Some(all_heads) = cell_index.all_heads[budget] {
                let family = "each strategy at its best h against all_heads, confirm half";
                let (a, b) = (column(cell), column(all_heads));
                to_all_heads.push(Pair::new(id(cell), a, id(all_heads), b, family));
            }
            let baseline = cell_index.reference_of(strategy);
            if let Some(baseline) = baseline.and_then(|other| choice.at(other, budget)) {
                let family = "each strategy and the baseline at its best h, confirm half";
                let (a, b) = (column(cell), column(baseline.cell));
                to_baseline.push(Pair::new(id(cell), a, id(baseline.cell), b, family));
            }
            entries.push(AtBestHeads {
                strategy: entry.name.clone(),
                budget: label.clone(),
                num_selected_heads: cell_index.head_counts[count],
                cell: id(cell),
                select_mean: mean,
                confirm_mean: mean_on(column(cell), samples),
                is_baseline: cell_index.is_baseline(strategy),
                against_all_heads: None,
                against_baseline: None,
            });
        }
    }
    let to_all_heads = tester.test(&to_all_heads, samples)?;
    let to_baseline = tester.test(&to_baseline, samples)?;
    let find = |all: &[Comparison], cell: &str| all.iter().find(|c| c.a == cell).cloned();
    for entry in &mut entries {
        entry.against_all_heads = find(&to_all_heads.comparisons, &entry.cell);
        entry.against_baseline = find(&to_baseline.comparisons, &entry.cell);
    }
    Ok((
        entries,
        [to_all_heads.untested, to_baseline.untested].concat(),
    ))
}
