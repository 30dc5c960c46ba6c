//! All rows after the image.

use super::QueryPlan;
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "all rows after the image, mean; no text: last_token",
    hypothesis: "text rows carry the semantics",
    source: "the original study",
};

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    match layout.num_text {
        0 => QueryPlan::last("last_token (no text)", layout, 1),
        _ => QueryPlan::mean("text_tokens_only", layout.text_range()),
    }
}

#[cfg(test)]
mod tests {
    use crate::QueryStrategy;
    use crate::query::check_plan;

    #[test]
    fn by_hand() {
        check_plan(QueryStrategy::TextTokensOnly, (3, 4, 2), &[7, 8], &[0.5; 2]);
        check_plan(QueryStrategy::TextTokensOnly, (3, 4, 0), &[6], &[1.0]);
    }
}
