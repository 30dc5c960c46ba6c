//! What came of a run, on standard output.

use anyhow::Result;
use fp_eval::report::Written;
use fp_eval::study::{CellResult, RunSummary, cell_results, read_records, read_spec};
use serde::Serialize;

use super::progress::duration;
use crate::commands::{print_json, print_text};
use crate::table::table;

#[derive(Serialize)]
struct Outcome<'a> {
    summary: &'a RunSummary,
    cells: &'a [CellResult],
    report: Option<Vec<String>>,
}

pub(super) fn print(summary: &RunSummary, report: Option<&Written>, json: bool) -> Result<()> {
    let spec = read_spec(&summary.output)?;
    let records = read_records(&summary.output)?;
    let cells = cell_results(&spec, &records)?;
    let files = report.map(|report| {
        let files = report.files.iter();
        files.map(|file| file.display().to_string()).collect()
    });
    if json {
        return print_json(&Outcome {
            summary,
            cells: &cells,
            report: files,
        });
    }
    let mut text = report.map_or_else(String::new, |report| report.analysis.verdict.brief());
    text += &cell_table(&cells);
    text += &format!(
        "\n\n{} samples in {}, {} of them from before{}; records in {}\n",
        summary.num_samples,
        duration(summary.seconds),
        summary.num_resumed,
        match summary.num_failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        },
        summary.output.display()
    );
    if let Some(verdict) = summary.loading.verdict() {
        text += &format!("{verdict}\n");
    }
    for file in files.into_iter().flatten() {
        text += &format!("wrote {file}\n");
    }
    print_text(&text)
}

/// Accuracy of every cell.
fn cell_table(cells: &[CellResult]) -> String {
    let rows: Vec<Vec<String>> = cells
        .iter()
        .map(|result| {
            vec![
                result.cell.id.clone(),
                match result.accuracy.n {
                    0 => "–".to_owned(),
                    _ => format!("{:.1}", 100.0 * result.accuracy.mean),
                },
                result.accuracy.n.to_string(),
                format!("{:.1}", result.mean_kept),
                match result.costs.first() {
                    Some(cost) => format!("{:.1} %", 100.0 * cost.sequence_ratio),
                    None => String::new(),
                },
                match result.num_near_ties {
                    0 => String::new(),
                    count => count.to_string(),
                },
            ]
        })
        .collect();
    let header = ["cell", "accuracy", "samples", "kept", "MACs", "near-ties"];
    table(&header, &rows, &[1, 2, 3, 4, 5])
}
