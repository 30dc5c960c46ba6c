//! No pruning.

use crate::{MethodCard, MethodRole, Plan, PlanError, PlanSetting, PruningMethod};

/// No pruning: what pruned answers are compared with.
#[derive(Debug)]
pub struct Vanilla;

impl PruningMethod for Vanilla {
    fn name(&self) -> &'static str {
        "vanilla"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "no pruning: what pruned answers are compared with",
            source: "the model itself",
        }
    }

    fn role(&self) -> MethodRole {
        MethodRole::Control
    }

    fn takes_budget(&self) -> bool {
        false
    }

    fn takes_prune_layer(&self) -> bool {
        false
    }

    fn plan(&self, _setting: &PlanSetting) -> Result<Plan, PlanError> {
        Ok(Plan::vanilla())
    }
}
