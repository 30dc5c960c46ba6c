//! The last rows, with the largest weight on the newest.

use super::{QueryPlan, Weighting};
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "the last 5 rows, weights linspace(0.5 oldest, 1.0 newest) normalised",
    hypothesis: "recent rows count more, earlier ones still count",
    source: "the original study",
};

/// Number of rows in the full window.
pub(super) const WINDOW: usize = 5;

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    plan_window(layout, WINDOW)
}

/// The last `window` rows, clipped to the sequence; a window of one has weight 1.
pub(super) fn plan_window(layout: &TokenLayout, window: usize) -> QueryPlan {
    let mut plan = QueryPlan::last("weighted_recent", layout, window);
    let steps = plan.rows.len().saturating_sub(1).max(1) as f64;
    let raw: Vec<f64> = match plan.rows.len() {
        1 => vec![1.0],
        len => (0..len).map(|i| 0.5 + 0.5 * i as f64 / steps).collect(),
    };
    let total: f64 = raw.iter().sum();
    plan.weighting = Weighting::Fixed(raw.iter().map(|weight| weight / total).collect());
    plan
}

#[cfg(test)]
mod tests {
    use crate::QueryStrategy;
    use crate::query::check_plan;

    #[test]
    fn by_hand() {
        let weights = [0.5, 0.625, 0.75, 0.875, 1.0].map(|w: f64| w / 3.75);
        check_plan(
            QueryStrategy::WeightedRecent,
            (3, 4, 7),
            &[9, 10, 11, 12, 13],
            &weights,
        );
        check_plan(
            QueryStrategy::WeightedRecent,
            (0, 1, 1),
            &[0, 1],
            &[0.5 / 1.5, 1.0 / 1.5],
        );
        check_plan(QueryStrategy::WeightedRecent, (0, 1, 0), &[0], &[1.0]);
    }
}
