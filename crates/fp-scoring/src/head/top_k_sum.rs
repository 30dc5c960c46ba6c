//! Attention to the few tokens that receive most of it.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

/// k. For a row of fewer tokens the score is its sum.
pub(crate) const TOP_K: usize = 10;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "sum of the 10 largest a",
    hypothesis: "the few top tokens matter",
    source: "partial sum of the order statistics, k = 10",
};

/// Sum of the [`TOP_K`] largest a.
pub(super) fn score(head: &HeadStatistics) -> f64 {
    head.top_k_sum
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        // Twelve tokens: the two smallest, 1 and 2 sixty-fourths, are excluded from the sum of
        // 78.
        let ramp: Vec<f64> = (1..=12).map(|i| f64::from(i) / 64.0).collect();
        check_scores(
            HeadStrategy::TopKSum,
            Normalization::L1,
            &[&ramp, &[1.0 / 64.0; 12]],
            &[75.0 / 64.0, 10.0 / 64.0],
        );
        check_scores(
            HeadStrategy::TopKSum,
            Normalization::L1,
            &[&[0.25, 0.5]],
            &[0.75],
        );
    }
}
