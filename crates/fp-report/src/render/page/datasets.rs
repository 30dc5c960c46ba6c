//! Accuracy by dataset, and the mean share of the unpruned accuracy that is retained.

use maud::{Render, html};

use super::markup::{Field, Section, Table, chooser, section};
use super::roles::{by_budget, cells_at};
use crate::analysis::BY_DATASET;
use crate::render::Source;

/// `None` for a run on a single dataset.
pub(super) fn datasets(source: &Source<'_>) -> Option<Section> {
    let names = source.run.dataset_names();
    if names.len() < 2 {
        return None;
    }
    let lead = if source.analysis.relative.is_empty() {
        "Accuracy in %. The run has no cell without pruning to compare the others with."
    } else {
        "Accuracy in %. Relative: of the accuracy without pruning on the same dataset; the mean gives every dataset the same weight, however many questions it has."
    };
    let groups = by_budget(source, |budget| table(source, &names, budget).render());
    let content = html! {
        (chooser("datasets", "Budget", &groups))
        @if source.cell_index.oracle.iter().any(Option::is_some) {
            p.small {
                "oracle answers only questions with boxes, and is compared with all questions without pruning."
            }
        }
    };
    Some(section("datasets", "Dataset by dataset", lead, content))
}

fn table(source: &Source<'_>, names: &[String], budget: usize) -> Table {
    let cell_index = source.cell_index;
    let label = format!("Accuracy by dataset at {}", cell_index.budgets[budget]);
    let relative: Vec<String> = names
        .iter()
        .map(|name| format!("{name}, relative"))
        .collect();
    let mut columns = vec!["cell", "relative mean"];
    columns.extend(names.iter().map(String::as_str));
    columns.extend(relative.iter().map(String::as_str));
    let mut table = Table::new(&label, "plain", &columns);
    for (name, cells) in rows(source, budget) {
        let values = Values::of(source, &cells, names.len());
        let number = |value: Option<f64>| Field::or_dash(value, Field::percent);
        let mean = match (source.analysis.relative.is_empty(), values.mean) {
            (true, _) => Field::Empty,
            // Shaded from half of the unpruned accuracy upwards, since relevant values are not
            // below it.
            (false, mean) => {
                Field::or_dash(mean, |mean| Field::percent(mean).shaded(2.0 * mean - 1.0))
            }
        };
        let by_dataset = values.relative.iter().map(|value| match value {
            Some(_) => number(*value),
            None => Field::Empty,
        });
        let accuracies = values.accuracy.iter().map(|value| number(*value));
        let fields = [Field::Head(name), mean].into_iter();
        table.row(fields.chain(accuracies).chain(by_dataset));
    }
    table
}

/// Cells without pruning first, then the budget's cells; chance is the mean over its seeds.
fn rows(source: &Source<'_>, budget: usize) -> Vec<(String, Vec<usize>)> {
    let cell_index = source.cell_index;
    let mut rows: Vec<(String, Vec<usize>)> = Vec::new();
    for (name, cell) in [
        ("vanilla", cell_index.vanilla),
        ("drop_all", cell_index.drop_all),
        ("no_image", cell_index.no_image),
    ] {
        rows.extend(cell.map(|cell| (name.to_owned(), vec![cell])));
    }
    let seeds = &cell_index.random[budget];
    for (name, cell) in cells_at(source, budget) {
        let is_random = seeds.contains(&cell);
        rows.push(if is_random && seeds.len() > 1 {
            (
                format!("{name}, mean of {} seeds", seeds.len()),
                seeds.clone(),
            )
        } else {
            (name, vec![cell])
        });
    }
    rows
}

/// Means over some cells; `None` where one of them has no value.
struct Values {
    /// By dataset, as in the other tables.
    accuracy: Vec<Option<f64>>,
    relative: Vec<Option<f64>>,
    mean: Option<f64>,
}

impl Values {
    fn of(source: &Source<'_>, cells: &[usize], num_datasets: usize) -> Values {
        let analysis = source.analysis;
        let accuracy = |cell: usize, dataset: usize| {
            let strata = analysis.cells[cell].strata.iter();
            let mut of_datasets = strata.filter(|stratum| stratum.by == BY_DATASET);
            of_datasets.nth(dataset)?.accuracy.mean
        };
        let of = |cell: usize| {
            let id = &analysis.cells[cell].id;
            analysis
                .relative
                .iter()
                .find(|relative| relative.cell == *id)
        };
        let relative =
            |cell: usize, dataset: usize| of(cell)?.by_dataset.get(dataset).copied().flatten();
        Values {
            accuracy: (0..num_datasets)
                .map(|dataset| mean(cells, |cell| accuracy(cell, dataset)))
                .collect(),
            relative: (0..num_datasets)
                .map(|dataset| mean(cells, |cell| relative(cell, dataset)))
                .collect(),
            mean: mean(cells, |cell| of(cell)?.mean),
        }
    }
}

fn mean(cells: &[usize], value: impl Fn(usize) -> Option<f64>) -> Option<f64> {
    let values: Option<Vec<f64>> = cells.iter().map(|&cell| value(cell)).collect();
    let values = values.filter(|values| !values.is_empty())?;
    Some(values.iter().sum::<f64>() / values.len() as f64)
}
