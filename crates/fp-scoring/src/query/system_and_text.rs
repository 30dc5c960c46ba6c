//! All rows outside the image.

use super::QueryPlan;
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "all rows but the image's, mean; no text: the last 3 system rows",
    hypothesis: "every non-image row helps",
    source: "the original study; under a causal mask system rows add only zeros",
};

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    const SYSTEM_WINDOW: usize = 3;
    match layout.num_text {
        0 => QueryPlan::mean(
            "last 3 system rows (no text)",
            layout.num_system.saturating_sub(SYSTEM_WINDOW)..layout.num_system,
        ),
        _ => QueryPlan::mean(
            "system_and_text",
            (0..layout.num_system).chain(layout.text_range()),
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::QueryStrategy;
    use crate::query::check_plan;

    #[test]
    fn by_hand() {
        check_plan(
            QueryStrategy::SystemAndText,
            (2, 4, 2),
            &[0, 1, 6, 7],
            &[0.25; 4],
        );
        check_plan(
            QueryStrategy::SystemAndText,
            (5, 4, 0),
            &[2, 3, 4],
            &[1.0 / 3.0; 3],
        );
        check_plan(QueryStrategy::SystemAndText, (2, 4, 0), &[0, 1], &[0.5; 2]);
    }
}
