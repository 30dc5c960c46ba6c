//! Total attention to the image.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "Σ a",
    hypothesis: "heads with the most attention to the image know most about it",
    source: "baseline of the study; FastV's ranking (Chen et al. 2024, arXiv 2403.06764) is the same mean over all heads",
};

/// Σ a.
pub(super) fn score(head: &HeadStatistics) -> f64 {
    head.sum
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        check_scores(
            HeadStrategy::Sum,
            Normalization::L1,
            &[&[0.25, 0.25, 0.5], &[0.0, 0.125, 0.125], &[0.0, 0.0, 0.0]],
            &[1.0, 0.25, f64::NEG_INFINITY],
        );
    }
}
