//! Summary of selections over several samples.

use std::collections::BTreeMap;

use anyhow::Result;
use fp_scoring::{CutAudit, EquivalenceMatrix, KeptTokens, Selection};
use serde::Serialize;

use super::report::Outcome;

/// Summary of every combination of strategies over all samples of all dumps.
pub(super) struct Aggregate {
    /// Agreement of the tokens that the combinations keep.
    pub(super) equivalence: EquivalenceMatrix,
    /// By combination, in the order of the labels.
    pub(super) combinations: Vec<Combination>,
}

/// Summary of one combination of strategies over all samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Combination {
    /// Number of samples in all dumps.
    pub(super) num_samples: usize,
    /// `[H]`, number of samples in which each head was selected.
    pub(super) times_selected: Vec<usize>,
    /// Mean over the samples of the head cut's gap relative to the range of scores; `None` where
    /// every head was selected.
    pub(super) mean_head_gap: Option<f64>,
    /// The same for the token cut; `None` where every token was kept.
    pub(super) mean_token_gap: Option<f64>,
    /// Number of samples in which the index decided between equal scores.
    pub(super) num_head_ties: usize,
    /// Number of samples in which the index decided between equal importances.
    pub(super) num_token_ties: usize,
}

impl Aggregate {
    /// Summarises outcomes that are ordered by sample, each sample having the same combinations in
    /// the same order.
    pub(super) fn new(outcomes: &[Outcome]) -> Result<Aggregate> {
        let samples: Vec<&[Outcome]> = outcomes
            .chunk_by(|a, b| (a.dump_index, a.sample) == (b.dump_index, b.sample))
            .collect();
        let first = samples.first().copied().unwrap_or_default();
        let labels = first.iter().map(Outcome::label).collect();
        let mut equivalence = EquivalenceMatrix::new(labels);
        for sample in &samples {
            let kept: Vec<&KeptTokens> = sample
                .iter()
                .map(|outcome| &outcome.selection.kept_tokens)
                .collect();
            equivalence.add_sample(&kept)?;
        }
        let combinations = (0..first.len()).map(|at| {
            let selections = samples.iter().filter_map(|sample| sample.get(at));
            Combination::new(selections.map(|outcome| &outcome.selection))
        });
        Ok(Aggregate {
            combinations: combinations.collect(),
            equivalence,
        })
    }

    /// Agreement of a combination with each other one, by label.
    pub(super) fn agreement(&self, at: usize) -> BTreeMap<&str, fp_scoring::Equivalence> {
        let labels = self.equivalence.labels().iter().enumerate();
        let others = labels.filter(|(other, _)| *other != at);
        others
            .filter_map(|(other, label)| Some((label.as_str(), self.equivalence.get(at, other)?)))
            .collect()
    }
}

impl Combination {
    fn new<'a>(selections: impl Iterator<Item = &'a Selection>) -> Combination {
        let mut combination = Combination::default();
        let (mut head_gaps, mut token_gaps) = (Mean::default(), Mean::default());
        for selection in selections {
            combination.num_samples += 1;
            let num_heads = selection.head_scores.len();
            combination.times_selected.resize(num_heads, 0);
            for &head in &selection.selected_heads {
                combination.times_selected[head] += 1;
            }
            let audit = &selection.audit;
            let head_cuts = [audit.head_cut, audit.coarse_head_cut];
            head_gaps.extend(narrowest(&head_cuts));
            token_gaps.extend(narrowest(&[audit.token_cut]));
            combination.num_head_ties += usize::from(is_tie(&head_cuts));
            combination.num_token_ties += usize::from(is_tie(&[audit.token_cut]));
        }
        combination.mean_head_gap = head_gaps.value();
        combination.mean_token_gap = token_gaps.value();
        combination
    }

    /// Heads with the number of times they were selected, most frequent first.
    pub(super) fn ranked_heads(&self) -> Vec<(usize, usize)> {
        let mut heads: Vec<(usize, usize)> =
            self.times_selected.iter().copied().enumerate().collect();
        heads.sort_by_key(|&(head, times)| (std::cmp::Reverse(times), head));
        heads.retain(|&(_, times)| times > 0);
        heads
    }
}

/// The gap of the cut nearest to a tie, relative to the range of scores.
pub(super) fn narrowest(cuts: &[Option<CutAudit>]) -> Option<f64> {
    cuts.iter().flatten().map(|cut| cut.gap).reduce(f64::min)
}

fn is_tie(cuts: &[Option<CutAudit>]) -> bool {
    cuts.iter().flatten().any(|cut| cut.is_tie)
}

/// Mean of the values that are present.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl Mean {
    fn extend(&mut self, value: Option<f64>) {
        self.sum += value.unwrap_or(0.0);
        self.count += usize::from(value.is_some());
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}
