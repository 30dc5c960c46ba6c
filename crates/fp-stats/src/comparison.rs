//! Compares two strategies on the same questions: all results for a table or a verdict.

use super::bootstrap::{BootstrapOptions, IntervalMethod};
use super::clustered::{clustered_paired_t_test, differences};
use super::clustered_score::ClusteredDifference;
use super::clusters::Clusters;
use super::equivalence::{Equivalence, NonInferiority, equivalence, non_inferiority};
use super::error::{StatsError, check_len};
use super::intervals::{Interval, IntervalKind};
use super::mcnemar::Discordant;
use super::permutation::{PermutationMethod, PermutationOptions, sign_flip_test};
use super::power::min_detectable_difference;

/// Options of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareOptions {
    /// Bootstrap draws, for figures that are not a mean over questions; at least 1,000.
    pub num_draws: usize,
    /// Random sign patterns, if the exact distribution is too expensive.
    pub num_permutations: usize,
    /// Seed of both.
    pub seed: u64,
    /// Confidence level of the interval.
    pub confidence: f64,
    /// How the interval is computed from draws.
    pub interval_method: IntervalMethod,
}

impl Default for CompareOptions {
    /// 10,000 draws and patterns with seed 0, and a percentile interval at 95 %.
    fn default() -> Self {
        CompareOptions {
            num_draws: 10_000,
            num_permutations: 10_000,
            seed: 0,
            confidence: 0.95,
            interval_method: IntervalMethod::Percentile,
        }
    }
}

impl CompareOptions {
    pub(crate) fn bootstrap(&self) -> BootstrapOptions {
        BootstrapOptions {
            num_draws: self.num_draws,
            seed: self.seed,
            confidence: self.confidence,
            method: self.interval_method,
        }
    }

    pub(crate) fn permutation(&self) -> PermutationOptions {
        PermutationOptions {
            num_permutations: self.num_permutations,
            seed: self.seed,
        }
    }
}

/// Comparison of a and b on the same questions. All figures are in the unit of the scores.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PairedComparison {
    /// Number of questions.
    pub n: usize,
    /// Number of images.
    pub num_clusters: usize,
    /// Mean score of a.
    pub mean_a: f64,
    /// Mean score of b.
    pub mean_b: f64,
    /// `mean_a` − `mean_b`.
    pub difference: f64,
    /// Clustered standard error of the difference.
    pub standard_error: f64,
    /// Images on which a and b have different scores.
    pub num_disagreeing: usize,
    /// Interval of the difference.
    pub interval: Interval,
    /// Kind of the interval.
    pub interval_method: IntervalKind,
    /// The quantities that the interval and the tests for equivalence are computed from.
    pub score: ClusteredDifference,
    /// Two-sided p of the cluster sign-flip test, the primary one.
    pub p: f64,
    /// How `p` was computed.
    pub method: PermutationMethod,
    /// Two-sided p of a t test with the clustered standard error, for comparison.
    pub t_test_p: f64,
    /// Questions that exactly one of the two answers correctly; only for 0/1 scores.
    pub discordant: Option<Discordant>,
    /// McNemar's exact two-sided p, which assumes independent questions; only for 0/1 scores.
    pub mcnemar_p: Option<f64>,
    /// McNemar's mid-p; only for 0/1 scores.
    pub mcnemar_mid_p: Option<f64>,
}

impl PairedComparison {
    /// Tests whether a and b are equivalent within ±`margin`.
    ///
    /// # Errors
    /// A margin that is not positive, α outside 0..1.
    pub fn equivalence(&self, margin: f64, alpha: f64) -> Result<Equivalence, StatsError> {
        equivalence(&self.score, margin, alpha)
    }

    /// Tests whether a is worse than b by less than `margin`.
    ///
    /// # Errors
    /// A margin that is not positive, α outside 0..1.
    pub fn non_inferiority(&self, margin: f64, alpha: f64) -> Result<NonInferiority, StatsError> {
        non_inferiority(&self.score, margin, alpha)
    }

    /// The smallest difference that these questions would detect with `power`.
    ///
    /// # Errors
    /// Probabilities outside 0..1.
    pub fn min_detectable_difference(&self, alpha: f64, power: f64) -> Result<f64, StatsError> {
        min_detectable_difference(self.score.standard_error(), self.score.step, alpha, power)
    }
}

