//! What the comparisons with chance and with FastV come to.

use super::{budget_text, cell_text};
use crate::report::analysis::{Analysis, CellSummary, Comparison, Outcome, Reference, Roster};
use crate::report::format::{interval_points, listed, p_value, signed_points};
use crate::report::run::Run;

/// Which strategies say anything at all: those that beat chance somewhere.
pub(super) fn against_random(run: &Run, roster: &Roster, analysis: &Analysis) -> Option<String> {
    let set = analysis
        .references
        .iter()
        .find(|set| set.reference == Reference::Random)?;
    let mut parts = Vec::new();
    for (index, budget) in run.spec.grid.budgets.iter().enumerate() {
        let cells: Vec<&CellSummary> = roster
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
    let never: Vec<String> = (0..roster.strategies.len())
        .filter(|&strategy| {
            let cells = roster.cells_of(strategy);
            !cells.iter().any(|&cell| {
                set.of(&analysis.cells[cell].id)
                    .is_some_and(|c| c.outcome == Outcome::Better)
            })
        })
        .map(|strategy| roster.strategies[strategy].name.clone())
        .collect();
    let never = match never.len() {
        0 => String::new(),
        n if n == roster.strategies.len() => {
            " No strategy beats it anywhere: here they say nothing.".to_owned()
        }
        _ => format!(
            " Nowhere shown to beat it, and so saying nothing: {}.",
            listed(&never)
        ),
    };
    Some(format!(
        "Shown to beat random: {}.{never}",
        parts.join("; ")
    ))
}

pub(super) fn against_all_heads(run: &Run, roster: &Roster, analysis: &Analysis) -> Option<String> {
    let set = analysis
        .references
        .iter()
        .find(|set| set.reference == Reference::AllHeads)?;
    let (mut better, mut worse) = (0, 0);
    let mut best: Option<(String, &Comparison)> = None;
    for (strategy, count, budget, cell) in roster.studied() {
        let Some(comparison) = set.of(&analysis.cells[cell].id) else {
            continue;
        };
        better += usize::from(comparison.outcome == Outcome::Better);
        worse += usize::from(comparison.outcome == Outcome::Worse);
        if best
            .as_ref()
            .is_none_or(|(_, most)| comparison.difference > most.difference)
        {
            let budget = budget_text(&run.spec.grid.budgets[budget]);
            let name = format!("{} at {budget}", cell_text(roster, strategy, count));
            best = Some((name, comparison));
        }
    }
    let (name, most) = best?;
    Some(format!(
        "Against FastV (all heads): {better} of {} cells better, {worse} worse; the most favourable is {name}, {} points ({}, {}).",
        set.comparisons.len(),
        signed_points(most.difference),
        interval_points(most.interval, most.confidence),
        p_value("Holm p", most.p_holm),
    ))
}
