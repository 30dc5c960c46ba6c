//! Outcome of a run, on standard output.

use std::collections::BTreeMap;

use anyhow::Result;
use fp_eval::study::{Cell, CellResult, Method, RunSummary};
use fp_report::{
    CellSummary, DatasetFigures, Failures, ImageRange, Run, TextOnly, Written, cell_summaries,
    image_ranges, text_only,
};
use fp_stats::IntervalKind;
use serde::Serialize;

use super::figures::own_figures;
use super::progress::duration;
use crate::commands::{cells_of, print_json, print_text};
use crate::table::{WIDTH, table, wrap};

/// Most failures that are named; the others are counted.
const MOST_NAMED: usize = 3;

#[derive(Serialize)]
struct Outcome<'a> {
    /// All failures, by kind and individually; omitted where everything was answered.
    #[serde(skip_serializing_if = "Failures::is_empty")]
    failures: &'a Failures,
    summary: &'a RunSummary,
    cells: Vec<CellOutcome<'a>>,
    failed: Vec<Failed<'a>>,
    /// Text-only questions; `None` where the data have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    text_only: Option<TextOnly>,
    /// Positions of the image tokens in the sequences, by dataset.
    image_ranges: Vec<ImageRange>,
    /// Each benchmark's own figures, if there is a report.
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<&'a [DatasetFigures]>,
    report: Option<Vec<String>>,
}

#[derive(Serialize)]
struct CellOutcome<'a> {
    #[serde(flatten)]
    result: &'a CellResult,
    /// Interval of the accuracy at the configured confidence; `None` with fewer than two images.
    interval: Option<[f64; 2]>,
    /// Method of the interval.
    interval_method: Option<IntervalKind>,
}

/// A sample without an answer.
#[derive(Serialize)]
struct Failed<'a> {
    index: usize,
    id: &'a str,
    error: &'a str,
}

/// The outcome as JSON, for use inside another object.
pub(super) fn value(summary: &RunSummary, report: Option<&Written>) -> Result<serde_json::Value> {
    with_outcome(summary, report, |outcome| {
        Ok(serde_json::to_value(outcome)?)
    })
}

/// Prints the outcome as JSON.
pub(super) fn print_as_json(summary: &RunSummary, report: Option<&Written>) -> Result<()> {
    with_outcome(summary, report, |outcome| print_json(outcome))
}

