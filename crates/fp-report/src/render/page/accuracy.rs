//! Accuracy against budget: the best at each, beside the baseline and the controls.

use fp_eval::format::{counted, fixed, level, percent};
use maud::{Markup, html};

use super::chart::{self, Frame, Point, Scale, Series};
use super::markup::{Field, Section, Table, heading, section};
use super::roles::{Leader, ascending_budgets, baseline_at, best_at};
use crate::analysis::Estimate;
use crate::render::Source;
use crate::render::beside;

pub(super) fn curves(source: &Source<'_>) -> Section {
    let order = ascending_budgets(source);
    let confidence = level(source.run.spec.config.statistics.confidence);
    let lead = format!("Accuracy in %, with {confidence} % intervals clustered by image.");
    let series = overview(source, &order);
    let scale = Scale::around(
        series
            .iter()
            .flat_map(|series| series.points.iter().flatten())
            .flat_map(|point| point.interval.unwrap_or([point.mean; 2])),
    );
    let places: Vec<Frame> = order.iter().map(|&budget| place(source, budget)).collect();
    let title = "Best strategy, baseline and controls by budget";
    let content = html! {
        figure {
            (chart::both(|width| chart::lines(title, &places, &series, scale, width)))
            figcaption { (caption(source)) }
        }
        (leaders_table(source, &order))
        (heading("controls", "Controls"))
        (controls_table(source))
    };
    section("accuracy", "Accuracy against budget", &lead, content)
}

/// Remarks on how reliable the first two lines are.
fn caption(source: &Source<'_>) -> Markup {
    let num_cells = source.cell_index.studied().count();
    let num_budgets = source.cell_index.budgets.len().max(1);
    html! {
        @if num_cells == 0 {
            "The controls."
        } @else {
            "Best strategy: the highest mean at each budget among its "
            (num_cells / num_budgets)
            " studied cells, over all strategies and h; "
            (source.cell_index.baseline_name())
            ": the baseline at the h that is best for it there. Both are maxima over these same questions, and hence optimistic. "
            @if source.analysis.best.is_some() {
                "Whether they hold on other questions is tested in " a href="#best" { "Best strategy" } "."
            } @else {
                "This run has no test on other questions."
            }
        }
    }
}

/// Most budgets with room for the strategies' names below them; otherwise only the table names
/// them.
const MOST_NAMED: usize = 4;

fn place(source: &Source<'_>, budget: usize) -> Frame {
    let label = source.cell_index.budgets[budget].clone();
    if source.cell_index.budgets.len() > MOST_NAMED {
        return Frame {
            label,
            notes: Vec::new(),
        };
    }
    let note = |label: &str, leader: Option<Leader>| {
        let leader = leader?;
        Some(format!("{label}: {}", leader.name(source)))
    };
    let notes = [
        note("best", best_at(source, budget)),
        note("baseline", baseline_at(source, budget)),
    ];
    Frame {
        label,
        notes: notes.into_iter().flatten().collect(),
    }
}

fn point(estimate: &Estimate, what: Option<String>) -> Option<Point> {
    Some(Point {
        mean: estimate.mean?,
        interval: estimate.interval,
        what,
    })
}

fn random_series(source: &Source<'_>, order: &[usize]) -> Option<Series> {
    let random = &source.analysis.random;
    (!random.is_empty()).then(|| Series {
        name: "random".to_owned(),
        style: 6,
        points: order
            .iter()
            .map(|&budget| {
                let label = &source.cell_index.budgets[budget];
                random.iter().find(|random| random.budget == *label)
            })
            .map(|random| point(&random?.accuracy, None))
            .collect(),
    })
}

fn cells_series(
    source: &Source<'_>,
    name: &str,
    style: usize,
    cells: impl Iterator<Item = Option<(usize, Option<String>)>>,
) -> Option<Series> {
    let points: Vec<_> = cells
        .map(|cell| {
            let (cell, what) = cell?;
            point(&source.analysis.cells[cell].accuracy, what)
        })
        .collect();
    points.iter().any(Option::is_some).then(|| Series {
        name: name.to_owned(),
        style,
        points,
    })
}

