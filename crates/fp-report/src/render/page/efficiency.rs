//! Measured savings of pruning: accuracy against time and against computed costs.

use fp_eval::efficiency::{
    Efficiency, MeasuredSchedule, describe, ms, overview, pareto_front, tables, with_spread,
};
use fp_eval::format::{percent, scaled};
use maud::{Markup, html};

use super::chart::{self, Dot, Scale};
use super::markup::{Field, Section, Table, section};
use crate::analysis::Estimate;
use crate::render::Source;
use crate::render::efficiency::OTHER_RUN;
use crate::render::methods::cell_times;

/// A cell with its accuracy and costs.
struct Point {
    name: String,
    style: usize,
    accuracy: f64,
    interval: Option<[f64; 2]>,
    ms: f64,
    macs: f64,
    is_on_time_front: bool,
    is_on_macs_front: bool,
}

/// Styles of points, with the names of their groups.
const GROUPS: [(usize, &str); 6] = [
    (3, "dense"),
    (0, "strategies"),
    (2, "other methods"),
    (7, "all_heads (FastV)"),
    (6, "random (mean of seeds) and uniform_grid"),
    (5, "drop_all"),
];

pub(super) fn efficiency(source: &Source<'_>) -> Option<Section> {
    let efficiency = source.efficiency?;
    let content = html! {
        @if efficiency.is_of(&source.run.spec) {
            (charts(source, efficiency))
            (figures(efficiency))
        } @else {
            p { (OTHER_RUN) }
        }
    };
    Some(section(
        "efficiency",
        "Efficiency, measured",
        "One sample alone, from the preprocessed pixels to the last token, dense and pruned in turns; medians, with the 10th and 90th percentile in brackets.",
        content,
    ))
}

fn charts(source: &Source<'_>, efficiency: &Efficiency) -> Markup {
    let points = points(source, efficiency);
    if points.is_empty() {
        return html! {
            p { "No answered cell belongs to a measured schedule." }
        };
    }
    let scale = Scale::around(points.iter().map(|point| point.accuracy));
    let time = dots(&points, |point| (point.ms, point.is_on_time_front));
    let time = chart::scatter(
        "Accuracy against measured time to the first token",
        "time to the first token, ms",
        &time,
        scale,
        plain,
    );
    let macs = dots(&points, |point| (point.macs, point.is_on_macs_front));
    let macs = chart::scatter(
        "Accuracy against counted multiply-accumulates",
        "multiply-accumulates per prompt",
        &macs,
        scale,
        scaled,
    );
    html! {
        p.legend {
            @for (style, name) in GROUPS {
                @if points.iter().any(|point| point.style == style) {
                    span { (chart::key(style)) " " (name) } " "
                }
            }
            span { "ringed and joined: the Pareto front" }
        }
        div.panels {
            figure {
                (time)
                figcaption { "Accuracy in % against the measured time to the first token." }
            }
            figure {
                (macs)
                figcaption {
                    "Accuracy in % against counted multiply-accumulates of the decoder's prefill, scoring included."
                }
            }
        }
        (front_table(&points))
        p.small {
            "A point is on the front if no other point beats it in both cost and accuracy. The front is drawn through means on these questions: of two points whose intervals overlap either may be better. Methods that keep the same number of tokens differ only in their scoring, so they share their budget's time except for the query strategy's. The oracle is excluded because it reads the answer's boxes, and no_image because it has no image to prune."
        }
    }
}

fn plain(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        ms(value)
    }
}

fn dots(points: &[Point], of: fn(&Point) -> (f64, bool)) -> Vec<Dot> {
    points
        .iter()
        .map(|point| {
            let (cost, is_on_front) = of(point);
            Dot {
                name: point.name.clone(),
                style: point.style,
                cost,
                value: point.accuracy,
                is_on_front,
            }
        })
        .collect()
}