fn with_outcome<T>(
    summary: &RunSummary,
    report: Option<&Written>,
    then: impl FnOnce(&Outcome<'_>) -> Result<T>,
) -> Result<T> {
    let run = Run::read(&summary.output)?;
    let results = cells_of(&run)?;
    let cells = summaries(&run, report)?;
    let cells = results
        .iter()
        .zip(&cells)
        .map(|(result, cell)| CellOutcome {
            result,
            interval: cell.accuracy.interval,
            interval_method: cell.accuracy.interval_method,
        });
    then(&Outcome {
        failures: &Failures::of(&run),
        summary,
        cells: cells.collect(),
        failed: failed(&run),
        text_only: text_only(&run),
        image_ranges: image_ranges(&run),
        figures: report
            .map(|report| report.analysis.figures.as_slice())
            .filter(|figures| !figures.is_empty()),
        report: report.map(file_names),
    })
}

fn summaries(run: &Run, report: Option<&Written>) -> Result<Vec<CellSummary>> {
    Ok(match report {
        Some(report) => report.analysis.cells.clone(),
        None => cell_summaries(run)?,
    })
}

fn file_names(report: &Written) -> Vec<String> {
    let files = report.files.iter();
    files.map(|file| file.display().to_string()).collect()
}

/// Prints the outcome as text.
pub(super) fn print(summary: &RunSummary, report: Option<&Written>) -> Result<()> {
    let run = Run::read(&summary.output)?;
    let results = cells_of(&run)?;
    let cells = summaries(&run, report)?;
    let mut text = match report {
        Some(report) => report.analysis.verdict.brief(),
        None => unreported(&run),
    };
    text += &cell_table(&cells, &results, run.spec.config.statistics.confidence);
    text += &on_same_questions(&cells);
    if let Some(report) = report {
        text += &own_figures(&report.analysis, &labels(&cells, &results));
    }
    text += &format!(
        "\n\n{} samples in {}{}; records in {}\n",
        summary.num_samples,
        duration(summary.seconds),
        match summary.num_resumed {
            0 => String::new(),
            resumed => format!(", {resumed} of them recorded before"),
        },
        summary.output.display()
    );
    for range in image_ranges(&run) {
        text += &format!("{}\n", range.sentence());
    }
    if let Some(verdict) = summary.loading.verdict() {
        text += &format!("{verdict}\n");
    }
    for file in report.map(file_names).into_iter().flatten() {
        text += &format!("wrote {file}\n");
    }
    print_text(&text)
}

/// Accuracy of every cell; what all cells have in common is stated once.
fn cell_table(cells: &[CellSummary], results: &[CellResult], confidence: f64) -> String {
    let labels = labels(cells, results);
    let rows: Vec<Vec<String>> = cells
        .iter()
        .zip(results)
        .zip(labels)
        .map(|((cell, result), [name, heads, kept])| {
            let accuracy = &cell.accuracy;
            let percent = |share: f64| format!("{:.1}", 100.0 * share);
            vec![
                name,
                heads,
                kept,
                accuracy.mean.map_or_else(missing, percent),
                match accuracy.interval {
                    Some([low, high]) => format!("{} to {}", percent(low), percent(high)),
                    None => missing(),
                },
                accuracy.n.to_string(),
                match result.costs.first() {
                    Some(cost) => format!("{} %", percent(cost.sequence_ratio)),
                    None => missing(),
                },
                match cell.num_near_ties {
                    0 => String::new(),
                    count => count.to_string(),
                },
            ]
        })
        .collect();
    let interval = format!("{} % interval", short(100.0 * confidence));
    let header = [
        "strategy",
        "h",
        "kept",
        "accuracy",
        &interval,
        "n",
        "MACs",
        "near ties",
    ];
    Shared::of(cells).caption() + &table(&header, &rows, &[1, 2, 3, 4, 5, 6, 7])
}

/// Labels that distinguish cells: strategy, h and kept tokens.
fn labels(cells: &[CellSummary], results: &[CellResult]) -> Vec<[String; 3]> {
    let shared = Shared::of(cells);
    let cells = cells.iter().zip(results);
    let label = |(cell, result): (&CellSummary, &CellResult)| {
        let kept = cell.mean_kept;
        [
            shared.name(&cell.method),
            num_heads(&cell.method),
            kept.map_or_else(missing, |mean| at_layer(&result.cell) + &self::kept(mean)),
        ]
    };
    cells.map(label).collect()
}

/// Vanilla's accuracy on the samples of cells that answered other samples than vanilla did.
fn on_same_questions(cells: &[CellSummary]) -> String {
    let mut groups: Vec<(usize, f64, Vec<&str>)> = Vec::new();
    for cell in cells {
        let Some(same) = cell.vanilla_on_same.filter(|same| !same.is_all) else {
            continue;
        };
        let is_group = |group: &&mut (usize, f64, _)| (group.0, group.1) == (same.n, same.vanilla);
        match groups.iter_mut().find(is_group) {
            Some((.., ids)) => ids.push(&cell.id),
            None => groups.push((same.n, same.vanilla, vec![&cell.id])),
        }
    }
    let lines = groups.iter().map(|(n, vanilla, ids)| {
        let vanilla = 100.0 * vanilla;
        format!(
            "\nfor {}: vanilla has {vanilla:.1} % on the same {n} samples",
            ids.join(", ")
        )
    });
    lines.collect()
}

/// Strategies that all cells have in common.
struct Shared<'a> {
    head: Option<&'a str>,
    query: Option<&'a str>,
}

