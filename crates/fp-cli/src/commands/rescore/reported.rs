//! Scores by the evaluator that wrote the answers, beside ours.

use fp_data::rescore::{BesideOurs, Scored};
use fp_eval::format::signed;

use super::report::{MISSING, number};
use crate::table::table;

/// One table per file that came with such scores.
pub(super) fn text(scored: &[Scored]) -> String {
    let with_scores = scored.iter().filter_map(|scored| {
        let first = scored.reported.first()?;
        Some(block(scored, first))
    });
    with_scores.collect()
}

fn block(scored: &Scored, first: &BesideOurs) -> String {
    let rows: Vec<Vec<String>> = scored.reported.iter().map(row).collect();
    let header = ["theirs is", "ours is", "theirs", "ours", "difference"];
    let table = table(&header, &rows, &[2, 3, 4]);
    let mut text = format!(
        "\n{}'s own scores of {} ({}), beside ours by its rule\n{table}\n",
        first.tool, scored.name, first.file
    );
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for beside in &scored.reported {
        let reason = beside.because.as_str();
        match reasons.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, metrics)) => metrics.push(&beside.metric),
            None => reasons.push((reason, vec![&beside.metric])),
        }
    }
    for (reason, metrics) in reasons {
        text += &format!("* {}: {reason}\n", metrics.join(", "));
    }
    text
}

fn row(beside: &BesideOurs) -> Vec<String> {
    let missing = || MISSING.to_owned();
    let difference = beside.difference.map(|difference| {
        // Differences due to rounding are shown as 0.
        let difference = if difference.abs() < 0.005 {
            0.0
        } else {
            difference
        };
        signed(difference, 2)
    });
    vec![
        beside.metric.clone(),
        beside.rule.clone().unwrap_or_else(missing),
        number(Some(beside.theirs)),
        number(beside.ours),
        difference.unwrap_or_else(missing),
    ]
}
