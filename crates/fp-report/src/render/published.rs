//! Published and re-run figures beside those of the run, in `summary.md`.

use std::fmt::Write;

use fp_eval::format::fixed;

use super::Source;
use super::markdown::row;
use crate::published::{BesidePublished, PublishedFigure};

/// Explanation of the rows.
pub(super) const LEGEND: &str = "What was measured here, beside what papers print and what others re-measured for the same model, method, budget and benchmark. Published figures enter no mean and no test; budgets are named as in their source, and authors count them differently.";

/// The section; empty where the run is about nothing that was published.
pub(super) fn section(source: &Source<'_>, text: &mut String) {
    let Some(published) = &source.analysis.published else {
        return;
    };
    // Writing to a string can't fail.
    let _ = writeln!(text, "\n## Published and re-run figures\n");
    if let Some(why) = &published.why_none {
        let _ = writeln!(text, "{why}");
        return;
    }
    let _ = writeln!(text, "{LEGEND}\n");
    let header = [
        "dataset",
        "figure",
        "cell",
        "B",
        "questions",
        "measured here",
    ];
    let of_others = ["published", "budget", "origin", "source"];
    row(text, header.into_iter().chain(of_others).map(str::to_owned));
    let is_figure = |at: usize| matches!(at, 3..=7);
    row(
        text,
        (0..10).map(|at| if is_figure(at) { "---:" } else { "---" }.to_owned()),
    );
    for own in &published.figures {
        for (at, other) in own.published.iter().enumerate() {
            let own = if at == 0 {
                own_fields(own)
            } else {
                Default::default()
            };
            row(text, own.into_iter().chain(other_fields(other)));
        }
    }
}

fn own_fields(own: &BesidePublished) -> [String; 6] {
    [
        own.dataset.clone(),
        own.column.title().to_owned(),
        own.cell.clone(),
        fixed(own.average_visual_tokens, 1),
        questions(own),
        fixed(own.measured, 1),
    ]
}

fn other_fields(other: &PublishedFigure) -> [String; 4] {
    [
        fixed(other.value, 1),
        other.visual_tokens.to_string(),
        other.origin.name().to_owned(),
        described(other),
    ]
}

/// The number of questions, and whether they are only a part.
pub(super) fn questions(own: &BesidePublished) -> String {
    let part = if own.is_of_part { " (a part)" } else { "" };
    format!("{}{part}", own.n)
}

/// The source, with the schedule and the remark.
pub(super) fn described(other: &PublishedFigure) -> String {
    let schedule = other
        .schedule
        .iter()
        .map(|schedule| format!("schedule {schedule}"));
    let parts = std::iter::once(other.source.clone())
        .chain(schedule)
        .chain(other.note.clone());
    parts.collect::<Vec<String>>().join("; ")
}
