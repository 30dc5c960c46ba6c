//! Inequality of a head's attention.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "Σ_i (2i − N − 1) p_(i) / (N Σ p), p_(i) ascending, i from 1",
    hypothesis: "inequality discriminates",
    source: "Gini 1912, in the sorted form",
};

/// Gini coefficient of p.
pub(super) fn score(head: &HeadStatistics) -> f64 {
    head.gini
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        // Weights −3, −1, 1, 3: all in one token (3·1/4), two equal (−1·0 + …), uniform.
        check_scores(
            HeadStrategy::GiniCoefficient,
            Normalization::L1,
            &[
                &[0.0, 0.5, 0.0, 0.0],
                &[0.25, 0.0, 0.25, 0.0],
                &[0.1, 0.1, 0.1, 0.1],
            ],
            &[0.75, 0.5, 0.0],
        );
    }
}
