//! What `score` prints.

use std::collections::BTreeMap;
use std::fmt::Write;

use fp_scoring::{
    CutAudit, Equivalence, EquivalenceMatrix, Normalization, Selection, SelectionAudit,
};
use serde::Serialize;

use crate::table::{WIDTH, ranges, table, wrap};

/// What one combination of strategies selected on one sample.
pub(super) struct Outcome {
    /// Index in the batch, where the dump has one.
    pub(super) sample: Option<usize>,
    /// Layer, counted from 1, where it is known.
    pub(super) layer: Option<usize>,
    pub(super) selection: Selection,
}

impl Outcome {
    /// The combination's name: head strategy, and query strategy where there is one.
    pub(super) fn label(&self) -> String {
        match &self.selection.audit.query {
            Some(query) => format!("{} + {}", self.selection.head_strategy, query.strategy),
            None => self.selection.head_strategy.to_string(),
        }
    }
}

/// Everything that was selected, and what is said above it.
pub(super) struct Report<'a> {
    pub(super) outcomes: &'a [Outcome],
    pub(super) equivalence: &'a EquivalenceMatrix,
    pub(super) normalize: Normalization,
    pub(super) num_heads: usize,
    pub(super) num_image_tokens: usize,
    pub(super) keep: usize,
}

/// One outcome for programs.
#[derive(Serialize)]
pub(super) struct Record<'a> {
    sample: Option<usize>,
    layer: Option<usize>,
    query_strategy: Option<fp_scoring::QueryStrategy>,
    normalize: Normalization,
    num_image_tokens: usize,
    keep: usize,
    /// `head_strategy` to `audit`.
    #[serde(flatten)]
    selection: &'a Selection,
    /// Agreement with each other combination, over all samples.
    equivalence: BTreeMap<&'a str, Equivalence>,
}

impl Report<'_> {
    /// One record per outcome.
    pub(super) fn records(&self) -> Vec<Record<'_>> {
        let labels = self.equivalence.labels();
        let num_combinations = labels.len().max(1);
        self.outcomes
            .iter()
            .enumerate()
            .map(|(index, outcome)| {
                // Every sample brings the same combinations in the same order.
                let row = index % num_combinations;
                let others = labels
                    .iter()
                    .enumerate()
                    .filter(|(column, _)| *column != row);
                Record {
                    sample: outcome.sample,
                    layer: outcome.layer,
                    query_strategy: outcome.selection.audit.query.as_ref().map(|q| q.strategy),
                    normalize: self.normalize,
                    num_image_tokens: self.num_image_tokens,
                    keep: self.keep,
                    selection: &outcome.selection,
                    equivalence: others
                        .filter_map(|(column, label)| {
                            Some((label.as_str(), self.equivalence.get(row, column)?))
                        })
                        .collect(),
                }
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
            self.num_image_tokens,
            first.selection.num_selected_heads,
            self.num_heads,
            self.normalize,
        );
        let place = |outcome: &Outcome| {
            (
                outcome.sample,
                outcome
                    .selection
                    .audit
                    .query
                    .as_ref()
                    .map(|query| query.strategy),
            )
        };
        for group in self.outcomes.chunk_by(|a, b| place(a) == place(b)) {
            text += &selections(group);
        }
        if self.equivalence.labels().len() > 1 {
            text += &matrix(self.equivalence);
        }
        text
    }
}

/// One sample under one query strategy: a line per head strategy.
fn selections(outcomes: &[Outcome]) -> String {
    let Some(first) = outcomes.first() else {
        return String::new();
    };
    let mut title = Vec::new();
    title.extend(first.sample.map(|sample| format!("sample {sample}")));
    title.extend(first.layer.map(|layer| format!("layer {layer}")));
    if let Some(query) = &first.selection.audit.query {
        let branch = match query.branch == query.strategy.name() {
            true => String::new(),
            false => format!(" (here {})", query.branch),
        };
        let rows = ranges(&query.rows, 40);
        title.push(format!(
            "looked at from {}{branch}, rows {rows}",
            query.strategy
        ));
    }
    let rows: Vec<Vec<String>> = outcomes
        .iter()
        .map(|outcome| {
            let Outcome { selection, .. } = outcome;
            let audit = &selection.audit;
            vec![
                selection.head_strategy.to_string(),
                ranges(&selection.selected_heads, 18),
                narrowest(&[audit.head_cut, audit.coarse_head_cut]),
                ranges(selection.kept_tokens.as_slice(), 28),
                narrowest(&[audit.token_cut]),
                notes(audit),
            ]
        })
        .collect();
    let header = [
        "head strategy",
        "heads",
        "head gap",
        "kept tokens",
        "token gap",
        "notes",
    ];
    let title = match title.is_empty() {
        true => String::new(),
        false => title.join(", ") + "\n",
    };
    title + &table(&header, &rows, &[2, 4]) + "\n\n"
}

/// The gap of the cut that is nearest to a tie, as a share of the scores' range.
fn narrowest(cuts: &[Option<CutAudit>]) -> String {
    let gaps = cuts.iter().flatten().map(|cut| cut.gap);
    gaps.reduce(f64::min)
        .map_or("-".to_owned(), |gap| format!("{gap:.1e}"))
}

/// What a reader must know before trusting the line.
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

/// Combinations that fit side by side in a terminal.
const MAX_COLUMNS: usize = 12;

fn matrix(matrix: &EquivalenceMatrix) -> String {
    let labels = matrix.labels();
    let samples = match matrix.num_samples() {
        1 => "one sample".to_owned(),
        count => format!("{count} samples"),
    };
    let mut text = format!(
        "Which strategies are one strategy: mean Jaccard of the kept tokens over {samples};\n= where they are identical in each\n"
    );
    if labels.len() > MAX_COLUMNS {
        return text + &twins(matrix);
    }
    let numbers: Vec<String> = (1..=labels.len())
        .map(|number| number.to_string())
        .collect();
    let mut header = vec![""];
    header.extend(numbers.iter().map(String::as_str));
    let rows: Vec<Vec<String>> = (0..labels.len())
        .map(|i| {
            let mut row = vec![format!("{:>2} {}", i + 1, labels[i])];
            row.extend((0..labels.len()).map(|j| cell(matrix, i, j)));
            row
        })
        .collect();
    let right: Vec<usize> = (1..=labels.len()).collect();
    text += &table(&header, &rows, &right);
    text
}

fn cell(matrix: &EquivalenceMatrix, i: usize, j: usize) -> String {
    match matrix.get(i, j) {
        Some(_) if i == j => "·".to_owned(),
        Some(pair) if pair.identical_share == 1.0 => "=".to_owned(),
        // .87 rather than 0.87: twelve columns have to fit.
        // Rounding must not make different sets look equal.
        Some(pair) => format!("{:.2}", pair.mean_jaccard.min(0.99))
            .trim_start_matches('0')
            .to_owned(),
        None => String::new(),
    }
}

/// Too many combinations for a matrix: those that agree everywhere, as groups.
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
