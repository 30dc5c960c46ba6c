//! Paired comparisons in declared families.

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::scores::Column;
use crate::report::error::ReportError;
use crate::stats::{
    CompareOptions, Discordant, PairedComparison, PermutationMethod, compare_paired, holm,
};
use crate::study::config::Statistics;

/// Chance to find a difference that the smallest detectable one is stated for.
pub const POWER: f64 = 0.8;

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// a is better: adjusted p below α and an interval above 0.
    Better,
    /// a is worse: adjusted p below α and an interval below 0.
    Worse,
    /// Not shown to differ, and shown to differ by less than the margin.
    Equivalent,
    /// Neither shown to differ nor shown not to.
    Undecided,
}

impl Outcome {
    /// As it stands in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Better => "better",
            Outcome::Worse => "worse",
            Outcome::Equivalent => "equivalent",
            Outcome::Undecided => "undecided",
        }
    }

    /// What stands behind a figure that was compared.
    pub const fn mark(self) -> &'static str {
        match self {
            Outcome::Better => " ▲",
            Outcome::Worse => " ▼",
            Outcome::Equivalent => " ≈",
            Outcome::Undecided => "",
        }
    }
}

/// a against b on the samples that both have. Scores and differences are 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is tested.
    pub a: String,
    /// What it is tested against.
    pub b: String,
    /// Tests that are corrected together have the same family.
    pub family: String,
    /// Samples.
    pub n: usize,
    /// Images.
    pub num_images: usize,
    /// Mean of a.
    pub mean_a: f64,
    /// Mean of b.
    pub mean_b: f64,
    /// a − b.
    pub difference: f64,
    /// Clustered standard error of the difference.
    pub standard_error: f64,
    /// Cluster bootstrap interval of the difference.
    pub interval: [f64; 2],
    /// How sure it is.
    pub confidence: f64,
    /// Two-sided p of the sign-flip test over images.
    pub p: f64,
    /// How `p` came about.
    pub method: PermutationMethod,
    /// `p` after Holm's correction over the family.
    pub p_holm: f64,
    /// Tests in the family.
    pub family_size: usize,
    /// Samples that only a (`b`) or only b (`c`) has right; of 0/1 scores alone.
    pub discordant: Option<Discordant>,
    /// McNemar's exact p, which takes samples as independent.
    pub mcnemar_p: Option<f64>,
    /// p of the two one-sided tests for a difference within the margin.
    pub equivalence_p: f64,
    /// The smallest difference that a test at α finds four times in five.
    pub min_detectable_difference: f64,
    /// Every sample has the same score under both.
    pub is_identical: bool,
    /// What it comes to.
    pub outcome: Outcome,
}

/// A comparison to be made.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) a: (String, Column),
    pub(crate) b: (String, Column),
    pub(crate) family: String,
}

impl Pair {
    pub(crate) fn new(
        a: impl Into<String>,
        column_a: &Column,
        b: impl Into<String>,
        column_b: &Column,
        family: impl Into<String>,
    ) -> Pair {
        Pair {
            a: (a.into(), Arc::clone(column_a)),
            b: (b.into(), Arc::clone(column_b)),
            family: family.into(),
        }
    }
}

/// How comparisons are judged.
#[derive(Debug, Clone)]
pub(crate) struct Judge {
    options: CompareOptions,
    /// In scores, not points.
    margin: f64,
    alpha: f64,
    clusters: Arc<[usize]>,
}

impl Judge {
    pub(crate) fn new(statistics: &Statistics, seed: u64, clusters: Arc<[usize]>) -> Judge {
        Judge {
            options: CompareOptions {
                num_draws: statistics.num_draws,
                num_permutations: statistics.num_draws,
                seed,
                confidence: statistics.confidence,
                ..CompareOptions::default()
            },
            margin: statistics.equivalence_margin / 100.0,
            alpha: 1.0 - statistics.confidence,
            clusters,
        }
    }

    pub(crate) fn options(&self) -> &CompareOptions {
        &self.options
    }

    pub(crate) fn margin(&self) -> f64 {
        self.margin
    }

    pub(crate) fn alpha(&self) -> f64 {
        self.alpha
    }

    pub(crate) fn confidence(&self) -> f64 {
        self.options.confidence
    }

    pub(crate) fn clusters(&self) -> &[usize] {
        &self.clusters
    }

