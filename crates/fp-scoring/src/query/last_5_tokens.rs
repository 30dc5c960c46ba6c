//! A longer window of the last rows.

use super::QueryPlan;
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "the last 5 rows, mean",
    hypothesis: "a larger window adds context",
    source: "the original study",
};

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    QueryPlan::last("last_5_tokens", layout, 5)
}

#[cfg(test)]
mod tests {
    use crate::QueryStrategy;
    use crate::query::check_plan;

    #[test]
    fn by_hand() {
        check_plan(
            QueryStrategy::Last5Tokens,
            (3, 4, 7),
            &[9, 10, 11, 12, 13],
            &[0.2; 5],
        );
        check_plan(
            QueryStrategy::Last5Tokens,
            (0, 2, 1),
            &[0, 1, 2],
            &[1.0 / 3.0; 3],
        );
    }
}
