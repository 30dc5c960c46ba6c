//! No image token after layer K.

use std::sync::Arc;

use crate::{
    Evidence, MethodCard, MethodRole, Plan, PlanError, PlanSetting, PruningMethod, SelectError,
    Selected, Selector, Site, TokenSelection,
};

/// No image token after layer K: the most that pruning can lose.
#[derive(Debug)]
pub struct DropAll;

impl PruningMethod for DropAll {
    fn name(&self) -> &'static str {
        "drop_all"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "no image token after layer K: what pruning can lose at most",
            source: "the limit R = 0 of every method at layer K",
        }
    }

    fn role(&self) -> MethodRole {
        MethodRole::Control
    }

    fn takes_budget(&self) -> bool {
        false
    }

    fn plan(&self, setting: &PlanSetting) -> Result<Plan, PlanError> {
        let site = Site::Layer(setting.prune_layer);
        Ok(Plan::one_stage(site, Arc::new(Nothing), 0))
    }
}

#[derive(Debug)]
struct Nothing;

impl Selector for Nothing {
    fn select(&self, _evidence: &Evidence<'_>, _kept: usize) -> Result<Selected, SelectError> {
        Ok(TokenSelection::all(0).into())
    }
}
