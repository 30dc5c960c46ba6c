//! Each benchmark's own figures.

use fp_eval::format::{fixed, p_number, signed};
use maud::{Markup, html};

use super::markup::{Field, Group, Section, Table, chooser, section};
use crate::analysis::{CellFigures, DatasetFigures, FigureComparison, Reference};
use crate::render::Source;
use crate::render::figures::shown;

/// `None` for a run without a benchmark.
pub(super) fn figures(source: &Source<'_>) -> Option<Section> {
    let all = &source.analysis.figures;
    if all.is_empty() {
        return None;
    }
    let lead = format!(
        "The metrics that papers report for each benchmark, computed from the same answers as rescore computes them. ▲ better, ▼ worse, ≈ equivalent to {} at the same h and budget, after Holm's correction over the tests of one figure; tests are over images.",
        source.cell_index.baseline_name()
    );
    let group = |(at, dataset): (usize, &DatasetFigures)| Group {
        value: at.to_string(),
        text: dataset.title(),
        content: of_dataset(dataset, all.len() == 1),
    };
    let groups: Vec<Group> = all.iter().enumerate().map(group).collect();
    Some(section(
        "own-figures",
        "What each benchmark reports",
        &lead,
        chooser("own-figures", "Dataset", &groups),
    ))
}

fn of_dataset(dataset: &DatasetFigures, is_only: bool) -> Markup {
    let shown = shown(dataset);
    let without_test = dataset.without_test();
    html! {
        @if is_only { p { (dataset.title()) } }
        @for note in dataset.notes() { p.small { (note) } }
        @for line in dataset.undefined(&dataset.headlines) { p.small { (line) } }
        @if !shown.is_empty() { (headlines(dataset, &shown)) }
        @if !dataset.names.is_empty() {
            details {
                summary { "All " (dataset.names.len()) " figures" }
                (every_figure(dataset))
                @for line in dataset.undefined(&others(dataset)) { p.small { (line) } }
                @if !without_test.is_empty() {
                    p.small {
                        "Not tested, because they are components or variants of tested metrics: "
                        (without_test.join(", ")) "."
                    }
                }
            }
        }
        @if !dataset.untested.is_empty() {
            details {
                summary { "What could not be tested" }
                ul {
                    @for untested in &dataset.untested {
                        li {
                            (untested.figure) ", " (untested.a) " against " (untested.b) ": "
                            (untested.because)
                        }
                    }
                }
            }
        }
    }
}

fn others(dataset: &DatasetFigures) -> Vec<String> {
    let others = dataset.names.iter();
    let others = others.filter(|name| !dataset.headlines.contains(name));
    others.cloned().collect()
}

/// Headline figures of every cell, each with its difference from no pruning.
fn headlines(dataset: &DatasetFigures, shown: &[&String]) -> Table {
    let mut columns = vec!["cell".to_owned(), "n".to_owned()];
    for name in shown {
        columns.push((*name).clone());
        columns.extend(["against vanilla", "interval", "Holm p"].map(|of| format!("{name}, {of}")));
    }
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut table = Table::new(
        &format!("What {} reports", dataset.title()),
        "plain",
        &columns,
    );
    for cell in &dataset.cells {
        let mut fields = vec![Field::Head(cell.cell.clone()), Field::count(cell.n)];
        for name in shown {
            fields.push(value(dataset, cell, name, 1));
            let against = dataset.comparison(name, Reference::Vanilla, &cell.cell);
            fields.extend(difference(against));
        }
        table.row(fields);
    }
    table
}

fn every_figure(dataset: &DatasetFigures) -> Table {
    let mut columns = vec!["cell"];
    columns.extend(dataset.names.iter().map(String::as_str));
    let label = format!("All figures of {}", dataset.title());
    let mut table = Table::new(&label, "plain", &columns);
    for cell in &dataset.cells {
        let values = dataset
            .names
            .iter()
            .map(|name| value(dataset, cell, name, 2));
        table.row(std::iter::once(Field::Head(cell.cell.clone())).chain(values));
    }
    table
}

/// A figure with its mark; lines below the table state why it is undefined.
fn value(dataset: &DatasetFigures, cell: &CellFigures, name: &str, digits: usize) -> Field {
    let comparison = dataset.comparison(name, Reference::Baseline, &cell.cell);
    let mark = comparison.map_or("", |comparison| comparison.outcome.mark());
    match cell.figure(name).and_then(|figure| figure.value) {
        Some(value) => Field::exact(fixed(value, digits), value).marked(mark),
        None => Field::Number("undefined".to_owned()),
    }
}

fn difference(comparison: Option<&FigureComparison>) -> [Field; 3] {
    let Some(c) = comparison else {
        return [Field::Empty, Field::Empty, Field::Empty];
    };
    let interval = match (c.interval, &c.no_interval) {
        (Some([low, high]), _) => {
            Field::Number(format!("{} to {}", signed(low, 1), signed(high, 1)))
        }
        (None, Some(reason)) => Field::Text(reason.clone()),
        (None, None) => Field::Empty,
    };
    [
        Field::exact(signed(c.difference, 1), c.difference),
        interval,
        Field::exact(p_number(c.p_holm), c.p_holm),
    ]
}
