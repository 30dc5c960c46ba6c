//! Runs as tables.

use std::path::Path;

use anyhow::Result;
use fp_eval::study::{SampleRecord, VisualInputRecord};
use fp_report::{Run, cell_summaries};
use serde_json::{Map, Value, json};

use crate::commands::cells_of;

/// The records of a run: one object per sample and cell, without text-only questions.
///
/// # Errors
/// A folder that isn't a run's, or damaged records.
pub fn records_of_run(folder: &Path) -> Result<Vec<Value>> {
    let run = Run::read(folder)?;
    let names: Vec<String> = run.spec.datasets.iter().map(|d| d.name.clone()).collect();
    let mut rows = Vec::new();
    run.stream(|records| {
        let of_images = records.into_iter().filter(|record| !record.text_only);
        for record in of_images {
            add_rows(&mut rows, &run, &names, &record);
        }
        anyhow::Ok(())
    })?;
    // By index, whatever the order of running; the sort is stable and keeps the order of the cells.
    rows.sort_by_key(|row| row["index"].as_u64());
    Ok(rows)
}

fn add_rows(rows: &mut Vec<Value>, run: &Run, names: &[String], record: &SampleRecord) {
    for (index, cell) in run.spec.grid.cells.iter().enumerate() {
        let of_cell = record.cells.get(index);
        let answer = record.run_of(index);
        let kept = answer.and_then(|answer| answer.seen.last_tokens());
        let num_image = record.layout.map_or(0, |layout| layout.num_image);
        let error = of_cell.and_then(|cell| cell.error.as_ref());
        rows.push(json!({
            "index": record.index,
            "dataset": names[record.dataset],
            "id": record.id,
            "image_id": record.image_id,
            "image": record.image,
            "family": record.family,
            "question": record.question,
            "answers": record.answers,
            "num_image_tokens": record.layout.map(|layout| layout.num_image),
            "cell": cell.id,
            "text": answer.map(|answer| &answer.text),
            "score": answer.map(|answer| answer.score),
            "num_kept": answer.map(|answer| answer.seen.num_last(num_image)),
            "kept_tokens": match answer.map(|answer| &answer.seen) {
                Some(VisualInputRecord::NoImage) => json!([]),
                _ => json!(kept),
            },
            "selected_heads": of_cell
                .map(|cell| &cell.heads)
                .filter(|heads| !heads.is_empty()),
            "is_near_tie": record.is_near_tie(index),
            "skipped": of_cell.and_then(|cell| cell.skipped.as_ref()),
            "error": record.error.as_ref().or(error),
        }));
    }
}

/// The cells of a run: one object per cell with its accuracy and interval, its description and its
/// cost.
///
/// # Errors
/// As [`records_of_run`], or records from which nothing can be computed.
pub fn cells_of_run(folder: &Path) -> Result<Vec<Value>> {
    let run = Run::read(folder)?;
    let results = cells_of(&run)?;
    let summaries = cell_summaries(&run)?;
    let mut rows = Vec::new();
    for (result, summary) in results.iter().zip(&summaries) {
        let mut row = Map::from_iter([
            ("cell".to_owned(), json!(result.cell.id)),
            ("budget".to_owned(), json!(summary.budget)),
        ]);
        if let Value::Object(method) = serde_json::to_value(&result.cell.method)? {
            row.extend(method);
        }
        let accuracy = &summary.accuracy;
        let interval = accuracy.interval;
        let cost = result.costs.first();
        row.extend([
            ("prune_layer".to_owned(), json!(result.cell.prune_layer)),
            ("n".to_owned(), json!(accuracy.n)),
            ("accuracy".to_owned(), json!(accuracy.mean)),
            ("low".to_owned(), json!(interval.map(|[low, _]| low))),
            ("high".to_owned(), json!(interval.map(|[_, high]| high))),
            (
                "interval_method".to_owned(),
                json!(accuracy.interval_method),
            ),
            ("mean_kept".to_owned(), json!(summary.mean_kept)),
            ("num_skipped".to_owned(), json!(summary.num_skipped)),
            ("num_failed".to_owned(), json!(summary.num_failed)),
            ("num_near_ties".to_owned(), json!(summary.num_near_ties)),
            (
                "average_visual_tokens".to_owned(),
                json!(cost.map(|cost| cost.average_visual_tokens)),
            ),
            (
                "visual_ratio".to_owned(),
                json!(cost.map(|cost| cost.visual_ratio)),
            ),
            (
                "sequence_ratio".to_owned(),
                json!(cost.map(|cost| cost.sequence_ratio)),
            ),
        ]);
        rows.push(Value::Object(row));
    }
    Ok(rows)
}

/// Compares two runs by paired tests, as `finepruner compare --json` prints them.
///
/// # Errors
/// Folders that aren't runs', or runs that have nothing in common.
pub fn compare_runs(first: &Path, second: &Path) -> Result<Value> {
    Ok(serde_json::to_value(fp_report::compare(first, second)?)?)
}