/// Compares the scores of a and b, both `[samples]` in the same order; `clusters` is `[samples]`,
/// an arbitrary label per image. Scores lie in 0..1. The result depends only on the seed.
///
/// # Errors
/// Different lengths, NaN, scores that differ by more than 1, fewer than two clusters.
pub fn compare_paired(
    a: &[f64],
    b: &[f64],
    clusters: &[usize],
    options: &CompareOptions,
) -> Result<PairedComparison, StatsError> {
    let differences = differences(a, b)?;
    check_len("clusters", clusters.len(), a.len())?;
    let clusters = Clusters::new(clusters)?;
    let t_test = clustered_paired_t_test(a, b, &clusters, options.confidence)?;
    let score = ClusteredDifference::new(&differences, &clusters)?;
    let test = sign_flip_test(&clusters.sums(&differences)?, &options.permutation())?;
    let discordant = Discordant::count(a, b)?;
    let n = a.len();
    Ok(PairedComparison {
        n,
        num_clusters: clusters.len(),
        mean_a: a.iter().sum::<f64>() / n as f64,
        mean_b: b.iter().sum::<f64>() / n as f64,
        difference: t_test.difference,
        standard_error: t_test.standard_error,
        num_disagreeing: num_disagreeing(&differences, &clusters)?,
        interval: score.interval(options.confidence)?,
        interval_method: IntervalKind::ClusteredScore,
        score,
        p: test.p,
        method: test.method,
        t_test_p: t_test.p,
        discordant,
        mcnemar_p: discordant.map(Discordant::exact_p),
        mcnemar_mid_p: discordant.map(Discordant::mid_p),
    })
}

/// Number of clusters with a nonzero difference.
fn num_disagreeing(differences: &[f64], clusters: &Clusters) -> Result<usize, StatsError> {
    let sizes: Vec<f64> = differences.iter().map(|d| d.abs()).collect();
    let sums = clusters.sums(&sizes)?;
    Ok(sums.iter().filter(|sum| **sum > 0.0).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_questions_on_two_images() {
        let (a, b) = ([1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0]);
        let result = compare_paired(&a, &b, &[8, 8, 3, 3], &CompareOptions::default()).unwrap();
        assert_eq!((result.n, result.num_clusters), (4, 2));
        assert_eq!(
            (result.mean_a, result.mean_b, result.difference),
            (0.75, 0.5, 0.25)
        );
        // Cluster sums 2 and −1: |±2 ±1| is at least 1 in every pattern.
        assert_eq!(
            (result.p, result.method),
            (1.0, PermutationMethod::ExactEnumeration)
        );
        assert_eq!(result.discordant, Some(Discordant { b: 2, c: 1 }));
        assert_eq!(result.mcnemar_p, Some(1.0));
        // Two images carry almost no information.
        assert!(result.interval.low < -0.8 && result.interval.high > 0.95);
        assert_eq!(result.num_disagreeing, 2);
        // Deviations ¾, ¾, −¼, −1¼: squares 2¾, cluster sums 1½ and −1½.
        let variance: f64 = 2.75 / 12.0 + (4.5 - 2.75) / 16.0;
        assert!((result.standard_error - variance.sqrt()).abs() < 1e-15);
        let detectable = result.min_detectable_difference(0.05, 0.8).unwrap();
        assert_eq!(detectable, 1.0);
    }

    #[test]
    fn a_strategy_equals_itself() {
        let scores = [1.0, 0.0, 0.3, 0.6];
        let result =
            compare_paired(&scores, &scores, &[0, 0, 1, 2], &CompareOptions::default()).unwrap();
        assert_eq!(
            (result.difference, result.p, result.t_test_p),
            (0.0, 1.0, 1.0)
        );
        // Four questions on three images: no certainty, even if all scores are equal.
        assert_eq!((result.discordant, result.num_disagreeing), (None, 0));
        assert_eq!(result.interval.low, -result.interval.high);
        assert!(result.interval.high > 0.5, "{:?}", result.interval);
        assert!(!result.equivalence(0.005, 0.05).unwrap().is_equivalent);
        assert!(!result.non_inferiority(0.005, 0.05).unwrap().is_non_inferior);
        assert_eq!(result.min_detectable_difference(0.05, 0.8), Ok(1.0));
    }

    #[test]
    fn swapping_the_strategies_mirrors_the_result() {
        let a: Vec<f64> = (0..600)
            .map(|i| f64::from(u8::from(i * 7 % 10 < 6)))
            .collect();
        let b: Vec<f64> = (0..600)
            .map(|i| f64::from(u8::from(i * 3 % 11 < 5)))
            .collect();
        let images: Vec<usize> = (0..600).map(|i| i / 3).collect();
        let options = CompareOptions::default();
        let forth = compare_paired(&a, &b, &images, &options).unwrap();
        let back = compare_paired(&b, &a, &images, &options).unwrap();
        assert_eq!(forth.p, back.p);
        assert_eq!(forth.mcnemar_p, back.mcnemar_p);
        assert_eq!(forth.interval.low, -back.interval.high);
        assert_eq!(forth.interval.high, -back.interval.low);
        assert_eq!(compare_paired(&a, &b, &images, &options).unwrap(), forth);
    }

    #[test]
    fn what_does_not_fit_together_is_an_error() {
        let options = CompareOptions::default();
        assert!(compare_paired(&[1.0], &[1.0, 0.0], &[0], &options).is_err());
        assert!(compare_paired(&[1.0, 0.0], &[1.0, 0.0], &[0], &options).is_err());
        assert!(compare_paired(&[1.0, 0.0], &[1.0, 0.0], &[0, 0], &options).is_err());
        assert!(compare_paired(&[], &[], &[], &options).is_err());
        let unknown = r#"{"num_draws": 1000, "draws": 5}"#;
        assert!(serde_json::from_str::<CompareOptions>(unknown).is_err());
    }
}
