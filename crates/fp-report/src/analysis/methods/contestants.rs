//! Cells that are compared at each budget.

use fp_eval::study::Cell;

use super::MethodGrounds;

/// A method at a budget.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contestant {
    pub(super) cell: usize,
    pub(super) name: String,
    pub(super) has_own_schedule: bool,
}

/// `[budgets]`: the methods to compare at each, in the order of the grid. Empty where a run has
/// only strategies and controls.
pub(super) fn by_budget(
    grounds: &MethodGrounds<'_>,
    reference: &dyn Fn(usize) -> Option<usize>,
) -> Vec<Vec<Contestant>> {
    let (cell_index, grid) = (grounds.cell_index, &grounds.run.spec.grid);
    let mut by_budget = vec![Vec::new(); cell_index.budgets.len()];
    if by_budget.is_empty() || (cell_index.others.is_empty() && !cell_index.compares_methods()) {
        return by_budget;
    }
    let is_other = |index: usize| {
        let mut others = cell_index.others.iter();
        others
            .any(|other| other.without_budget == Some(index) || other.cells.contains(&Some(index)))
    };
    let strategies: Vec<usize> = cell_index.studied().map(|(.., cell)| cell).collect();
    for (index, cell) in grid.cells.iter().enumerate() {
        let is_control = |cells: &[Option<usize>]| cells.contains(&Some(index));
        let is_compared = is_other(index)
            || is_control(&cell_index.all_heads)
            || is_control(&cell_index.uniform_grid)
            || (cell_index.compares_methods() && strategies.contains(&index));
        if !is_compared {
            continue;
        }
        let at = match cell.budget {
            Some(budget) => budget,
            None => nearest(grounds, reference, index),
        };
        by_budget[at].push(Contestant {
            cell: index,
            name: name(cell),
            has_own_schedule: cell.budget.is_none(),
        });
    }
    by_budget
}

/// Label of a cell, without the budget.
fn name(cell: &Cell) -> String {
    let label = cell.method.label();
    match cell.method.num_selected_heads() {
        Some(heads) => format!("{label}/h{heads}"),
        None => label,
    }
}

/// The budget whose reference has the layer average nearest to a cell's; the first of equally near
/// ones.
fn nearest(
    grounds: &MethodGrounds<'_>,
    reference: &dyn Fn(usize) -> Option<usize>,
    cell: usize,
) -> usize {
    let average = |cell: usize| grounds.costs[cell].average_visual_tokens;
    let budgets = &grounds.run.spec.grid.budgets;
    let of_budget = |budget: usize| match reference(budget) {
        Some(reference) => Some(average(reference)),
        None => budgets[budget].average_visual_tokens,
    };
    let distance = |budget: &usize| {
        let average = of_budget(*budget).map(|other| (other - average(cell)).abs());
        average.unwrap_or(f64::INFINITY)
    };
    let nearest = (0..budgets.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.unwrap_or(0)
}