impl Shared<'_> {
    fn of(cells: &[CellSummary]) -> Shared<'static> {
        let mut heads: Vec<&'static str> = Vec::new();
        let mut queries: Vec<&'static str> = Vec::new();
        for cell in cells {
            if let Method::Strategy { head_strategy, .. } = &cell.method {
                heads.push(head_strategy.name());
            }
            queries.extend(cell.method.query_strategy().map(|query| query.name()));
        }
        let only = |mut names: Vec<&'static str>| {
            names.dedup();
            match names.as_slice() {
                [only] => Some(*only),
                _ => None,
            }
        };
        let (head, query) = (only(heads), only(queries));
        Shared {
            // The rows need one of the two.
            head: head.filter(|_| query.is_none()),
            query,
        }
    }

    fn caption(&self) -> String {
        match (self.head, self.query) {
            (Some(head), _) => format!("head strategy {head} throughout\n\n"),
            (_, Some(query)) => format!("query strategy {query} throughout\n\n"),
            _ => String::new(),
        }
    }

    /// A method, named by what distinguishes it from the others.
    fn name(&self, method: &Method) -> String {
        match method {
            Method::Strategy {
                head_strategy,
                query_strategy,
                ..
            } => match (self.head, self.query) {
                (_, Some(_)) => head_strategy.to_string(),
                (Some(_), _) => query_strategy.to_string(),
                _ => format!("{head_strategy} + {query_strategy}"),
            },
            Method::Static {
                head_strategy,
                query_strategy,
                num_selected_heads,
            } => {
                let name = self.name(&Method::Strategy {
                    head_strategy: *head_strategy,
                    query_strategy: *query_strategy,
                    num_selected_heads: *num_selected_heads,
                });
                format!("{name}, static heads")
            }
            Method::Named {
                name,
                query_strategy: Some(query_strategy),
                ..
            } => match self.query {
                Some(_) => name.clone(),
                None => format!("{name} + {query_strategy}"),
            },
            other => other.label(),
        }
    }
}

fn num_heads(method: &Method) -> String {
    match method {
        Method::Strategy {
            num_selected_heads, ..
        }
        | Method::Static {
            num_selected_heads, ..
        } => num_selected_heads.to_string(),
        Method::Named { name, .. } if name == "all_heads" => "all".to_owned(),
        Method::Named { .. } => String::new(),
    }
}

fn missing() -> String {
    "–".to_owned()
}

/// K, if the study has several.
fn at_layer(cell: &Cell) -> String {
    cell.prune_layer
        .map_or(String::new(), |layer| format!("K{layer} "))
}

/// Number of kept tokens; a mean has a decimal only if the number isn't constant.
fn kept(mean: f64) -> String {
    match mean.fract() {
        0.0 => format!("{mean:.0}"),
        _ => format!("{mean:.1}"),
    }
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn failed(run: &Run) -> Vec<Failed<'_>> {
    let records = run.records.iter().chain(&run.text_only);
    let failed = records.filter_map(|record| {
        Some(Failed {
            index: record.index,
            id: &record.id,
            error: record.error.as_deref()?,
        })
    });
    failed.collect()
}

/// The parts that a verdict would print around its headline: failures, and what the figures don't
/// include.
fn unreported(run: &Run) -> String {
    let mut text = Failures::of(run).text() + &failed_answers(run);
    for sentence in text_only(run).iter().flat_map(TextOnly::sentences) {
        text += &format!("note: {sentence}\n\n");
    }
    text
}

/// Failed answers of single cells with their reasons: the first ones, and the number of further
/// ones.
fn failed_answers(run: &Run) -> String {
    // All cells that read the same attention fail for the same reason.
    let mut causes: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for record in &run.records {
        for (error, count) in &record.cell_errors {
            *causes.entry((&record.id, error)).or_default() += count;
        }
    }
    if causes.is_empty() {
        return String::new();
    }
    let count: usize = causes.values().sum();
    let first = first_ones(causes.into_keys().collect());
    format!("{count} single answers failed:\n{first}\n")
}

fn first_ones(failures: Vec<(&str, &str)>) -> String {
    let more = failures.len().saturating_sub(MOST_NAMED);
    let mut text = String::new();
    for (id, error) in failures.into_iter().take(MOST_NAMED) {
        for (number, line) in wrap(&format!("sample {id}: {error}"), WIDTH - 4)
            .into_iter()
            .enumerate()
        {
            let indent = if number == 0 { 2 } else { 4 };
            text += &format!("{:indent$}{line}\n", "");
        }
    }
    if more > 0 {
        text += &format!("  and {more} more; `finepruner records` shows every cause\n");
    }
    text
}