    /// Makes comparisons over `samples`, in the order given, and corrects them by
    /// family. Pairs that share fewer than two images can't be tested and are left out.
    pub(crate) fn judge(
        &self,
        pairs: &[Pair],
        samples: &[usize],
    ) -> Result<Vec<Comparison>, ReportError> {
        // Strategies that answer alike are one test; it needn't be computed twice.
        let mut known: HashMap<Vec<[u64; 2]>, usize> = HashMap::new();
        let mut distinct: Vec<(Vec<f64>, Vec<f64>, Vec<usize>)> = Vec::new();
        let mut which = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let values = self.shared(pair, samples);
            if values.2.is_empty() || values.2.iter().all(|image| *image == values.2[0]) {
                which.push(None);
                continue;
            }
            let key = samples
                .iter()
                .map(|&sample| [bits(pair.a.1[sample]), bits(pair.b.1[sample])])
                .collect();
            let next = distinct.len();
            let index = *known.entry(key).or_insert(next);
            if index == next {
                distinct.push(values);
            }
            which.push(Some(index));
        }
        let results: Vec<PairedComparison> = distinct
            .par_iter()
            .map(|(a, b, images)| compare_paired(a, b, images, &self.options))
            .collect::<Result<_, _>>()?;
        let mut comparisons = Vec::new();
        for (pair, index) in pairs.iter().zip(which) {
            if let Some(index) = index {
                comparisons.push(self.describe(pair, &results[index])?);
            }
        }
        self.correct(&mut comparisons)?;
        Ok(comparisons)
    }

    fn shared(&self, pair: &Pair, samples: &[usize]) -> (Vec<f64>, Vec<f64>, Vec<usize>) {
        let (mut a, mut b, mut images) = (Vec::new(), Vec::new(), Vec::new());
        for &sample in samples {
            if let (Some(of_a), Some(of_b)) = (pair.a.1[sample], pair.b.1[sample]) {
                a.push(of_a);
                b.push(of_b);
                images.push(self.clusters[sample]);
            }
        }
        (a, b, images)
    }

    fn describe(&self, pair: &Pair, result: &PairedComparison) -> Result<Comparison, ReportError> {
        let is_identical = result.standard_error == 0.0 && result.difference == 0.0;
        Ok(Comparison {
            a: pair.a.0.clone(),
            b: pair.b.0.clone(),
            family: pair.family.clone(),
            n: result.n,
            num_images: result.num_clusters,
            mean_a: result.mean_a,
            mean_b: result.mean_b,
            difference: result.difference,
            standard_error: result.standard_error,
            interval: [result.interval.low, result.interval.high],
            confidence: self.options.confidence,
            p: result.p,
            method: result.method,
            p_holm: result.p,
            family_size: 1,
            discordant: result.discordant,
            mcnemar_p: result.mcnemar_p,
            equivalence_p: result.equivalence(self.margin, self.alpha)?.p,
            min_detectable_difference: result.min_detectable_difference(self.alpha, POWER)?,
            is_identical,
            outcome: Outcome::Undecided,
        })
    }

    /// Holm's correction within each family, and what follows from it.
    pub(crate) fn correct(&self, comparisons: &mut [Comparison]) -> Result<(), ReportError> {
        let mut families: Vec<(String, Vec<usize>)> = Vec::new();
        for (index, comparison) in comparisons.iter().enumerate() {
            match families
                .iter_mut()
                .find(|(name, _)| *name == comparison.family)
            {
                Some((_, members)) => members.push(index),
                None => families.push((comparison.family.clone(), vec![index])),
            }
        }
        for (_, members) in families {
            let p: Vec<f64> = members
                .iter()
                .map(|&member| comparisons[member].p)
                .collect();
            for (&member, adjusted) in members.iter().zip(holm(&p)?) {
                let comparison = &mut comparisons[member];
                comparison.p_holm = adjusted;
                comparison.family_size = members.len();
                comparison.outcome = self.outcome(comparison);
            }
        }
        Ok(())
    }

    fn outcome(&self, comparison: &Comparison) -> Outcome {
        let [low, high] = comparison.interval;
        let is_significant = comparison.p_holm < self.alpha;
        if is_significant && low > 0.0 {
            Outcome::Better
        } else if is_significant && high < 0.0 {
            Outcome::Worse
        } else if comparison.equivalence_p < self.alpha {
            Outcome::Equivalent
        } else {
            Outcome::Undecided
        }
    }
}

/// Bits that tell any two entries of a column apart.
fn bits(value: Option<f64>) -> u64 {
    value.map_or(u64::MAX, f64::to_bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(clusters: &[usize]) -> Judge {
        let statistics = Statistics {
            num_draws: 1000,
            ..Statistics::default()
        };
        Judge::new(&statistics, 0, Arc::from(clusters))
    }

    #[test]
    fn families_are_corrected_by_themselves() {
        let clusters: Vec<usize> = (0..40).map(|i| i / 2).collect();
        let good: Column = (0..40)
            .map(|i| Some(f64::from(u8::from(i % 8 > 0))))
            .collect();
        let bad: Column = (0..40)
            .map(|i| Some(f64::from(u8::from(i % 8 == 0))))
            .collect();
        let same = Arc::clone(&bad);
        let all: Vec<usize> = (0..40).collect();
        let pairs = [
            Pair::new("good", &good, "bad", &bad, "x"),
            Pair::new("bad", &bad, "good", &good, "x"),
            Pair::new("same", &same, "bad", &bad, "x"),
            Pair::new("good", &good, "bad", &bad, "y"),
        ];
        let results = judge(&clusters).judge(&pairs, &all).unwrap();
        let outcomes: Vec<Outcome> = results.iter().map(|result| result.outcome).collect();
        use Outcome::{Better, Equivalent, Worse};
        assert_eq!(outcomes, [Better, Worse, Equivalent, Better]);
        assert!(results[2].is_identical && !results[0].is_identical);
        assert_eq!(results[0].family_size, 3);
        assert_eq!(results[3].p_holm, results[3].p);
        assert!((results[0].p_holm - 3.0 * results[0].p).abs() < 1e-15);
        // Every eighth is right under one alone, the others under the other.
        assert_eq!(results[0].discordant, Some(Discordant { b: 35, c: 5 }));
    }

    #[test]
    fn what_one_image_says_is_no_test() {
        let column: Column = Arc::from([Some(1.0), Some(0.0), None]);
        let pairs = [Pair::new("a", &column, "b", &column, "x")];
        assert!(
            judge(&[0, 0, 1])
                .judge(&pairs, &[0, 1, 2])
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            judge(&[0, 1, 2]).judge(&pairs, &[0, 1, 2]).unwrap().len(),
            1
        );
    }
}
