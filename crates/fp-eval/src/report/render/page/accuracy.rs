//! Accuracy against budget: curves of every strategy beside the controls.

use super::chart::{self, Scale, Series};
use super::markup::{Field, Table, escape, put, section};
use super::roles::{ascending_budgets, middle_heads, protagonists};
use crate::report::analysis::Estimate;
use crate::report::format::{level, percent};
use crate::report::render::Source;

pub(super) fn curves(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    let order = ascending_budgets(source);
    let labels: Vec<String> = order
        .iter()
        .map(|&budget| roster.budgets[budget].clone())
        .collect();
    let confidence = level(source.run.spec.config.statistics.confidence);
    section(
        out,
        "accuracy",
        "Accuracy against budget",
        &format!(
            "Accuracy in %, with {confidence} % intervals that take questions on one image together."
        ),
    );
    let overview = overview(source, &order);
    let per_strategy: Vec<Vec<Series>> = (0..roster.strategies.len())
        .map(|strategy| of_strategy(source, strategy, &order))
        .collect();
    let scale = Scale::around(
        overview
            .iter()
            .chain(per_strategy.iter().flatten())
            .flat_map(|series| series.points.iter().flatten())
            .flat_map(|(mean, interval)| interval.map_or([*mean; 2], |ends| ends)),
    );
    out.push_str("<div class=\"pair\"><figure>");
    out.push_str(&chart::lines(
        "Controls, baseline and best strategy by budget",
        &labels,
        &overview,
        scale,
        true,
    ));
    let heads = roster.head_counts.get(middle_heads(source));
    let heads = heads.map_or(String::new(), |h| format!(", both with h = {h}"));
    put!(
        out,
        "<figcaption>Controls beside the baseline and the best other strategy{heads}.</figcaption></figure>\n"
    );
    controls_table(source, out);
    out.push_str("</div>\n<h3>Each strategy</h3>\n<p class=\"legend\">");
    for (style, count) in roster.head_counts.iter().enumerate() {
        put!(out, "<span>{} h = {count}</span> ", chart::key(style));
    }
    for (style, name, is_there) in [
        (6, "random", !analysis.random.is_empty()),
        (
            7,
            "all heads (FastV)",
            roster.all_heads.iter().all(Option::is_some),
        ),
    ] {
        if is_there {
            put!(out, "<span>{} {name}</span> ", chart::key(style));
        }
    }
    out.push_str("</p>\n<div class=\"panels\">\n");
    for (strategy, series) in roster.strategies.iter().zip(&per_strategy) {
        let title = format!("{}: accuracy by budget", strategy.name);
        put!(
            out,
            "<figure><figcaption class=\"above\">{}</figcaption>{}</figure>\n",
            escape(&strategy.name),
            chart::lines(&title, &labels, series, scale, false)
        );
    }
    out.push_str("</div></section>\n");
}

fn point(estimate: &Estimate) -> Option<(f64, Option<[f64; 2]>)> {
    Some((estimate.mean?, estimate.interval))
}

fn random_series(source: &Source<'_>, order: &[usize]) -> Option<Series> {
    let random = &source.analysis.random;
    (!random.is_empty()).then(|| Series {
        name: "random".to_owned(),
        style: 6,
        points: order
            .iter()
            .map(|&budget| {
                let label = &source.roster.budgets[budget];
                random.iter().find(|random| random.budget == *label)
            })
            .map(|random| point(&random?.accuracy))
            .collect(),
    })
}

fn cells_series(
    source: &Source<'_>,
    name: &str,
    style: usize,
    cells: impl Iterator<Item = Option<usize>>,
) -> Option<Series> {
    let points: Vec<_> = cells
        .map(|cell| point(&source.analysis.cells[cell?].accuracy))
        .collect();
    points.iter().any(Option::is_some).then(|| Series {
        name: name.to_owned(),
        style,
        points,
    })
}

