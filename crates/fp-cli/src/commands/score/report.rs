//! Output of `score`.

use std::collections::BTreeMap;
use std::fmt::Write;

use fp_scoring::{Equivalence, EquivalenceMatrix, Normalization, Selection, SelectionAudit};
use serde::Serialize;

use super::aggregate::{Aggregate, Combination, narrowest};
use crate::table::{WIDTH, ranges, table, wrap};

/// The selection of one combination of strategies on one sample.
pub(super) struct Outcome {
    /// Index of the dump, from 0; one file may be scored under several ranges.
    pub(super) dump_index: usize,
    /// Path of the dump, if there are several.
    pub(super) dump: Option<String>,
    /// Index in the batch, where the dump has one.
    pub(super) sample: Option<usize>,
    /// Layer, counted from 1, if known.
    pub(super) layer: Option<usize>,
    pub(super) selection: Selection,
}

impl Outcome {
    /// The combination's name: head strategy, and query strategy if there is one.
    pub(super) fn label(&self) -> String {
        match &self.selection.audit.query {
            Some(query) => format!("{} + {}", self.selection.head_strategy, query.strategy),
            None => self.selection.head_strategy.to_string(),
        }
    }
}

/// All selections, and the notes above them.
pub(super) struct Report<'a> {
    pub(super) outcomes: &'a [Outcome],
    pub(super) aggregate: &'a Aggregate,
    pub(super) normalize: Normalization,
    pub(super) keep: usize,
    /// Settings without any effect.
    pub(super) notes: &'a [String],
}

/// One outcome, for JSON.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    dump: Option<&'a str>,
    sample: Option<usize>,
    layer: Option<usize>,
    query_strategy: Option<fp_scoring::QueryStrategy>,
    normalize: Normalization,
    num_image_tokens: usize,
    keep: usize,
    /// Settings without any effect.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    /// The keys `head_strategy` to `audit`.
    #[serde(flatten)]
    selection: &'a Selection,
    /// The combination over all samples of all dumps.
    aggregate: &'a Combination,
    /// Its agreement with each other combination, over the same samples.
    equivalence: BTreeMap<&'a str, Equivalence>,
}

impl Report<'_> {
    /// One record per outcome.
    pub(super) fn records(&self) -> Vec<Record<'_>> {
        let combinations = &self.aggregate.combinations;
        // All samples have the same combinations in the same order.
        let places = (0..combinations.len()).cycle();
        self.outcomes
            .iter()
            .zip(places)
            .map(|(outcome, place)| Record {
                dump: outcome.dump.as_deref(),
                sample: outcome.sample,
                layer: outcome.layer,
                query_strategy: outcome.selection.audit.query.as_ref().map(|q| q.strategy),
                normalize: self.normalize,
                num_image_tokens: outcome.selection.token_importance.len(),
                keep: self.keep,
                notes: self.notes,
                selection: &outcome.selection,
                aggregate: &combinations[place],
                equivalence: self.aggregate.agreement(place),
            })
            .collect()
    }

    /// Tables for a terminal.
    pub(super) fn text(&self) -> String {
        let Some(first) = self.outcomes.first() else {
            return String::new();
        };
        let mut text = format!(
            "Keeping {} of {} image tokens by {} of {} heads, {} normalisation\n\n",
            self.keep,
            self.num_image_tokens(),
            first.selection.num_selected_heads,
            first.selection.head_scores.len(),
            self.normalize,
        );
        let place = |outcome: &Outcome| {
            let query = outcome.selection.audit.query.as_ref();
            let query = query.map(|query| query.strategy);
            (outcome.dump_index, outcome.sample, query)
        };
        let groups = self.outcomes.chunk_by(|a, b| place(a) == place(b));
        for group in groups {
            text += &selections(group);
        }
        let equivalence = &self.aggregate.equivalence;
        if equivalence.num_samples() > 1 {
            text += &over_samples(self.aggregate);
        }
        if equivalence.labels().len() > 1 {
            text += &matrix(equivalence);
        }
        text
    }

    /// N, or its range.
    fn num_image_tokens(&self) -> String {
        let counts = self.outcomes.iter();
        let counts = counts.map(|outcome| outcome.selection.token_importance.len());
        match (counts.clone().min(), counts.max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
            (least, _) => least.unwrap_or(0).to_string(),
        }
    }
}

