//! What the comparisons with the baseline come to.

use super::{budget_text, cell_text};
use crate::report::analysis::{Analysis, Comparison, Outcome, Reference, Roster};
use crate::report::format::{counted, interval_points, p_value, points, signed_points};
use crate::study::Budget;

/// What the comparisons with the baseline say at one budget, with the largest
/// difference that was shown.
pub(super) fn at_budget(
    roster: &Roster,
    analysis: &Analysis,
    index: usize,
    budget: &Budget,
    baseline: &str,
) -> (Option<f64>, Option<String>) {
    let mut found: Vec<(String, &Comparison)> = Vec::new();
    for (strategy, count, at, cell) in roster.studied() {
        let id = &analysis.cells[cell].id;
        if let Some(comparison) = analysis
            .comparison(Reference::Baseline, id)
            .filter(|_| at == index)
        {
            found.push((cell_text(roster, strategy, count), comparison));
        }
    }
    let Some(largest) = found
        .iter()
        .max_by(|a, b| a.1.difference.abs().total_cmp(&b.1.difference.abs()))
    else {
        return (None, None);
    };
    let of = |outcome: Outcome| {
        let mut of: Vec<&(String, &Comparison)> =
            found.iter().filter(|(_, c)| c.outcome == outcome).collect();
        of.sort_by(|a, b| b.1.difference.abs().total_cmp(&a.1.difference.abs()));
        of
    };
    let (better, worse, equivalent) = (
        of(Outcome::Better),
        of(Outcome::Worse),
        of(Outcome::Equivalent),
    );
    let at = budget_text(budget);
    let numbers = |c: &Comparison| {
        format!(
            "{}, {}",
            interval_points(c.interval, c.confidence),
            p_value("Holm p", c.p_holm)
        )
    };
    let more = |rest: usize, what: &str| match rest {
        0 => String::new(),
        _ => format!("; {rest} more of {} are {what}", found.len()),
    };
    let same = match equivalent.len() {
        0 => String::new(),
        n if n == found.len() => String::new(),
        n => format!("; {n} of {} are equivalent to it", found.len()),
    };
    let mut shown = None;
    let sentence = match (better.as_slice(), worse.as_slice()) {
        ([], []) if equivalent.len() == found.len() => {
            let margin = points(analysis.margin);
            format!("At {at} every strategy is equivalent to {baseline} within {margin} points.")
        }
        ([], []) => {
            let (name, c) = largest;
            format!(
                "At {at} no strategy is shown to differ from {baseline}: the largest difference is {name} {} points ({}); {} points would have been seen{same}.",
                signed_points(c.difference),
                numbers(c),
                points(c.min_detectable_difference),
            )
        }
        ([(name, c), rest @ ..], worse) => {
            shown = Some(c.difference.abs());
            format!(
                "At {at} {name} beats {baseline} by {} points ({}){}{}{same}.",
                points(c.difference),
                numbers(c),
                more(rest.len(), "better"),
                more(worse.len(), "worse"),
            )
        }
        ([], [(name, c), rest @ ..]) => {
            shown = Some(c.difference.abs());
            format!(
                "At {at} nothing beats {baseline}; {name} is worse by {} points ({}){}{same}.",
                points(c.difference),
                numbers(c),
                more(rest.len(), "worse"),
            )
        }
    };
    (shown, Some(sentence))
}

pub(super) fn nothing_differs(roster: &Roster, analysis: &Analysis, baseline: &str) -> String {
    let set = analysis
        .references
        .iter()
        .find(|set| set.reference == Reference::Baseline);
    let comparisons = set.map_or(&[] as &[_], |set| set.comparisons.as_slice());
    let is_equivalent = |c: &&Comparison| c.outcome == Outcome::Equivalent;
    let equivalent = comparisons.iter().filter(is_equivalent).count();
    if equivalent == comparisons.len() {
        return format!(
            "All {} strategies are equivalent to {baseline} within {} points at every budget.",
            roster.strategies.len() - 1,
            points(analysis.margin)
        );
    }
    let detectable = comparisons
        .iter()
        .map(|comparison| comparison.min_detectable_difference)
        .fold(0.0, f64::max);
    format!(
        "No strategy is shown to differ from {baseline} at any budget; with {} on {} differences of up to {} points can go unseen.",
        counted(analysis.samples.recorded, "question"),
        counted(analysis.samples.images, "image"),
        points(detectable),
    )
}
