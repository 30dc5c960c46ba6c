//! Data about the heads of one sample that strategies read.

use std::cell::OnceCell;

use fp_kernels::cpu::{gram, head_statistics, normalize_rows};
use fp_kernels::{HeadStatistics, Key, StatisticsOptions};

use super::{COVERAGE_THRESHOLD, TOP_K};
use crate::{Normalization, ScoringError};

/// The rows of all heads with their statistics, and, for the strategies that compare heads, their
/// distributions, computed on demand.
pub(crate) struct HeadContext<'a> {
    statistics: Vec<HeadStatistics>,
    normalization: Normalization,
    num_image_tokens: usize,
    distributions: OnceCell<Distributions>,
    normalize: Box<dyn Fn() -> Result<Vec<f64>, ScoringError> + 'a>,
}

/// The distributions of the heads that have mass.
pub(crate) struct Distributions {
    /// Heads with mass, ascending; all heads under softmax.
    pub(crate) heads: Vec<usize>,
    /// p of those heads, `[heads, N]`.
    pub(crate) p: Vec<f64>,
    /// Cosines of each pair of them, `[heads, heads]`.
    pub(crate) cosines: Vec<f64>,
    pub(crate) num_image_tokens: usize,
}

impl Distributions {
    /// Each head's p, with its index among all heads.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.heads
            .iter()
            .copied()
            .zip(self.p.chunks_exact(self.num_image_tokens))
    }
}

impl<'a> HeadContext<'a> {
    /// Reads `keys` `[H, N]` once for all strategies.
    pub(crate) fn new<K: Key + fp_kernels::Element<Key = K>>(
        keys: &'a [K],
        num_heads: usize,
        num_image_tokens: usize,
        normalization: Normalization,
        order_statistics: bool,
    ) -> Result<Self, ScoringError> {
        let options = StatisticsOptions {
            normalization: normalization.into(),
            top_k: TOP_K,
            threshold: COVERAGE_THRESHOLD,
            order_statistics,
        };
        let statistics = head_statistics(keys, num_heads, num_image_tokens, &options)?;
        let normalize = move || {
            normalize_rows(keys, num_heads, num_image_tokens, normalization.into())
                .map_err(ScoringError::from)
        };
        Ok(HeadContext {
            statistics,
            normalization,
            num_image_tokens,
            distributions: OnceCell::new(),
            normalize: Box::new(normalize),
        })
    }

    pub(crate) fn normalization(&self) -> Normalization {
        self.normalization
    }

    pub(crate) fn num_heads(&self) -> usize {
        self.statistics.len()
    }

    pub(crate) fn statistics(&self) -> &[HeadStatistics] {
        &self.statistics
    }

    /// Whether a head has a distribution: under softmax even a row of zeros has one.
    pub(crate) fn has_distribution(&self, head: usize) -> bool {
        self.normalization == Normalization::Softmax || self.statistics[head].sum > 0.0
    }

    /// One score per head, computed from its own statistics.
    pub(crate) fn score_each(&self, score: fn(&HeadStatistics) -> f64) -> Vec<f64> {
        (0..self.num_heads())
            .map(|head| {
                if self.has_distribution(head) {
                    score(&self.statistics[head])
                } else {
                    f64::NEG_INFINITY
                }
            })
            .collect()
    }

    /// Expands scores of the heads in [`Self::distributions`] to all heads.
    pub(crate) fn spread(&self, distributions: &Distributions, scores: &[f64]) -> Vec<f64> {
        let mut all = vec![f64::NEG_INFINITY; self.num_heads()];
        for (&head, &score) in distributions.heads.iter().zip(scores) {
            all[head] = score;
        }
        all
    }

    /// The distributions with their cosines, computed at the first call.
    pub(crate) fn distributions(&self) -> Result<&Distributions, ScoringError> {
        if let Some(distributions) = self.distributions.get() {
            return Ok(distributions);
        }
        let n = self.num_image_tokens;
        let all = (self.normalize)()?;
        let heads: Vec<usize> = (0..self.num_heads())
            .filter(|&head| self.has_distribution(head))
            .collect();
        let p: Vec<f64> = heads
            .iter()
            .flat_map(|&head| &all[head * n..][..n])
            .copied()
            .collect();
        let mut cosines = if heads.is_empty() {
            Vec::new()
        } else {
            gram(&p, heads.len(), n)?
        };
        let count = heads.len();
        let norms: Vec<f64> = (0..count).map(|i| cosines[i * count + i].sqrt()).collect();
        for (pair, cosine) in cosines.iter_mut().enumerate() {
            *cosine /= norms[pair / count] * norms[pair % count];
        }
        let distributions = Distributions {
            heads,
            p,
            cosines,
            num_image_tokens: n,
        };
        Ok(self.distributions.get_or_init(|| distributions))
    }
}

/// Unbiased variance.
pub(crate) fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (values.len() - 1) as f64
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// −Σ p ln(p + ε).
pub(crate) fn entropy_with(epsilon: f64, p: &[f64]) -> f64 {
    -p.iter().map(|&p| p * (p + epsilon).ln()).sum::<f64>()
}

/// (x − min x) / (max x − min x + ε); all zero if ε = 0 and every x is the same.
pub(crate) fn min_max(x: &[f64], epsilon: f64) -> Vec<f64> {
    let min = x.iter().copied().fold(f64::INFINITY, f64::min);
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = max - min + epsilon;
    x.iter()
        .map(|x| if width > 0.0 { (x - min) / width } else { 0.0 })
        .collect()
}

/// Scores rows and compares with values worked out by hand.
#[cfg(test)]
#[track_caller]
pub(crate) fn check_scores(
    strategy: crate::HeadStrategy,
    normalization: Normalization,
    rows: &[&[f64]],
    expected: &[f64],
) {
    let values = rows.concat();
    let context =
        HeadContext::new(&values, rows.len(), rows[0].len(), normalization, true).unwrap();
    let scores = strategy
        .scores(&context, rows.len().div_ceil(2))
        .unwrap()
        .scores;
    for (head, (got, expected)) in scores.iter().zip(expected).enumerate() {
        let is_equal = got == expected || (got - expected).abs() <= 1e-12 * expected.abs();
        assert!(is_equal, "head {head}: {got} instead of {expected}");
    }
    assert_eq!(scores.len(), expected.len());
}