/// One sample under one query strategy: a line per head strategy, and warnings about some of them.
fn selections(outcomes: &[Outcome]) -> String {
    let Some(first) = outcomes.first() else {
        return String::new();
    };
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| {
            let Outcome { selection, .. } = outcome;
            let audit = &selection.audit;
            vec![
                selection.head_strategy.to_string(),
                ranges(&selection.selected_heads, 14),
                gap(narrowest(&[audit.head_cut, audit.coarse_head_cut])),
                ranges(selection.kept_tokens.as_slice(), 22),
                gap(narrowest(&[audit.token_cut])),
            ]
        })
        .collect();
    let header = [
        "head strategy",
        "heads",
        "head gap",
        "kept tokens",
        "token gap",
    ];
    let mut text = String::new();
    for line in wrap(&title(first), WIDTH) {
        text += &format!("{line}\n");
    }
    text += &table(&header, &rows, &[2, 4]);
    text.push('\n');
    for outcome in outcomes {
        let notes = notes(&outcome.selection.audit);
        if !notes.is_empty() {
            let note = format!("{}: {notes}", outcome.selection.head_strategy);
            for line in wrap(&note, WIDTH - 2) {
                text += &format!("  {line}\n");
            }
        }
    }
    text + "\n"
}

/// The query rows of a sample; empty if none are known.
fn title(outcome: &Outcome) -> String {
    let mut title = Vec::new();
    title.extend(outcome.dump.clone());
    title.extend(outcome.sample.map(|sample| format!("sample {sample}")));
    title.extend(outcome.layer.map(|layer| format!("layer {layer}")));
    if let Some(query) = &outcome.selection.audit.query {
        let branch = if query.branch == query.strategy.name() {
            String::new()
        } else {
            format!(" (here {})", query.branch)
        };
        let rows = ranges(&query.rows, 40);
        title.push(format!("query {}{branch}, rows {rows}", query.strategy));
    }
    title.join(", ")
}

/// A cut's gap relative to the range of scores.
fn gap(gap: Option<f64>) -> String {
    gap.map_or("-".to_owned(), |gap| format!("{gap:.1e}"))
}

/// Each combination over all samples.
fn over_samples(aggregate: &Aggregate) -> String {
    let mut text = format!(
        "Over {}: the heads selected most often (times), and mean gaps of the cuts\n",
        samples(&aggregate.equivalence)
    );
    let names = short(aggregate.equivalence.labels());
    let combinations: Vec<(&str, &Combination)> = names
        .iter()
        .map(String::as_str)
        .zip(&aggregate.combinations)
        .collect();
    // Labels name both strategies if both vary; then there is one table per query strategy.
    let query = |name: &'_ str| name.split_once(" + ").map(|(_, query)| query.to_owned());
    for group in combinations.chunk_by(|a, b| query(a.0) == query(b.0)) {
        if let Some(query) = group.first().and_then(|(name, _)| query(name)) {
            text += &format!("query {query}\n");
        }
        text += &combination_table(group);
        text += "\n\n";
    }
    text
}

fn combination_table(combinations: &[(&str, &Combination)]) -> String {
    let rows: Vec<Vec<String>> = combinations
        .iter()
        .map(|(name, combination)| {
            let name = name.split_once(" + ").map_or(*name, |(head, _)| head);
            vec![
                name.to_owned(),
                often(combination),
                gap(combination.mean_head_gap),
                gap(combination.mean_token_gap),
                ties(combination),
            ]
        })
        .collect();
    let header = ["strategy", "heads", "head gap", "token gap", "ties"];
    table(&header, &rows, &[2, 3])
}

