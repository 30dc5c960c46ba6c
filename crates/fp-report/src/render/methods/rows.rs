//! One row per method and budget: the schedule of its visual tokens, and its cost.

use fp_eval::study::{Cell, CountedCost, Method};

use super::times::{CellTimes, cell_times};
use crate::render::Source;

/// Cells of one method, or of strategies with equal costs.
#[derive(Debug, Clone)]
pub(in crate::render) struct CostRow<'a> {
    /// The cell's id, or the number of strategies that it represents.
    pub(in crate::render) name: String,
    /// The computed cost of the first cell, which the others share.
    pub(in crate::render) cost: &'a CountedCost,
    /// The measured times.
    pub(in crate::render) times: Option<CellTimes>,
}

impl CostRow<'_> {
    /// MACs of the whole prompt, with three matrices per MLP, and with scoring if it is counted.
    pub(in crate::render) fn macs(&self) -> f64 {
        self.cost
            .macs
            .first()
            .map_or(f64::NAN, |macs| macs.sequence)
    }

    /// MACs relative to the unpruned ones.
    pub(in crate::render) fn share(&self) -> f64 {
        let macs = self.cost.macs.first();
        macs.map_or(f64::NAN, |macs| macs.sequence_ratio())
    }
}

/// Rows in the order of the grid. Strategies of a budget with equal costs share a row, and so do
/// the seeds of a method; cells without an answer have none.
pub(in crate::render) fn cost_rows<'a>(source: &Source<'a>) -> Vec<CostRow<'a>> {
    let cells = &source.run.spec.grid.cells;
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, cell) in cells.iter().enumerate() {
        if source.analysis.costs[index].n == 0 {
            continue;
        }
        let same = groups.iter_mut().find(|group| {
            let first = group[0];
            is_alike(&cells[first], cell)
                && costs_alike(&source.analysis.costs[first], &source.analysis.costs[index])
        });
        match same {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    let row = |group: &Vec<usize>| CostRow {
        name: name(source, group),
        cost: &source.analysis.costs[group[0]],
        times: source
            .efficiency
            .filter(|efficiency| efficiency.is_of(&source.run.spec))
            .and_then(|efficiency| cell_times(source, efficiency, group[0])),
    };
    groups.iter().map(row).collect()
}

/// Whether two cells may share a row: head strategies with the same query strategy, or one
/// method with several seeds.
fn is_alike(a: &Cell, b: &Cell) -> bool {
    if a.budget != b.budget || a.prune_layer != b.prune_layer {
        return false;
    }
    match (&a.method, &b.method) {
        (
            Method::Named { name, seed, .. },
            Method::Named {
                name: other,
                seed: another,
                ..
            },
        ) => name == other && seed.is_some() && another.is_some(),
        (Method::Named { .. }, _) | (_, Method::Named { .. }) => false,
        (a, b) => a.query_strategy() == b.query_strategy(),
    }
}

fn costs_alike(a: &CountedCost, b: &CountedCost) -> bool {
    (a.n, &a.schedule, &a.macs) == (b.n, &b.schedule, &b.macs)
}

fn name(source: &Source<'_>, group: &[usize]) -> String {
    let cells = &source.run.spec.grid.cells;
    let first = &cells[group[0]];
    let id = || first.id.clone();
    if group.len() == 1 {
        return id();
    }
    let budget = first.budget.map_or(String::new(), |budget| {
        format!("/{}", source.run.spec.grid.budgets[budget].label)
    });
    match &first.method {
        Method::Named { name, .. } => format!("{name}{budget} ({} seeds)", group.len()),
        method => {
            let query = method.query_strategy();
            let query = query.map_or(String::new(), |query| format!("+{query}"));
            format!("head strategies{query}{budget} ({} cells)", group.len())
        }
    }
}
