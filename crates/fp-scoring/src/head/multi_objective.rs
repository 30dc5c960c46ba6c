//! Heads that are diffuse, peaked, unlike other heads and sparse at once.

use super::HeadContext;
use super::distributions::{entropy_with, mean, min_max};
use crate::{HeadStrategy, ScoringError, StrategyCard};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "0.4·[0.7·n(E) + 0.3·n(κ)] + 0.3·n(d) + 0.3·n(Q), each n scaled to 0..1 over heads",
    hypothesis: "information, shape, difference from other heads and sparsity together identify heads better than one",
    source: "the original project's later strategies; high entropy is rewarded here",
};

const EPSILON: f64 = 1e-8;

/// 0.4·[0.7·n_ε(E) + 0.3·n_ε(κ)] + 0.3·n_ε(d) + 0.3·n_ε(Q) with E = −Σ p ln(p + ε),
/// κ = m4/(m2² + ε), d the inverse mean cosine to the other heads and Q = Σ p².
/// Under softmax m2² is far below ε, so ε is part of the definition.
pub(super) fn scores(heads: &HeadContext<'_>) -> Result<Vec<f64>, ScoringError> {
    if heads.num_heads() < 2 {
        return Err(ScoringError::TooFewHeads {
            strategy: HeadStrategy::MultiObjective.name(),
            needed: 2,
            got: heads.num_heads(),
        });
    }
    let distributions = heads.distributions()?;
    let count = distributions.heads.len();
    let (mut entropies, mut kurtoses, mut squares) = (Vec::new(), Vec::new(), Vec::new());
    for (_, p) in distributions.rows() {
        let mean = mean(p);
        let moment = |k: i32| p.iter().map(|p| (p - mean).powi(k)).sum::<f64>() / p.len() as f64;
        entropies.push(entropy_with(EPSILON, p));
        kurtoses.push(moment(4) / (moment(2).powi(2) + EPSILON));
        squares.push(p.iter().map(|p| p * p).sum());
    }
    let distances: Vec<f64> = (0..count)
        .map(|j| {
            // Skipping the head's own cosine avoids the cancellation in Σ_k c_jk − 1.
            let others = (0..count).filter(|&k| k != j);
            let sum: f64 = others.map(|k| distributions.cosines[j * count + k]).sum();
            1.0 / (sum / (count - 1).max(1) as f64 + EPSILON)
        })
        .collect();
    let (entropies, kurtoses) = (min_max(&entropies, EPSILON), min_max(&kurtoses, EPSILON));
    let (distances, squares) = (min_max(&distances, EPSILON), min_max(&squares, EPSILON));
    let scores: Vec<f64> = (0..count)
        .map(|j| {
            0.4 * (0.7 * entropies[j] + 0.3 * kurtoses[j]) + 0.3 * distances[j] + 0.3 * squares[j]
        })
        .collect();
    Ok(heads.spread(distributions, &scores))
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        // p = (1, 0) and (½, ½). E: 0 and ln 2. m2 = m4^½ = ¼ and 0, so κ: ~1 and 0.
        // The one cosine is the same for both: d is equal, so n(d) = 0. Q: 1 and ½.
        let (e, k, q) = (2.0_f64.ln(), 0.0625 / (0.0625 + 1e-8), 0.5);
        let entropy_gap = -(0.5_f64 + 1e-8).ln() + (1.0_f64 + 1e-8).ln();
        assert!((entropy_gap - e).abs() < 1e-7);
        check_scores(
            HeadStrategy::MultiObjective,
            Normalization::L1,
            &[&[0.3, 0.0], &[0.2, 0.2]],
            &[
                0.4 * 0.3 * k / (k + 1e-8) + 0.3 * q / (q + 1e-8),
                0.4 * 0.7 * entropy_gap / (entropy_gap + 1e-8),
            ],
        );
    }
}
