//! A short window of the last rows.

use super::QueryPlan;
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "the last 3 rows, mean",
    hypothesis: "several recent rows are steadier",
    source: "the original study",
};

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    const WINDOW: usize = 3;
    QueryPlan::last("last_n_tokens", layout, WINDOW)
}

#[cfg(test)]
mod tests {
    use crate::QueryStrategy;
    use crate::query::check_plan;

    #[test]
    fn by_hand() {
        let third = 1.0 / 3.0;
        check_plan(
            QueryStrategy::LastNTokens,
            (3, 4, 5),
            &[9, 10, 11],
            &[third; 3],
        );
        // Extends into the image; clipped to the sequence.
        check_plan(
            QueryStrategy::LastNTokens,
            (3, 4, 1),
            &[5, 6, 7],
            &[third; 3],
        );
        check_plan(QueryStrategy::LastNTokens, (0, 1, 1), &[0, 1], &[0.5; 2]);
    }
}
