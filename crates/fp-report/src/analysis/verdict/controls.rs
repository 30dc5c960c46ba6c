//! Results of the comparisons with chance and with FastV, as sentences.

use fp_eval::format::{counted, listed};

use super::budget_text;
use crate::analysis::{Analysis, CellIndex, CellSummary, Outcome, Reference};
use crate::run::Run;

/// Which strategies carry a signal: those that beat chance somewhere.
pub(super) fn against_random(
    run: &Run,
    cell_index: &CellIndex,
    analysis: &Analysis,
) -> Option<String> {
    let set = analysis
        .references
        .iter()
        .find(|set| set.reference == Reference::Random)?;
    let mut parts = Vec::new();
    for (index, budget) in run.spec.grid.budgets.iter().enumerate() {
        let cells: Vec<&CellSummary> = cell_index
            .studied()
            .filter(|(_, _, at, _)| *at == index)
            .map(|(.., cell)| &analysis.cells[cell])
            .collect();
        let outcome = |wanted: Outcome| {
            let of = |cell: &&&CellSummary| set.of(&cell.id).is_some_and(|c| c.outcome == wanted);
            cells.iter().filter(of).count()
        };
        let worse = match outcome(Outcome::Worse) {
            0 => String::new(),
            n => format!(", {n} worse"),
        };
        parts.push(format!(
            "{} of {} at {}{worse}",
            outcome(Outcome::Better),
            cells.len(),
            budget_text(budget)
        ));
    }
    let never: Vec<String> = (0..cell_index.strategies.len())
        .filter(|&strategy| {
            let cells = cell_index.cells_of(strategy);
            !cells.iter().any(|&cell| {
                set.of(&analysis.cells[cell].id)
                    .is_some_and(|c| c.outcome == Outcome::Better)
            })
        })
        .map(|strategy| cell_index.strategies[strategy].name.clone())
        .collect();
    let never = match never.len() {
        0 => String::new(),
        n if n == cell_index.strategies.len() => {
            " No strategy is shown to beat it anywhere, so none is shown to carry a signal here."
                .to_owned()
        }
        _ => format!(" Not shown to beat it anywhere: {}.", listed(&never)),
    };
    Some(format!(
        "Shown to beat random: {}.{never}",
        parts.join("; ")
    ))
}

/// Results of all cells against FastV on all questions. The largest of many differences is biased
/// upwards, so no cell is named.
pub(super) fn against_all_heads(cell_index: &CellIndex, analysis: &Analysis) -> Option<String> {
    let mut references = analysis.references.iter();
    let set = references.find(|set| set.reference == Reference::AllHeads)?;
    let outcomes: Vec<Outcome> = cell_index
        .studied()
        .filter_map(|(.., cell)| Some(set.of(&analysis.cells[cell].id)?.outcome))
        .collect();
    let count = |wanted: Outcome| outcomes.iter().filter(|of| **of == wanted).count();
    let better = count(Outcome::Better);
    Some(format!(
        "Over all questions, of {} {} {} better than FastV, {} worse, {} equivalent and {} undecided.",
        counted(outcomes.len(), "cell"),
        better,
        if better == 1 { "is" } else { "are" },
        count(Outcome::Worse),
        count(Outcome::Equivalent),
        count(Outcome::Undecided),
    ))
}
