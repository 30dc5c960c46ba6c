//! The row with the most attention to the image.

use super::{QueryPlan, Weighting};
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "the single non-image row with the largest total attention to the image; no text: over the system rows",
    hypothesis: "the one most relevant row suffices",
    source: "the original study",
};

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    QueryPlan::outside_image("max_attention_token", layout, Weighting::LargestTotal)
}

#[cfg(test)]
mod tests {
    use crate::query::rows::check_weights;
    use crate::{QueryStrategy, TokenLayout};

    #[test]
    fn by_hand() {
        // One head, two image tokens; row 0 is the system's, rows 3 and 4 the text's.
        let layout = TokenLayout {
            num_system: 1,
            num_image: 2,
            num_text: 2,
        };
        let attention = [0.0, 0.0, 0.25, 0.25, 0.5, 0.25];
        let weights = [0.0, 0.0, 1.0];
        check_weights(
            QueryStrategy::MaxAttentionToken,
            layout,
            &[0, 3, 4],
            &attention,
            &weights,
        );
    }
}
