//! The row that the next token is predicted from.

use super::QueryPlan;
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "the last row",
    hypothesis: "baseline: the row that predicts the answer has gathered the question",
    source: "FastV (Chen et al. 2024, arXiv 2403.06764)",
};

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    QueryPlan::last("last_token", layout, 1)
}

#[cfg(test)]
mod tests {
    use crate::QueryStrategy;
    use crate::query::check_plan;

    #[test]
    fn by_hand() {
        check_plan(QueryStrategy::LastToken, (3, 4, 2), &[8], &[1.0]);
        check_plan(QueryStrategy::LastToken, (3, 4, 0), &[6], &[1.0]);
    }
}