fn overview(source: &Source<'_>, order: &[usize]) -> Vec<Series> {
    let cell_index = source.cell_index;
    let everywhere = |name: &str, style: usize, cell: Option<usize>| {
        let cells = order.iter().map(|_| Some((cell?, None)));
        cells_series(source, name, style, cells)
    };
    let by_budget = |name: &str, style: usize, cells: &[Option<usize>]| {
        let cells = order.iter().map(|&budget| Some((cells[budget]?, None)));
        cells_series(source, name, style, cells)
    };
    let leading = |name: &str, style: usize, at: fn(&Source<'_>, usize) -> Option<Leader>| {
        let cells = order.iter().map(|&budget| {
            let leader = at(source, budget)?;
            Some((leader.cell, Some(leader.name_and_ties(source))))
        });
        cells_series(source, name, style, cells)
    };
    let baseline = format!("{}, best h", cell_index.baseline_name());
    [
        everywhere("vanilla", 3, cell_index.vanilla),
        by_budget("oracle", 4, &cell_index.oracle),
        leading("best strategy", 0, best_at),
        leading(&baseline, 1, baseline_at),
        by_budget("all_heads (FastV)", 7, &cell_index.all_heads),
        by_budget("uniform_grid", 5, &cell_index.uniform_grid),
        random_series(source, order),
        everywhere("drop_all", 2, cell_index.drop_all),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The chart's first lines as a table, most tokens first.
fn leaders_table(source: &Source<'_>, order: &[usize]) -> Markup {
    let cell_index = source.cell_index;
    let mut table = Table::new(
        "Highest mean at each budget",
        "plain",
        &[
            "budget",
            "best strategy",
            "its mean %",
            "baseline at its best h",
            "baseline's mean %",
            "all_heads (FastV) %",
            "no pruning %",
        ],
    );
    let mean = |cell: Option<usize>| {
        let mean = cell.map(|cell| source.analysis.cells[cell].accuracy.mean);
        mean.map_or(Field::Empty, |mean| Field::or_dash(mean, Field::percent))
    };
    for &budget in order.iter().rev() {
        let leaders = [best_at(source, budget), baseline_at(source, budget)];
        if leaders[0].is_none() {
            continue;
        }
        let [best, baseline] = leaders.map(|leader| match leader {
            Some(leader) => [
                Field::Text(leader.name_and_ties(source)),
                Field::percent(leader.mean),
            ],
            None => [Field::Empty, Field::Empty],
        });
        let head = Field::Head(cell_index.budgets[budget].clone());
        let others = [mean(cell_index.all_heads[budget]), mean(cell_index.vanilla)];
        table.row([head].into_iter().chain(best).chain(baseline).chain(others));
    }
    let num_cells = cell_index.studied().count() / cell_index.budgets.len().max(1);
    html! {
        @if !cell_index.strategies.is_empty() {
            (heading("highest", "Highest mean at each budget"))
            p.small {
                "Of " (counted(num_cells, "studied cell"))
                " at each budget, selected and evaluated on the same questions."
            }
            (table)
        }
    }
}

fn controls_table(source: &Source<'_>) -> Markup {
    let (analysis, cell_index) = (source.analysis, source.cell_index);
    let mut columns = vec!["control"];
    columns.extend(cell_index.budgets.iter().map(String::as_str));
    let mut table = Table::new("Accuracy of the controls in %", "plain", &columns);
    let value = |estimate: &Estimate| {
        Field::or_dash(estimate.mean, |mean| {
            let interval = estimate.interval.map_or(String::new(), |[low, high]| {
                format!(" ({} to {})", percent(low), percent(high))
            });
            Field::percent(mean).marked(&interval)
        })
    };
    for (name, cell) in [
        ("vanilla", cell_index.vanilla),
        ("drop_all", cell_index.drop_all),
        ("no_image", cell_index.no_image),
    ] {
        if let Some(cell) = cell {
            let field = value(&analysis.cells[cell].accuracy);
            let fields = cell_index.budgets.iter().map(|_| field.clone());
            table.row([Field::Head(name.to_owned())].into_iter().chain(fields));
        }
    }
    for (name, cells) in [
        ("oracle", &cell_index.oracle),
        ("all_heads", &cell_index.all_heads),
        ("uniform_grid", &cell_index.uniform_grid),
    ] {
        if cells.iter().any(Option::is_some) {
            let fields = cells.iter().map(|cell| match cell {
                Some(cell) => value(&analysis.cells[*cell].accuracy),
                None => Field::Number("–".to_owned()),
            });
            table.row([Field::Head(name.to_owned())].into_iter().chain(fields));
        }
    }
    for other in &cell_index.others {
        let fields = (0..cell_index.budgets.len()).map(|budget| match other.at(budget) {
            Some(cell) => value(&analysis.cells[cell].accuracy),
            None => Field::Number("–".to_owned()),
        });
        table.row([Field::Head(other.label.clone())].into_iter().chain(fields));
    }
    if let Some(by_budget) = beside::oracle(source) {
        let head = Field::Head("vanilla on the oracle's questions".to_owned());
        let fields = by_budget
            .into_iter()
            .map(|same| Field::or_dash(same, |same| Field::percent(same.vanilla)));
        table.row([head].into_iter().chain(fields));
    }
    if !analysis.random.is_empty() {
        let of = |label: &String| {
            analysis
                .random
                .iter()
                .find(|random| random.budget == *label)
        };
        let fields = cell_index.budgets.iter().map(|label| match of(label) {
            Some(random) => value(&random.accuracy),
            None => Field::Number("–".to_owned()),
        });
        table.row([Field::Head("random".to_owned())].into_iter().chain(fields));
        let spread = cell_index.budgets.iter().map(|label| {
            let deviation = of(label).and_then(|random| random.seed_deviation);
            Field::or_dash(deviation, |deviation| {
                Field::exact(
                    format!("± {}", fixed(100.0 * deviation, 1)),
                    100.0 * deviation,
                )
            })
        });
        table.row(
            [Field::Head(
                "random, standard deviation over seeds".to_owned(),
            )]
            .into_iter()
            .chain(spread),
        );
    }
    html! {
        (table)
        p.small {
            "vanilla: no pruning. drop_all: no image token after layer K, the most that pruning can lose. no_image: what can be answered from the text alone. oracle: the tokens under the ground-truth boxes; questions without boxes are excluded. all_heads: FastV."
        }
    }
}