fn overview(source: &Source<'_>, order: &[usize]) -> Vec<Series> {
    let roster = source.roster;
    let everywhere = |cell: Option<usize>| order.iter().map(move |_| cell);
    let by_budget = |cells: &'_ [Option<usize>]| {
        order
            .iter()
            .map(|&budget| cells[budget])
            .collect::<Vec<_>>()
            .into_iter()
    };
    let count = middle_heads(source);
    let strategy = |strategy: Option<usize>, style: usize| {
        let strategy = strategy?;
        let name = format!(
            "{}, h = {}",
            roster.strategies[strategy].name,
            roster.head_counts.get(count)?
        );
        let cells = order
            .iter()
            .map(|&budget| roster.cell(strategy, count, budget));
        cells_series(source, &name, style, cells)
    };
    let (candidate, baseline) = protagonists(source);
    [
        cells_series(source, "vanilla", 3, everywhere(roster.vanilla)),
        cells_series(source, "oracle", 4, by_budget(&roster.oracle)),
        strategy(candidate, 0),
        strategy(baseline, 1),
        cells_series(source, "all_heads", 7, by_budget(&roster.all_heads)),
        cells_series(source, "uniform_grid", 5, by_budget(&roster.uniform_grid)),
        random_series(source, order),
        cells_series(source, "drop_all", 2, everywhere(roster.drop_all)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_strategy(source: &Source<'_>, strategy: usize, order: &[usize]) -> Vec<Series> {
    let roster = source.roster;
    let mut series: Vec<Series> = roster
        .head_counts
        .iter()
        .enumerate()
        .filter_map(|(count, heads)| {
            let name = format!("{}, h = {heads}", roster.strategies[strategy].name);
            let cells = order
                .iter()
                .map(|&budget| roster.cell(strategy, count, budget));
            cells_series(source, &name, count, cells)
        })
        .collect();
    // Without their intervals, so that the strategy's own stay readable.
    let bare = |mut series: Series| {
        series
            .points
            .iter_mut()
            .flatten()
            .for_each(|point| point.1 = None);
        series
    };
    series.extend(random_series(source, order).map(bare));
    let all_heads = order.iter().map(|&budget| roster.all_heads[budget]);
    series.extend(cells_series(source, "all_heads", 7, all_heads).map(bare));
    series
}

fn controls_table(source: &Source<'_>, out: &mut String) {
    let (analysis, roster) = (source.analysis, source.roster);
    let mut columns = vec!["control"];
    columns.extend(roster.budgets.iter().map(String::as_str));
    let mut table = Table::new("Accuracy of the controls in %", "plain", &columns);
    let value = |estimate: &Estimate| match (estimate.mean, estimate.interval) {
        (Some(mean), Some([low, high])) => {
            format!("{} ± {}", percent(mean), percent(0.5 * (high - low)))
        }
        (Some(mean), None) => percent(mean),
        (None, _) => "–".to_owned(),
    };
    for (name, cell) in [
        ("vanilla", roster.vanilla),
        ("drop_all", roster.drop_all),
        ("no_image", roster.no_image),
    ] {
        if let Some(cell) = cell {
            let text = value(&analysis.cells[cell].accuracy);
            let fields = roster.budgets.iter().map(|_| Field::Number(text.clone()));
            table.row([Field::Head(name.to_owned())].into_iter().chain(fields));
        }
    }
    for (name, cells) in [
        ("oracle", &roster.oracle),
        ("all_heads", &roster.all_heads),
        ("uniform_grid", &roster.uniform_grid),
    ] {
        if cells.iter().any(Option::is_some) {
            let fields = cells.iter().map(|cell| {
                Field::Number(cell.map_or("–".to_owned(), |cell| {
                    value(&analysis.cells[cell].accuracy)
                }))
            });
            table.row([Field::Head(name.to_owned())].into_iter().chain(fields));
        }
    }
    if !analysis.random.is_empty() {
        let of = |label: &String| {
            analysis
                .random
                .iter()
                .find(|random| random.budget == *label)
        };
        let fields = roster.budgets.iter().map(|label| {
            Field::Number(of(label).map_or("–".to_owned(), |random| value(&random.accuracy)))
        });
        table.row([Field::Head("random".to_owned())].into_iter().chain(fields));
        let spread = roster.budgets.iter().map(|label| {
            let deviation = of(label).and_then(|random| random.seed_deviation);
            Field::Number(deviation.map_or("–".to_owned(), |d| format!("± {}", percent(d))))
        });
        table.row(
            [Field::Head("… over seeds".to_owned())]
                .into_iter()
                .chain(spread),
        );
    }
    out.push_str("<div>");
    out.push_str(&table.finish());
    out.push_str("<p class=\"small\">vanilla: no pruning. drop_all: no image token after layer K, the most that pruning can lose. no_image: what the text alone gives away. oracle: the tokens under the ground-truth boxes; questions without boxes are left out of it. all_heads: FastV.</p></div>");
}
