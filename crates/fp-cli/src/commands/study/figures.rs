//! Each benchmark's own figures, below the table of accuracies.

use fp_eval::format::{fixed, p_number, signed};
use fp_report::{Analysis, BY_DATASET, CellSummary, DatasetFigures, Reference};

use crate::table::{WIDTH, table, wrap};

/// One table per dataset whose benchmark reports more than the accuracy; `labels` are the names of
/// the rows, in three columns.
pub(super) fn own_figures(analysis: &Analysis, labels: &[[String; 3]]) -> String {
    let datasets = analysis.figures.iter();
    datasets
        .map(|dataset| of_dataset(analysis, dataset, labels))
        .collect()
}

fn of_dataset(analysis: &Analysis, dataset: &DatasetFigures, labels: &[[String; 3]]) -> String {
    let mut text = String::new();
    let mut said = dataset.notes();
    said.extend(dataset.undefined(&dataset.headlines));
    let has_value = |name: &&String| {
        let mut cells = dataset.cells.iter();
        cells.any(|cell| {
            cell.figure(name)
                .is_some_and(|figure| figure.value.is_some())
        })
    };
    let shown: Vec<&String> = dataset.headlines.iter().filter(has_value).collect();
    if shown.is_empty() && said.is_empty() {
        return text;
    }
    text.push('\n');
    if let Some(first) = shown.first() {
        let against = format!("{first} − vanilla");
        let mut header = vec!["strategy", "h", "kept", "accuracy"];
        header.extend(shown.iter().map(|name| name.as_str()));
        header.extend([against.as_str(), "Holm p"]);
        let rows = analysis.cells.iter().zip(labels).map(|(cell, label)| {
            let accuracy = accuracy(cell, &dataset.dataset).map(|share| fixed(100.0 * share, 1));
            let mut row = label.to_vec();
            row.push(accuracy.unwrap_or_else(|| "none".to_owned()));
            let figures = dataset.cell(&cell.id);
            row.extend(shown.iter().map(|name| {
                let value = figures.and_then(|figures| figures.figure(name)?.value);
                value.map_or("undefined".to_owned(), |value| fixed(value, 1))
            }));
            let against = dataset.comparison(first, Reference::Vanilla, &cell.id);
            row.push(against.map_or(String::new(), |c| signed(c.difference, 1)));
            row.push(against.map_or(String::new(), |c| p_number(c.p_holm)));
            row
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let right: Vec<usize> = (1..header.len()).collect();
        text += &format!("\nWhat {} reports\n\n", dataset.title());
        text += &table(&header, &rows, &right);
    }
    for mut line in said {
        // Without a table no heading names the dataset.
        if shown.is_empty() {
            line = format!("{}: {line}", dataset.title());
        }
        text += &format!("\n{}", wrap(&line, WIDTH).join("\n"));
    }
    text
}

/// A cell's accuracy on one dataset, 0 to 1.
fn accuracy(cell: &CellSummary, dataset: &str) -> Option<f64> {
    let mut strata = cell
        .strata
        .iter()
        .filter(|stratum| stratum.by == BY_DATASET)
        .peekable();
    if strata.peek().is_none() {
        return cell.accuracy.mean;
    }
    strata
        .find(|stratum| stratum.group == dataset)?
        .accuracy
        .mean
}
