//! Applies one of the other rules, depending on the length of the text.

use super::{QueryPlan, attention_weighted, last_token, text_tokens_only, weighted_recent};
use crate::{StrategyCard, TokenLayout};

pub(super) const CARD: StrategyCard = StrategyCard {
    formula: "no text: last_token; text ≤ 3: text_tokens_only; ≤ 10: weighted_recent with window min(5, text); longer: attention_weighted",
    hypothesis: "the best rule depends on length",
    source: "the original study; every published benchmark prompt is longer than 10 tokens, where it is attention_weighted",
};

/// For texts up to this length all rows are read.
const SHORT: usize = 3;
/// For texts up to this length the last rows are read.
const MEDIUM: usize = 10;

pub(super) fn plan(layout: &TokenLayout) -> QueryPlan {
    match layout.num_text {
        0 => last_token::plan(layout),
        1..=SHORT => text_tokens_only::plan(layout),
        text @ ..=MEDIUM => weighted_recent::plan_window(layout, text.min(weighted_recent::WINDOW)),
        _ => attention_weighted::plan(layout),
    }
}

#[cfg(test)]
mod tests {
    use crate::{QueryStrategy, TokenLayout};

    #[track_caller]
    fn check_branch(num_text: usize, branch: QueryStrategy, num_rows: usize) {
        let layout = TokenLayout {
            num_system: 4,
            num_image: 9,
            num_text,
        };
        let plan = QueryStrategy::AdaptiveByLength.plan(&layout).unwrap();
        assert_eq!(plan.branch, branch.name());
        assert_eq!(plan.rows.len(), num_rows);
    }

    #[test]
    fn each_branch() {
        check_branch(0, QueryStrategy::LastToken, 1);
        check_branch(1, QueryStrategy::TextTokensOnly, 1);
        check_branch(3, QueryStrategy::TextTokensOnly, 3);
        check_branch(4, QueryStrategy::WeightedRecent, 4);
        check_branch(10, QueryStrategy::WeightedRecent, 5);
        check_branch(11, QueryStrategy::AttentionWeighted, 4 + 11);
    }
}
