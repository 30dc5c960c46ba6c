//! Features propagated among similar heads.

use super::HeadContext;
use super::distributions::{entropy_with, mean, variance};
use crate::{ScoringError, StrategyCard};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "mean over five features after two rounds X ← max(0, X + W X), W joining heads of cosine above 0.1",
    hypothesis: "heads that agree with informative heads are informative",
    source: "the original project's later strategies",
};

const EPSILON: f64 = 1e-8;
const EDGE_COSINE: f64 = 0.1;
const NUM_FEATURES: usize = 5;

/// f_j = (Q, E, M, V, fraction of tokens above the mean p); A connects heads whose cosine exceeds
/// 0.1; W is A with rows divided by their degree + ε; X¹ = max(0, f + W f), X² = max(0, X¹ + W
/// X¹); the score is the mean of the five entries of X².
pub(super) fn scores(heads: &HeadContext<'_>) -> Result<Vec<f64>, ScoringError> {
    let distributions = heads.distributions()?;
    let count = distributions.heads.len();
    let features: Vec<[f64; NUM_FEATURES]> = distributions
        .rows()
        .map(|(_, p)| {
            let mean = mean(p);
            [
                p.iter().map(|p| p * p).sum(),
                entropy_with(EPSILON, p),
                p.iter().copied().fold(0.0, f64::max),
                variance(p),
                p.iter().filter(|&&p| p > mean).count() as f64 / p.len() as f64,
            ]
        })
        .collect();
    let pass = |features: &[[f64; NUM_FEATURES]]| -> Vec<[f64; NUM_FEATURES]> {
        (0..count)
            .map(|j| {
                let neighbours: Vec<usize> = (0..count)
                    .filter(|&k| k != j && distributions.cosines[j * count + k] > EDGE_COSINE)
                    .collect();
                let weight = 1.0 / (neighbours.len() as f64 + EPSILON);
                std::array::from_fn(|feature| {
                    let received: f64 = neighbours
                        .iter()
                        .map(|&k| weight * features[k][feature])
                        .sum();
                    (features[j][feature] + received).max(0.0)
                })
            })
            .collect()
    };
    let scores: Vec<f64> = pass(&pass(&features)).iter().map(|x| mean(x)).collect();
    Ok(heads.spread(distributions, &scores))
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        // p = (1, 0) and (0, 1) are orthogonal: no edge, so the features don't change.
        // Q = 1, E = −ln(1 + ε), clipped to 0, M = 1, V = ½, half above the mean.
        check_scores(
            HeadStrategy::GraphBased,
            Normalization::L1,
            &[&[0.4, 0.0], &[0.0, 0.1]],
            &[0.6, 0.6],
        );
        // Two equal heads: each round doubles (up to ε), so the score is four times 0.6.
        let w = 1.0 / (1.0 + 1e-8);
        check_scores(
            HeadStrategy::GraphBased,
            Normalization::L1,
            &[&[0.4, 0.0], &[0.1, 0.0]],
            &[0.6 * (1.0 + w) * (1.0 + w), 0.6 * (1.0 + w) * (1.0 + w)],
        );
    }
}
