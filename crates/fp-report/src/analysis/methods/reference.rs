//! The reference cell of methods.

use fp_eval::study::{Cell, Method};

use crate::analysis::cell_index::CellIndex;
use crate::run::Run;

/// The reference cell at a budget: the one that the configuration's baseline names by its label,
/// such as `sum+last_token`, with the most heads where there are several; else FastV, else the
/// baseline strategy with the most heads.
pub(crate) fn reference_cell(run: &Run, cell_index: &CellIndex, budget: usize) -> Option<usize> {
    let configured = run.spec.config.statistics.baseline.as_deref();
    let is_named = |cell: &Cell| configured.is_some_and(|name| cell.method.label() == name);
    let named = most_heads(run, budget, &is_named);
    let of_baseline = || {
        let names = cell_index.strategies.iter().enumerate();
        let mut baselines = names.filter(|(at, _)| cell_index.is_baseline(*at));
        let (baseline, _) = baselines.next()?;
        let cells = cell_index.cells_of(baseline);
        let ids: Vec<&str> = cells
            .iter()
            .map(|&cell| run.spec.grid.cells[cell].id.as_str())
            .collect();
        most_heads(run, budget, &|cell| ids.contains(&cell.id.as_str()))
    };
    named.or(cell_index.all_heads[budget]).or_else(of_baseline)
}

/// The wanted cell of a budget with the most heads; the first of equal ones.
fn most_heads(run: &Run, budget: usize, is_wanted: &dyn Fn(&Cell) -> bool) -> Option<usize> {
    let cells = run.spec.grid.cells.iter().enumerate();
    let wanted = cells.filter(|(_, cell)| cell.budget == Some(budget) && is_wanted(cell));
    let heads = |cell: &Cell| cell.method.num_selected_heads().unwrap_or(usize::MAX);
    wanted
        .reduce(|best, other| {
            if heads(other.1) > heads(best.1) {
                other
            } else {
                best
            }
        })
        .map(|(index, _)| index)
}

/// Name of a reference; the control of all heads is called FastV.
pub(crate) fn reference_name(cell: &Cell) -> String {
    match &cell.method {
        Method::Named { name, .. } if name == "all_heads" => "FastV (all_heads)".to_owned(),
        method => method.label(),
    }
}
