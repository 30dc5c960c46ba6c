//! `cells.csv`: one line per cell, for spreadsheets and plotting programs.

use std::fmt::Write;

use fp_eval::study::Method;

use super::Source;
use crate::analysis::{Comparison, Reference};

/// One line per cell. Scores are 0 to 1; empty where a figure doesn't exist.
pub(crate) fn cells_csv(source: &Source<'_>) -> String {
    let mut header = vec![
        "cell",
        "method",
        "head_strategy",
        "query_strategy",
        "num_selected_heads",
        "budget",
        "mean_kept",
        "average_visual_tokens",
        "n",
        "num_images",
        "accuracy",
        "standard_error",
        "low",
        "high",
        "skipped",
        "failed",
        "near_ties",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect::<Vec<_>>();
    for reference in Reference::ALL {
        let name = reference.label("baseline");
        for figure in ["difference", "low", "high", "p", "p_holm", "outcome"] {
            header.push(format!("vs_{name}_{figure}"));
        }
    }
    for figure in [
        "area_recall",
        "area_precision",
        "lift",
        "hit",
        "macs_visual",
        "macs_sequence",
        "kv_bytes",
        "lost",
        "won",
        "n_with_vanilla",
        "vanilla_on_same",
        "difference_from_vanilla",
        "n_difficult",
        "accuracy_difficult",
    ] {
        header.push(figure.to_owned());
    }
    let families = source
        .analysis
        .strata
        .iter()
        .filter(|strata| strata.by == "family");
    for group in families.flat_map(|strata| &strata.groups) {
        header.push(format!("accuracy_{}", group.name));
    }
    for figure in [
        "schedule",
        "average_by_output",
        "kept_in_last_layer",
        "macs_sequence_of_vanilla",
    ] {
        header.push(figure.to_owned());
    }
    let mut text = String::new();
    line(&mut text, &header);
    for index in 0..source.analysis.cells.len() {
        line(&mut text, &fields(source, index));
    }
    text
}

fn fields(source: &Source<'_>, index: usize) -> Vec<String> {
    let analysis = source.analysis;
    let cell = &analysis.cells[index];
    let (head, query, heads) = match &cell.method {
        Method::Strategy {
            head_strategy,
            query_strategy,
            num_selected_heads,
        }
        | Method::Static {
            head_strategy,
            query_strategy,
            num_selected_heads,
        } => (
            head_strategy.to_string(),
            query_strategy.to_string(),
            num_selected_heads.to_string(),
        ),
        Method::Named { query_strategy, .. } => (
            String::new(),
            query_strategy.map_or(String::new(), |query| query.to_string()),
            String::new(),
        ),
    };
    let method = match &cell.method {
        Method::Strategy { .. } => "strategy",
        Method::Static { .. } => "static",
        Method::Named { name, .. } => name,
    };
    let cost = &analysis.costs[index];
    let [low, high] = match cell.accuracy.interval {
        Some(ends) => ends.map(Some),
        None => [None; 2],
    };
    let mut fields = vec![
        cell.id.clone(),
        method.to_owned(),
        head,
        query,
        heads,
        cell.budget.clone().unwrap_or_default(),
        number(cell.mean_kept),
        number(Some(cost.average_visual_tokens)),
        cell.accuracy.n.to_string(),
        cell.accuracy.num_images.to_string(),
        number(cell.accuracy.mean),
        number(cell.accuracy.standard_error),
        number(low),
        number(high),
        cell.num_skipped.to_string(),
        cell.num_failed.to_string(),
        cell.num_near_ties.to_string(),
    ];
    for reference in Reference::ALL {
        fields.extend(comparison(analysis.comparison(reference, &cell.id)));
    }
    let quality = analysis
        .token_quality
        .iter()
        .find(|quality| quality.cell == cell.id);
    let overlap = quality.and_then(|quality| quality.overlap);
    let same = cell.vanilla_on_same;
    // A cell without a budget is compared on the difficult samples of every budget.
    let difficult = cell.budget.as_ref().and_then(|budget| {
        let difficult = analysis.difficult.as_ref()?;
        difficult.accuracy(budget, &cell.id)
    });
    let flips = analysis.flips.iter().find(|flips| flips.cell == cell.id);
    fields.extend([
        number(overlap.map(|overlap| overlap.area_recall)),
        number(overlap.map(|overlap| overlap.area_precision)),
        number(overlap.map(|overlap| overlap.lift)),
        number(overlap.map(|overlap| overlap.hit)),
        number(Some(cost.macs[0].visual)),
        number(Some(cost.macs[0].sequence)),
        number(Some(cost.kv_bytes)),
        flips.map_or(String::new(), |flips| flips.all.lost.to_string()),
        flips.map_or(String::new(), |flips| flips.all.won.to_string()),
        same.map_or(String::new(), |same| same.n.to_string()),
        number(same.map(|same| same.vanilla)),
        number(same.map(|same| same.difference)),
        difficult.map_or(String::new(), |accuracy| accuracy.n.to_string()),
        number(difficult.and_then(|accuracy| accuracy.mean)),
    ]);
    let families = cell.strata.iter().filter(|stratum| stratum.by == "family");
    fields.extend(families.map(|stratum| number(stratum.accuracy.mean)));
    let is_counted = cost.n > 0;
    fields.push(cost.schedule.text.clone());
    fields.extend(
        [
            cost.average_by_output,
            cost.kept,
            cost.macs[0].sequence_ratio(),
        ]
        .map(|figure| number(Some(figure).filter(|_| is_counted))),
    );
    fields
}

fn comparison(comparison: Option<&Comparison>) -> Vec<String> {
    match comparison {
        None => vec![String::new(); 6],
        Some(c) => vec![
            number(Some(c.difference)),
            number(Some(c.interval[0])),
            number(Some(c.interval[1])),
            number(Some(c.p)),
            number(Some(c.p_holm)),
            c.outcome.name().to_owned(),
        ],
    }
}

pub(super) fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

/// Writes a line by RFC 4180: fields with commas, quotes or line breaks are quoted.
pub(crate) fn line(text: &mut String, fields: &[String]) {
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        if field.contains([',', '"', '\n', '\r']) {
            // Writing to a string can't fail.
            let _ = write!(text, "\"{}\"", field.replace('"', "\"\""));
        } else {
            text.push_str(field);
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn odd_fields_stand_in_quotes() {
        let mut text = String::new();
        line(
            &mut text,
            &["a".into(), "b,c".into(), "d\"e".into(), String::new()],
        );
        assert_eq!(text, "a,\"b,c\",\"d\"\"e\",\r\n");
    }
}