/// All answered cells whose schedule was measured.
fn points(source: &Source<'_>, efficiency: &Efficiency) -> Vec<Point> {
    let (analysis, grid) = (source.analysis, &source.run.spec.grid);
    let mut points: Vec<Point> = Vec::new();
    for (index, cell) in grid.cells.iter().enumerate() {
        let style = match cell.method.name() {
            None => 0,
            Some("vanilla") => 3,
            Some("all_heads") => 7,
            Some("uniform_grid") => 6,
            Some("drop_all") => 5,
            // Seeds are averaged below; the others are not usable methods.
            Some("random" | "no_image" | "oracle") => continue,
            Some(_) => 2,
        };
        let accuracy = &analysis.cells[index].accuracy;
        let name = analysis.cells[index].id.clone();
        points.extend(point(source, efficiency, index, name, style, accuracy));
    }
    for (budget, seeds) in source.cell_index.random.iter().enumerate() {
        let label = &source.cell_index.budgets[budget];
        let random = analysis
            .random
            .iter()
            .find(|random| random.budget == *label);
        if let (Some(random), Some(&cell)) = (random, seeds.first()) {
            let name = format!("random/{label}");
            points.extend(point(source, efficiency, cell, name, 6, &random.accuracy));
        }
    }
    let front = |cost: fn(&Point) -> f64| {
        let pairs: Vec<(f64, f64)> = points.iter().map(|p| (cost(p), p.accuracy)).collect();
        pareto_front(&pairs)
    };
    let (time, macs) = (front(|point| point.ms), front(|point| point.macs));
    for ((point, time), macs) in points.iter_mut().zip(time).zip(macs) {
        (point.is_on_time_front, point.is_on_macs_front) = (time, macs);
    }
    points
}

fn point(
    source: &Source<'_>,
    efficiency: &Efficiency,
    cell: usize,
    name: String,
    style: usize,
    accuracy: &Estimate,
) -> Option<Point> {
    Some(Point {
        name,
        style,
        accuracy: accuracy.mean?,
        interval: accuracy.interval,
        ms: cell_times(source, efficiency, cell)?.first_token_ms,
        macs: source.analysis.costs.get(cell)?.macs.first()?.sequence,
        is_on_time_front: false,
        is_on_macs_front: false,
    })
}

/// The points on either front.
fn front_table(points: &[Point]) -> Table {
    let mut on_front: Vec<&Point> = points
        .iter()
        .filter(|point| point.is_on_time_front || point.is_on_macs_front)
        .collect();
    on_front.sort_by(|a, b| a.ms.total_cmp(&b.ms).then(a.name.cmp(&b.name)));
    let mut table = Table::new(
        "Points on the Pareto front",
        "plain",
        &[
            "on the front",
            "accuracy, %",
            "interval",
            "first token, ms",
            "MACs",
            "front of",
        ],
    );
    for point in on_front {
        let interval = point
            .interval
            .map(|[low, high]| Field::Number(format!("{} to {}", percent(low), percent(high))));
        let which = match (point.is_on_time_front, point.is_on_macs_front) {
            (true, true) => "both",
            (true, false) => "time",
            _ => "MACs",
        };
        table.row([
            Field::Head(point.name.clone()),
            Field::Number(percent(point.accuracy)),
            interval.unwrap_or(Field::Empty),
            Field::Number(ms(point.ms)),
            Field::Number(scaled(point.macs)),
            Field::Text(which.to_owned()),
        ]);
    }
    table
}

fn figures(efficiency: &Efficiency) -> Markup {
    let overview = overview(efficiency);
    html! {
        h3 { "Dense and pruned" }
        (plain_table("Measured efficiency", &overview.header, &overview.rows))
        @if let Some(fastest) = fastest(efficiency) {
            p {
                "Pruning does not shorten the vision tower and layers 1 to K: at "
                (fastest.label) " it comes "
                (with_spread(&fastest.first_token_speed_up, |value| format!("{value:.2}")))
                " times as early as without pruning."
            }
        }
        details {
            summary { "Stages, throughput, memory and scoring" }
            @for table in tables(efficiency) {
                p { (table.title) }
                (plain_table(&table.title, &table.header, &table.rows))
            }
            ul.small {
                @for line in describe(efficiency) {
                    li { (line) }
                }
            }
        }
    }
}

/// The fastest budget, without dropping every image token, which is a control rather than a method.
fn fastest(efficiency: &Efficiency) -> Option<&MeasuredSchedule> {
    let planned = efficiency.plan.schedules.iter().zip(&efficiency.schedules);
    let budgets = planned.filter(|(planned, _)| planned.is_scored);
    let measured = budgets.map(|(_, measured)| measured);
    measured.max_by(|a, b| {
        let speed = |of: &MeasuredSchedule| of.first_token_speed_up.median;
        speed(a).total_cmp(&speed(b))
    })
}

fn plain_table(label: &str, header: &[String], rows: &[Vec<String>]) -> Table {
    let columns: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new(label, "plain", &columns);
    for row in rows {
        let fields = row.iter().enumerate().map(|(column, text)| match column {
            0 => Field::Head(text.clone()),
            _ => Field::Number(text.clone()),
        });
        table.row(fields);
    }
    table
}
