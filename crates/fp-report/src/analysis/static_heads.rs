//! Whether selecting heads per sample matters: each head strategy against its static variant.
//!
//! A static variant uses the heads with the highest mean score on the selection half. Both are
//! compared on the confirmation half, as means over all budgets and head counts, with Holm's
//! correction over the strategies.

use fp_eval::study::Halves;
use serde::Serialize;

use super::cell_index::CellIndex;
use super::compare::{Comparison, Outcome, Pair, PairedTester, TestResults, Untested};
use super::halves::Split;
use super::samples::{distinct, is_answered};
use super::scores::Scores;
use crate::error::ReportError;
use crate::run::Run;

/// Head strategies against their static variants.
#[derive(Debug, Clone, Serialize)]
pub struct StaticHeadsTests {
    /// The split of the images.
    pub halves: Halves,
    /// Number of answered samples in the confirmation half.
    pub num_confirm: usize,
    /// Number of their images.
    pub num_confirm_images: usize,
    /// Heads selected per sample (`a`) against the static variant (`b`), one comparison per
    /// strategy.
    pub comparisons: Vec<Comparison>,
    /// Pairs that could not be tested.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untested: Vec<Untested>,
}

impl StaticHeadsTests {
    /// Number of comparisons with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        let all = self.comparisons.iter();
        all.filter(|comparison| comparison.outcome == outcome)
            .count()
    }

    /// The results in one sentence.
    pub fn sentence(&self) -> String {
        if self.comparisons.is_empty() {
            let because = self.untested.first().map(|pair| pair.because.as_str());
            let because = because.unwrap_or("no strategy and its static variant both have answers");
            return format!("Choosing heads per sample was not tested: {because}.");
        }
        format!(
            "Choosing heads per sample against static heads, on {} held-out questions: better for {} of {} strategies, worse for {}, equivalent for {}, undecided for {}.",
            self.num_confirm,
            self.count(Outcome::Better),
            self.comparisons.len(),
            self.count(Outcome::Worse),
            self.count(Outcome::Equivalent),
            self.count(Outcome::Undecided),
        )
    }
}

/// `None` where the run has no static variant.
pub(crate) fn static_heads_tests(
    run: &Run,
    cell_index: &CellIndex,
    scores: &Scores,
    tester: &PairedTester,
) -> Result<Option<StaticHeadsTests>, ReportError> {
    if cell_index.static_variants().next().is_none() {
        return Ok(None);
    }
    let split = Split::new(run);
    let mut pairs = Vec::new();
    for (strategy, entry) in cell_index.strategies.iter().enumerate() {
        // Only where both exist, so that both means are over the same budgets and h.
        let both: Vec<(usize, usize)> = cell_index
            .static_variants()
            .filter(|(of, ..)| *of == strategy)
            .filter_map(|(_, count, budget, fixed)| {
                Some((cell_index.cell(strategy, count, budget)?, fixed))
            })
            .collect();
        if both.is_empty() {
            continue;
        }
        let (chosen, fixed): (Vec<usize>, Vec<usize>) = both.into_iter().unzip();
        pairs.push(Pair::new(
            entry.name.clone(),
            &scores.mean_of(&chosen),
            format!("static:{}", entry.name),
            &scores.mean_of(&fixed),
            "per-sample against static heads, means over all budgets and h, confirm half",
        ));
    }
    let TestResults {
        comparisons,
        untested,
    } = tester.test(&pairs, &split.confirm)?;
    let answered = split.confirm.iter().copied();
    let answered: Vec<usize> = answered
        .filter(|&at| is_answered(&run.records[at]))
        .collect();
    Ok(Some(StaticHeadsTests {
        halves: split.halves,
        num_confirm: answered.len(),
        num_confirm_images: distinct(answered.iter().map(|&at| scores.clusters[at]).collect()),
        comparisons,
        untested,
    }))
}