/// Heads with their number of selections, as many as fit.
fn often(combination: &Combination) -> String {
    let heads = combination.ranked_heads();
    let shown = heads.iter().take(MAX_HEADS);
    let shown: Vec<String> = shown
        .map(|(head, times)| format!("{head}({times})"))
        .collect();
    let more = match heads.len().saturating_sub(MAX_HEADS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    shown.join(" ") + &more
}

/// Most heads that a line names.
const MAX_HEADS: usize = 3;

fn ties(combination: &Combination) -> String {
    match (combination.num_head_ties, combination.num_token_ties) {
        (0, 0) => "-".to_owned(),
        (heads, 0) => format!("heads {heads}"),
        (0, tokens) => format!("tokens {tokens}"),
        (heads, tokens) => format!("{heads} + {tokens}"),
    }
}

/// Labels without the part that all have in common, the query or the head strategy.
fn short(labels: &[String]) -> Vec<String> {
    let parts: Vec<(&str, &str)> = labels
        .iter()
        .map(|label| label.split_once(" + ").unwrap_or((label, "")))
        .collect();
    let first = parts.first().copied().unwrap_or_default();
    let is_one_query = parts.iter().all(|(_, query)| *query == first.1);
    let is_one_head = parts.iter().all(|(head, _)| *head == first.0);
    let name = |(label, (head, query)): (&String, &(&str, &str))| match (is_one_query, is_one_head)
    {
        (true, _) => (*head).to_owned(),
        (false, true) => (*query).to_owned(),
        (false, false) => label.clone(),
    };
    labels.iter().zip(&parts).map(name).collect()
}

/// Warnings about the line.
fn notes(audit: &SelectionAudit) -> String {
    let mut notes = Vec::new();
    let cuts = [
        ("heads", audit.head_cut),
        ("candidates", audit.coarse_head_cut),
        ("tokens", audit.token_cut),
    ];
    for (what, cut) in cuts {
        match cut {
            Some(cut) if cut.is_tie => notes.push(format!("{what}: tie of {}", cut.num_tied)),
            Some(cut) if cut.is_near_tie => notes.push(format!("{what}: near-tie")),
            _ => {}
        }
    }
    if audit.is_head_score_constant {
        notes.push("constant score".to_owned());
    }
    if !audit.zero_mass_heads.is_empty() {
        notes.push(format!(
            "zero mass: heads {}",
            ranges(&audit.zero_mass_heads, 20)
        ));
    }
    if !audit.nan_heads.is_empty() {
        notes.push(format!("NaN: heads {}", ranges(&audit.nan_heads, 20)));
    }
    notes.join("; ")
}

/// Most combinations that fit side by side in a terminal.
const MAX_COLUMNS: usize = 12;

fn samples(matrix: &EquivalenceMatrix) -> String {
    match matrix.num_samples() {
        1 => "one sample".to_owned(),
        count => format!("{count} samples"),
    }
}

fn matrix(matrix: &EquivalenceMatrix) -> String {
    let labels = short(matrix.labels());
    let mut text = format!(
        "Equivalent strategies: mean Jaccard of the kept tokens\nover {}; = where they are identical in each\n",
        samples(matrix)
    );
    if labels.len() > MAX_COLUMNS {
        return text + &twins(matrix);
    }
    let numbers: Vec<String> = (1..=labels.len())
        .map(|number| number.to_string())
        .collect();
    let named: Vec<String> = (1..)
        .zip(&labels)
        .map(|(number, label)| format!("{number:>2} {label}"))
        .collect();
    // A column has three characters and two spaces.
    let longest = named.iter().map(|name| name.chars().count()).max();
    let is_beside = longest.unwrap_or(0) + 5 * labels.len() <= WIDTH;
    let mut header = vec![""];
    header.extend(numbers.iter().map(String::as_str));
    let rows: Vec<Vec<String>> = (0..labels.len())
        .map(|i| {
            let name = if is_beside { &named[i] } else { &numbers[i] };
            let mut row = vec![name.clone()];
            row.extend((0..labels.len()).map(|j| cell(matrix, i, j)));
            row
        })
        .collect();
    let right: Vec<usize> = (1..=labels.len()).collect();
    if !is_beside {
        text += &(named.join("\n") + "\n");
    }
    text += &table(&header, &rows, &right);
    text
}

fn cell(matrix: &EquivalenceMatrix, i: usize, j: usize) -> String {
    match matrix.get(i, j) {
        Some(_) if i == j => "·".to_owned(),
        Some(pair) if pair.identical_share == 1.0 => "=".to_owned(),
        // .87 rather than 0.87, so that twelve columns fit. Rounding must not make different sets
        // look equal.
        Some(pair) => format!("{:.2}", pair.mean_jaccard.min(0.99))
            .trim_start_matches('0')
            .to_owned(),
        None => String::new(),
    }
}

/// For too many combinations for a matrix: groups of those that always agree.
fn twins(matrix: &EquivalenceMatrix) -> String {
    let labels = matrix.labels();
    let is_same = |i: usize, j: usize| {
        matrix
            .get(i, j)
            .is_some_and(|pair| pair.identical_share == 1.0)
    };
    let mut text = String::new();
    let mut num_outcomes = 0;
    for i in 0..labels.len() {
        if (0..i).any(|j| is_same(i, j)) {
            continue;
        }
        num_outcomes += 1;
        let twins: Vec<&str> = (i + 1..labels.len())
            .filter(|&j| is_same(i, j))
            .map(|j| labels[j].as_str())
            .collect();
        if !twins.is_empty() {
            let group = format!("{} = {}", labels[i], twins.join(" = "));
            for line in wrap(&group, WIDTH - 2) {
                // Writing to a string can't fail.
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    let _ = writeln!(
        text,
        "{num_outcomes} different outcomes of {} combinations; --json has every pair",
        labels.len()
    );
    text
}
