//! Accuracy by dataset, and the mean relative to no pruning.

use std::fmt::Write;

use fp_eval::format::percent;

use super::Source;

/// The section of `summary.md`; empty for a single dataset.
pub(super) fn section(source: &Source<'_>, text: &mut String) {
    let analysis = source.analysis;
    let names = source.run.dataset_names();
    if names.len() < 2 {
        return;
    }
    let _ = writeln!(text, "\n## Accuracy by dataset in %\n");
    let _ = writeln!(
        text,
        "The last column is the mean over datasets of the accuracy relative to no pruning.\n"
    );
    let _ = writeln!(text, "| cell | {} | relative mean |", names.join(" | "));
    let _ = writeln!(text, "| ---{} | ---: |", " | ---:".repeat(names.len()));
    for cell in &analysis.cells {
        let strata = cell.strata.iter();
        let of_datasets = strata.filter(|stratum| stratum.by == crate::BY_DATASET);
        let value = |mean: Option<f64>| mean.map_or_else(|| "–".to_owned(), percent);
        let values: Vec<String> = of_datasets
            .map(|stratum| value(stratum.accuracy.mean))
            .collect();
        let mut relative = analysis.relative.iter();
        let relative = relative.find(|relative| relative.cell == cell.id);
        let relative = value(relative.and_then(|relative| relative.mean));
        let values = values.join(" | ");
        let _ = writeln!(text, "| {} | {values} | {relative} |", cell.id);
    }
}
