//! Which budgets, strategies and cells a section shows, and what it calls them.

use crate::report::render::Source;

/// Budgets by the number of tokens, fewest first: positions in the configuration.
pub(super) fn ascending_budgets(source: &Source<'_>) -> Vec<usize> {
    let budgets = &source.run.spec.grid.budgets;
    let mut order: Vec<usize> = (0..budgets.len()).collect();
    order.sort_by_key(|&index| budgets[index].kept.unwrap_or(usize::MAX));
    order
}

pub(super) fn budget_groups(source: &Source<'_>) -> (Vec<usize>, Vec<(String, String)>) {
    let mut order = ascending_budgets(source);
    order.reverse();
    let groups = order
        .iter()
        .map(|&budget| {
            let label = source.roster.budgets[budget].clone();
            (label.clone(), label)
        })
        .collect();
    (order, groups)
}

/// The candidate and the baseline by name, the candidate none where it is the baseline.
pub(super) fn protagonists(source: &Source<'_>) -> (Option<usize>, Option<usize>) {
    let roster = source.roster;
    let position = |name: &str| roster.strategies.iter().position(|s| s.name == name);
    let ranking = source
        .analysis
        .best
        .as_ref()
        .map(|best| best.ranking.as_slice());
    let candidate = ranking.and_then(|ranking| position(&ranking.first()?.0));
    match candidate {
        Some(candidate) => match roster.reference_of(candidate) {
            Some(baseline) => (Some(candidate), Some(baseline)),
            // The baseline leads: the runner-up stands beside it.
            None => {
                let runner_up = ranking.and_then(|ranking| position(&ranking.get(1)?.0));
                (runner_up, Some(candidate))
            }
        },
        None => (None, (!roster.strategies.is_empty()).then_some(0)),
    }
}

/// The head count that stands for all: the middle one.
pub(super) fn middle_heads(source: &Source<'_>) -> usize {
    source.roster.head_counts.len() / 2
}

/// Cells of one budget with the names that tables give them: strategies at each h,
/// then the controls.
pub(super) fn cells_at(source: &Source<'_>, budget: usize) -> Vec<(String, usize)> {
    let roster = source.roster;
    let mut cells: Vec<(String, usize)> = roster
        .studied()
        .filter(|(_, _, at, _)| *at == budget)
        .map(|(strategy, count, _, cell)| {
            let name = &roster.strategies[strategy].name;
            (format!("{name}, h {}", roster.head_counts[count]), cell)
        })
        .collect();
    for (name, cell) in [
        ("all_heads", roster.all_heads[budget]),
        ("uniform_grid", roster.uniform_grid[budget]),
        ("random", roster.random[budget].first().copied()),
        ("oracle", roster.oracle[budget]),
    ] {
        cells.extend(cell.map(|cell| (name.to_owned(), cell)));
    }
    cells
}
