//! Concentration of attention distributions. Natural logarithms, 0 · ln 0 = 0.

use super::attention::check_attention;
use crate::metric::MetricError;

/// Tolerance for reaching a mass, since sums are rounded.
const SAME_MASS: f64 = 1e-12;

/// Measures of one distribution p over n tokens, p normalised to sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Concentration {
    /// H = −Σ p ln p.
    pub entropy: f64,
    /// H / ln n: 1 is uniform; 0 for a single token.
    pub normalized_entropy: f64,
    /// exp(H).
    pub effective_number: f64,
    /// 1 / Σ p².
    pub inverse_simpson: f64,
    /// 2 Σ i·p_(i) / n − (n + 1)/n, p ascending, i from 1.
    pub gini: f64,
    /// ln n − H.
    pub kl_from_uniform: f64,
    /// The largest p.
    pub max: f64,
    /// Share of tokens with p below 1/n.
    pub share_below_uniform: f64,
    /// p in descending order.
    descending: Vec<f64>,
}

impl Concentration {
    /// Measures `attention`, `[n]`, after dividing it by its sum.
    ///
    /// # Errors
    /// No values, a negative or non-finite value, or a sum of 0.
    pub fn new(attention: &[f64]) -> Result<Self, MetricError> {
        check_attention(attention, attention.len())?;
        let total: f64 = attention.iter().sum();
        if total <= 0.0 {
            return Err(MetricError::Undefined {
                what: "the concentration of attention",
                reason: "it has no mass",
            });
        }
        let n = attention.len() as f64;
        let mut descending: Vec<f64> = attention.iter().map(|a| a / total).collect();
        descending.sort_unstable_by(|a, b| b.total_cmp(a));
        let positive = descending.iter().filter(|p| **p > 0.0);
        let entropy = -positive.map(|p| p * p.ln()).sum::<f64>();
        let squares: f64 = descending.iter().map(|p| p * p).sum();
        let ranked: f64 = descending
            .iter()
            .rev()
            .zip(1..)
            .map(|(p, i)| p * f64::from(i))
            .sum();
        let below = descending.iter().filter(|p| **p < 1.0 / n).count();
        Ok(Concentration {
            entropy,
            normalized_entropy: if n > 1.0 { entropy / n.ln() } else { 0.0 },
            effective_number: entropy.exp(),
            inverse_simpson: 1.0 / squares,
            gini: 2.0 * ranked / n - (n + 1.0) / n,
            kl_from_uniform: n.ln() - entropy,
            max: descending[0],
            share_below_uniform: below as f64 / n,
            descending,
        })
    }

    /// The smallest m for which the m largest values sum to `mass`: the size of the nucleus.
    pub fn num_for_mass(&self, mass: f64) -> usize {
        let mut sum = 0.0;
        let reached = self.descending.iter().position(|p| {
            sum += p;
            sum >= mass - SAME_MASS
        });
        reached.map_or(self.descending.len(), |index| index + 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_close(got: f64, expected: f64) {
        assert!(
            (got - expected).abs() < 1e-14,
            "{got} instead of {expected}"
        );
    }

    #[test]
    fn four_tokens_by_hand() {
        // ½, ¼, ¼, 0 after dividing by 8: H = 1.5 ln 2.
        let measures = Concentration::new(&[2.0, 4.0, 0.0, 2.0]).unwrap();
        let ln2 = std::f64::consts::LN_2;
        check_close(measures.entropy, 1.5 * ln2);
        check_close(measures.normalized_entropy, 0.75);
        check_close(measures.effective_number, 8.0_f64.sqrt());
        check_close(measures.inverse_simpson, 8.0 / 3.0);
        check_close(measures.kl_from_uniform, 0.5 * ln2);
        // 2·(2·¼ + 3·¼ + 4·½)/4 − 5/4.
        check_close(measures.gini, 0.375);
        assert_eq!((measures.max, measures.share_below_uniform), (0.5, 0.25));
        assert_eq!(
            [0.5, 0.51, 1.0].map(|mass| measures.num_for_mass(mass)),
            [1, 2, 3]
        );
    }

    #[test]
    fn attention_without_mass_has_no_concentration() {
        assert!(Concentration::new(&[]).is_err());
        assert!(Concentration::new(&[0.0, 0.0]).is_err());
        assert!(Concentration::new(&[0.5, -0.5]).is_err());
        let single = Concentration::new(&[3.0]).unwrap();
        assert_eq!((single.normalized_entropy, single.gini), (0.0, 0.0));
    }

    proptest! {
        #[test]
        fn gini_is_the_mean_difference(
            attention in proptest::collection::vec(0.0_f64..1.0, 1..30),
        ) {
            prop_assume!(attention.iter().sum::<f64>() > 1e-3);
            let n = attention.len() as f64;
            let mean = attention.iter().sum::<f64>() / n;
            let differences: f64 = attention
                .iter()
                .map(|a| attention.iter().map(|b| (a - b).abs()).sum::<f64>())
                .sum();
            let measures = Concentration::new(&attention).unwrap();
            prop_assert!((measures.gini - differences / (2.0 * n * n * mean)).abs() < 1e-12);
            prop_assert!(measures.kl_from_uniform > -1e-12);
        }
    }
}
