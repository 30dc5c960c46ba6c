//! Budgets, strategies and cells that a section shows, and their names.

use maud::Markup;

use super::markup::Group;
use crate::render::Source;

/// Budgets by the number of tokens, fewest first, as indices in the configuration.
pub(super) fn ascending_budgets(source: &Source<'_>) -> Vec<usize> {
    let budgets = &source.run.spec.grid.budgets;
    let mut order: Vec<usize> = (0..budgets.len()).collect();
    order.sort_by_key(|&index| budgets[index].kept.unwrap_or(usize::MAX));
    order
}

/// A section's content for each budget, most tokens first, for a choice among them.
pub(super) fn by_budget(source: &Source<'_>, content: impl Fn(usize) -> Markup) -> Vec<Group> {
    let order = ascending_budgets(source).into_iter().rev();
    order
        .map(|budget| {
            let label = &source.cell_index.budgets[budget];
            Group {
                value: label.clone(),
                text: label.clone(),
                content: content(budget),
            }
        })
        .collect()
}

/// The studied cell with the highest mean at one budget. The highest of many means is biased
/// upwards, so another run may have another leader.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Leader {
    pub(super) strategy: usize,
    /// Index of the head count.
    pub(super) count: usize,
    pub(super) cell: usize,
    /// Mean score, 0 to 1.
    pub(super) mean: f64,
    /// Number of cells with the same mean; this is the first in the configuration's order.
    pub(super) num_equal: usize,
}

impl Leader {
    /// Names of strategy and h.
    pub(super) fn name(&self, source: &Source<'_>) -> String {
        let cell_index = source.cell_index;
        let name = &cell_index.strategies[self.strategy].name;
        format!("{name}, h = {}", cell_index.head_counts[self.count])
    }

    /// The name, with a note if other cells have the same mean.
    pub(super) fn name_and_ties(&self, source: &Source<'_>) -> String {
        let name = self.name(source);
        match self.num_equal {
            1 => name,
            equal => format!("{name} (first of {equal} equal)"),
        }
    }
}

/// The highest mean at a budget over every h, among the strategies that fit.
fn leader(source: &Source<'_>, budget: usize, fits: impl Fn(usize) -> bool) -> Option<Leader> {
    let mut leader: Option<Leader> = None;
    for (strategy, count, at, cell) in source.cell_index.studied() {
        let mean = source.analysis.cells[cell].accuracy.mean;
        let Some(mean) = mean.filter(|_| at == budget && fits(strategy)) else {
            continue;
        };
        match &mut leader {
            Some(first) if first.mean == mean => first.num_equal += 1,
            Some(first) if first.mean > mean => {}
            _ => {
                leader = Some(Leader {
                    strategy,
                    count,
                    cell,
                    mean,
                    num_equal: 1,
                });
            }
        }
    }
    leader
}

/// The highest mean at a budget, over all strategies and every h.
pub(super) fn best_at(source: &Source<'_>, budget: usize) -> Option<Leader> {
    leader(source, budget, |_| true)
}

/// The baseline at the h with its highest mean.
pub(super) fn baseline_at(source: &Source<'_>, budget: usize) -> Option<Leader> {
    leader(source, budget, |strategy| {
        source.cell_index.is_baseline(strategy)
    })
}

/// The best strategy of a budget and the baseline there, each at its best h; where the baseline
/// leads, the best of the others and the baseline.
pub(super) fn protagonists(source: &Source<'_>, budget: usize) -> (Option<Leader>, Option<Leader>) {
    let cell_index = source.cell_index;
    let other = leader(source, budget, |strategy| !cell_index.is_baseline(strategy));
    (other, baseline_at(source, budget))
}

/// Cells of one budget with their names in tables: strategies at each h, then the controls.
pub(super) fn cells_at(source: &Source<'_>, budget: usize) -> Vec<(String, usize)> {
    let cell_index = source.cell_index;
    let mut cells: Vec<(String, usize)> = cell_index
        .studied()
        .filter(|(_, _, at, _)| *at == budget)
        .map(|(strategy, count, _, cell)| {
            let name = &cell_index.strategies[strategy].name;
            (
                format!("{name}, h = {}", cell_index.head_counts[count]),
                cell,
            )
        })
        .collect();
    for (name, cell) in [
        ("all_heads", cell_index.all_heads[budget]),
        ("uniform_grid", cell_index.uniform_grid[budget]),
        ("random", cell_index.random[budget].first().copied()),
        ("oracle", cell_index.oracle[budget]),
    ] {
        cells.extend(cell.map(|cell| (name.to_owned(), cell)));
    }
    for other in &cell_index.others {
        cells.extend(other.at(budget).map(|cell| (other.label.clone(), cell)));
    }
    cells
}
