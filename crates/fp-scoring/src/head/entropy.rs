//! How spread out a head's attention is; less is better.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "Σ p ln p (the negated entropy)",
    hypothesis: "low entropy is focused and informative",
    source: "Shannon 1948; 0 ln 0 = 0, natural logarithm",
};

/// −H(p): the smaller the entropy, the higher the score.
pub(super) fn score(head: &HeadStatistics) -> f64 {
    -head.p_entropy
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        let ln2 = std::f64::consts::LN_2;
        // Uniform over four: ln 4. Halves: ln 2. One token: 0.
        check_scores(
            HeadStrategy::Entropy,
            Normalization::L1,
            &[
                &[0.1, 0.1, 0.1, 0.1],
                &[0.2, 0.0, 0.2, 0.0],
                &[0.0, 0.0, 0.0, 0.3],
            ],
            &[-2.0 * ln2, -ln2, 0.0],
        );
        check_scores(
            HeadStrategy::Entropy,
            Normalization::Softmax,
            &[&[0.25, 0.25], &[0.0, 0.0]],
            &[-ln2, -ln2],
        );
    }
}
