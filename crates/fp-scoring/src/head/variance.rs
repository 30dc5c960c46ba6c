//! Spread of a head's attention.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "Σ (a − mean a)² / (N − 1)",
    hypothesis: "high variance means focus",
    source: "unbiased sample variance",
};

/// Unbiased variance of a.
pub(super) fn score(head: &HeadStatistics) -> f64 {
    head.variance
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        // Means 1/2, deviations ±1/2 twice and 0: (1/4 + 1/4) / 2.
        check_scores(
            HeadStrategy::Variance,
            Normalization::L1,
            &[&[0.0, 0.5, 1.0], &[0.5, 0.5, 0.5]],
            &[0.25, 0.0],
        );
    }
}
