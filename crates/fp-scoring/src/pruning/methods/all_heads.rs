//! FastV: the mean over every head.

use std::sync::Arc;

use crate::{
    AttentionSelector, HeadCount, HeadStrategy, MethodCard, MethodRole, Plan, PlanError,
    PlanSetting, PruningMethod,
};

/// FastV: the tokens with the highest mean attention over every head of layer K.
#[derive(Debug)]
pub struct AllHeads;

impl PruningMethod for AllHeads {
    fn name(&self) -> &'static str {
        "all_heads"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "the mean over every head, which is FastV; alone: --num-selected-heads all",
            source: "Chen et al., \"An Image is Worth 1/2 Tokens After Layer 2\", 2024",
        }
    }

    fn role(&self) -> MethodRole {
        MethodRole::Control
    }

    fn takes_query(&self) -> bool {
        true
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        let selector = AttentionSelector {
            head_strategy: HeadStrategy::Sum,
            query_strategy: setting.query_strategy,
            num_selected_heads: HeadCount::All,
            normalization: setting.normalization,
            allow_degenerate: setting.allow_degenerate,
        };
        setting.staged(Arc::new(selector))
    }
}
