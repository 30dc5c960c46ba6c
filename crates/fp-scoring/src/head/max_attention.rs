//! The peak of a head's attention.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "max a",
    hypothesis: "a strong peak matters",
    source: "peak value",
};

/// max a.
pub(super) fn score(head: &HeadStatistics) -> f64 {
    head.max
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        check_scores(
            HeadStrategy::MaxAttention,
            Normalization::L1,
            &[&[0.25, 0.5, 0.0], &[0.125, 0.125, 0.125]],
            &[0.5, 0.125],
        );
    }
}
