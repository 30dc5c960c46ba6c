//! Every row, weighted by its attention to the image.

use super::{QueryPlan, Weighting};
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "all rows but the image's, weights softmax over rows of the row's total attention to the image, summed over heads and image tokens; no text: over the system rows",
    hypothesis: "strongly attending rows count more",
    source: "the original study",
};

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    QueryPlan::outside_image("attention_weighted", layout, Weighting::SoftmaxOfTotals)
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
        let exponentials = [1.0, 0.5_f64.exp(), 0.75_f64.exp()];
        let total: f64 = exponentials.iter().sum();
        let weights = exponentials.map(|e| e / total);
        check_weights(
            QueryStrategy::AttentionWeighted,
            layout,
            &[0, 3, 4],
            &attention,
            &weights,
        );
    }
}
