//! Distance from a head's weakest to its strongest attention.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "max a − min a",
    hypothesis: "a wide range discriminates",
    source: "range of the values; nearly the same as max_attention, since the weakest attention is nearly 0",
};

/// max a − min a.
pub(super) fn score(head: &HeadStatistics) -> f64 {
    head.max - head.min
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        check_scores(
            HeadStrategy::AttentionRange,
            Normalization::L1,
            &[&[0.25, 0.5, 0.125], &[0.125, 0.125, 0.125]],
            &[0.375, 0.0],
        );
    }
}
