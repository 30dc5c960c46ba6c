//! Concentration of a head's attention on few tokens.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "Σ p²",
    hypothesis: "sparse attention is targeted",
    source: "squared L2 norm; inverse of Simpson's effective number (Hurley & Rickard 2009, arXiv 0811.4706, compare such measures)",
};

/// Σ p².
pub(super) fn score(head: &HeadStatistics) -> f64 {
    head.p_squares
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        check_scores(
            HeadStrategy::Sparsity,
            Normalization::L1,
            &[
                &[0.25, 0.25, 0.0, 0.0],
                &[0.0, 0.0, 0.0, 0.5],
                &[0.1, 0.1, 0.1, 0.1],
            ],
            &[0.5, 1.0, 0.25],
        );
        // Equal values have the uniform softmax, with or without mass.
        check_scores(
            HeadStrategy::Sparsity,
            Normalization::Softmax,
            &[&[0.5, 0.5], &[0.0, 0.0]],
            &[0.5, 0.5],
        );
    }
}
