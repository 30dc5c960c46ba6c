//! Concentration, sharpness and coverage, weighted.

use fp_kernels::HeadStatistics;

use crate::StrategyCard;

/// A token is covered if its p exceeds this.
pub(crate) const COVERAGE_THRESHOLD: f64 = 0.01;

/// Keeps the original's coverage finite; not changed, since results depend on it.
const EPSILON: f64 = 1e-8;

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "0.4·max p + 0.4·Σ p² + 0.2·c; l1: c = 1/#{p > 0.01}, 0 if there is none; softmax: c = 1/(#{p > 0.01} + 1e-8)",
    hypothesis: "several measures identify heads better than one",
    source: "the original study; its c lets the flattest head win when no p exceeds 0.01, which l1 mends",
};

/// With coverage 0 if no p exceeds the threshold.
pub(super) fn score_l1(head: &HeadStatistics) -> f64 {
    let coverage = if head.p_count > 0 {
        1.0 / head.p_count as f64
    } else {
        0.0
    };
    weigh(head, coverage)
}

/// With the original's coverage, which is 10⁸ if no p exceeds the threshold.
pub(super) fn score_softmax(head: &HeadStatistics) -> f64 {
    weigh(head, 1.0 / (head.p_count as f64 + EPSILON))
}

fn weigh(head: &HeadStatistics, coverage: f64) -> f64 {
    0.4 * head.p_max + 0.4 * head.p_squares + 0.2 * coverage
}

#[cfg(test)]
mod tests {
    use crate::head::distributions::check_scores;
    use crate::{HeadStrategy, Normalization};

    #[test]
    fn by_hand() {
        let flat = [0.001; 200];
        check_scores(
            HeadStrategy::WeightedQuality,
            Normalization::L1,
            &[&flat],
            // p = 1/200 everywhere: no token is covered.
            &[0.4 / 200.0 + 0.4 / 200.0],
        );
        check_scores(
            HeadStrategy::WeightedQuality,
            Normalization::L1,
            &[&[0.25, 0.25, 0.5], &[0.0, 0.0, 0.5]],
            &[0.4 * 0.5 + 0.4 * 0.375 + 0.2 / 3.0, 1.0],
        );
        check_scores(
            HeadStrategy::WeightedQuality,
            Normalization::Softmax,
            &[&[0.001; 200], &[0.0; 200]],
            &[0.4 / 200.0 + 0.4 / 200.0 + 0.2 / 1e-8; 2],
        );
    }
}
