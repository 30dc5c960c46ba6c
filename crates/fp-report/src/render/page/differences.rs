//! Strategies against their references: differences with intervals.

use fp_eval::format::{interval_points, p_value, points, signed_points};
use maud::{Markup, html};

use super::chart::{self, ForestRow};
use super::markup::{Group, Section, chooser, section};
use super::roles::ascending_budgets;
use crate::analysis::{Reference, ReferenceComparisons};
use crate::render::Source;

/// References in the order of interest to readers.
const ORDER: [Reference; 5] = [
    Reference::AllHeads,
    Reference::Baseline,
    Reference::Vanilla,
    Reference::Random,
    Reference::UniformGrid,
];

pub(super) fn differences(source: &Source<'_>) -> Option<Section> {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let mut sets: Vec<&ReferenceComparisons> = analysis.references.iter().collect();
    sets.sort_by_key(|set| ORDER.iter().position(|other| *other == set.reference));
    if sets.is_empty() {
        return None;
    }
    let lead = format!(
        "Paired by question, in points of accuracy. ▲ better, ▼ worse (Holm-corrected, interval beyond 0), ■ equivalent within {} points (the grey band), ● undecided.",
        points(analysis.margin)
    );
    let groups = sets.iter().map(|set| {
        let label = set.reference.label(cell_index.baseline_name());
        Group {
            text: described(set.reference, &label),
            content: panels(source, set, &label),
            value: label,
        }
    });
    let groups: Vec<Group> = groups.collect();
    Some(section(
        "differences",
        "Differences, strategy by strategy",
        &lead,
        chooser("differences", "Difference from", &groups),
    ))
}

fn described(reference: Reference, label: &str) -> String {
    match reference {
        Reference::Baseline => format!("{label} at the same h"),
        Reference::AllHeads => format!("{label} (FastV)"),
        Reference::Vanilla => format!("{label} (no pruning)"),
        Reference::Random => format!("{label}, mean over seeds"),
        Reference::UniformGrid => label.to_owned(),
    }
}

/// One panel per budget, most tokens first, on a common scale.
fn panels(source: &Source<'_>, set: &ReferenceComparisons, against: &str) -> Markup {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let bounds = set
        .comparisons
        .iter()
        .fold([-0.01_f64, 0.01_f64], |[low, high], c| {
            [low.min(c.interval[0]), high.max(c.interval[1])]
        });
    let panel = |budget: usize| {
        let rows = rows(source, set, budget);
        let label = &cell_index.budgets[budget];
        let title = format!("Differences from {against} at {label}");
        html! {
            @if !rows.is_empty() {
                figure {
                    figcaption.above { (label) ": strategy and h, minus " (against) }
                    (chart::forest(&title, &rows, bounds, analysis.margin))
                }
            }
        }
    };
    html! {
        div.panels {
            @for budget in ascending_budgets(source).into_iter().rev() { (panel(budget)) }
        }
    }
}

fn rows(source: &Source<'_>, set: &ReferenceComparisons, budget: usize) -> Vec<ForestRow> {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let mut rows: Vec<ForestRow> = Vec::new();
    let mut last = None;
    for (strategy, count, at, cell) in cell_index.studied() {
        let Some(c) = set.of(&analysis.cells[cell].id).filter(|_| at == budget) else {
            continue;
        };
        let name = &cell_index.strategies[strategy].name;
        let text = format!(
            "{} points, {}, p = {:.4}, {}",
            signed_points(c.difference),
            interval_points(c.interval, c.confidence),
            c.p,
            p_value("Holm p", c.p_holm)
        );
        rows.push(ForestRow {
            name: format!("{name} {}", cell_index.head_counts[count]),
            difference: c.difference,
            interval: c.interval,
            outcome: c.outcome.name(),
            tooltip: format!("{}: {text}", c.a),
            is_first: last != Some(strategy),
        });
        last = Some(strategy);
    }
    rows
}
