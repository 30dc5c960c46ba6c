//! Strategies against the baseline: differences with intervals, and the heat map.

use super::chart::{self, ForestRow};
use super::markup::{Field, Table, escape, put, section};
use super::roles::ascending_budgets;
use crate::report::analysis::Reference;
use crate::report::format::{interval_points, p_value, percent, points, signed_points};
use crate::report::render::Source;

pub(super) fn differences(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    let Some(set) = analysis
        .references
        .iter()
        .find(|set| set.reference == Reference::Baseline)
    else {
        return;
    };
    let baseline = roster.baseline_name();
    section(
        out,
        "differences",
        &format!("Differences from {baseline}"),
        &format!(
            "Paired by question at the same h and budget. ▲ better, ▼ worse (Holm-corrected, interval beyond 0), ■ equivalent within {} points (the grey band), ● undecided.",
            points(analysis.margin)
        ),
    );
    let bounds = set
        .comparisons
        .iter()
        .fold([-0.01_f64, 0.01_f64], |[low, high], c| {
            [low.min(c.interval[0]), high.max(c.interval[1])]
        });
    out.push_str("<div class=\"panels\">\n");
    for budget in ascending_budgets(source).into_iter().rev() {
        let mut rows: Vec<ForestRow> = Vec::new();
        let mut last = None;
        for (strategy, count, at, cell) in roster.studied() {
            let Some(c) = set.of(&analysis.cells[cell].id).filter(|_| at == budget) else {
                continue;
            };
            let name = &roster.strategies[strategy].name;
            let text = format!(
                "{} points, {}, p = {:.4}, {}",
                signed_points(c.difference),
                interval_points(c.interval, c.confidence),
                c.p,
                p_value("Holm p", c.p_holm)
            );
            rows.push(ForestRow {
                name: format!("{name} {}", roster.head_counts[count]),
                difference: c.difference,
                interval: c.interval,
                outcome: c.outcome.name(),
                tooltip: format!("{}: {text}", c.a),
                is_first: last != Some(strategy),
            });
            last = Some(strategy);
        }
        if !rows.is_empty() {
            let title = format!("Differences from {baseline} at {}", roster.budgets[budget]);
            put!(
                out,
                "<figure><figcaption class=\"above\">{}, strategy and h</figcaption>{}</figure>\n",
                escape(&roster.budgets[budget]),
                chart::forest(&title, &rows, bounds, analysis.margin)
            );
        }
    }
    out.push_str("</div></section>\n");
}

pub(super) fn heat_map(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    if roster.strategies.is_empty() {
        return;
    }
    section(
        out,
        "heat",
        "Strategy × budget × h",
        &format!(
            "Accuracy in %; darker is higher. Against {} at the same h and budget: ▲ better, ▼ worse, ≈ equivalent, none undecided.",
            roster.baseline_name()
        ),
    );
    let means: Vec<f64> = roster
        .studied()
        .filter_map(|(.., cell)| analysis.cells[cell].accuracy.mean)
        .collect();
    let low = means.iter().copied().fold(f64::INFINITY, f64::min);
    let high = means.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let columns: Vec<String> = roster
        .budgets
        .iter()
        .flat_map(|budget| {
            roster
                .head_counts
                .iter()
                .map(move |h| format!("{budget} h {h}"))
        })
        .collect();
    let mut head = vec!["strategy"];
    head.extend(columns.iter().map(String::as_str));
    let mut table = Table::new("Accuracy by strategy, budget and h", "heat", &head);
    for (strategy, entry) in roster.strategies.iter().enumerate() {
        let mut fields = vec![Field::Head(entry.name.clone())];
        for budget in 0..roster.budgets.len() {
            for count in 0..roster.head_counts.len() {
                fields.push(heat_field(
                    source,
                    roster.cell(strategy, count, budget),
                    low,
                    high,
                ));
            }
        }
        table.row(fields);
    }
    out.push_str(&table.finish());
    out.push_str("</section>\n");
}

fn heat_field(source: &Source<'_>, cell: Option<usize>, low: f64, high: f64) -> Field {
    let Some(cell) = cell.map(|cell| &source.analysis.cells[cell]) else {
        return Field::Empty;
    };
    let Some(mean) = cell.accuracy.mean else {
        return Field::Empty;
    };
    let comparison = source.analysis.comparison(Reference::Baseline, &cell.id);
    let mark = comparison.map_or("", |comparison| comparison.outcome.mark());
    let shade = (mean - low) / (high - low).max(1e-9);
    Field::Shaded(format!("{}{mark}", percent(mean)), shade)
}
