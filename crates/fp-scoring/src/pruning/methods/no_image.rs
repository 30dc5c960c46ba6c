//! The question without its image.

use crate::{ImageInput, MethodCard, MethodRole, Plan, PlanError, PlanSetting, PruningMethod};

/// The question without its image: what the text alone reveals.
#[derive(Debug)]
pub struct NoImage;

impl PruningMethod for NoImage {
    fn name(&self) -> &'static str {
        "no_image"
    }

    fn card(&self) -> MethodCard {
        MethodCard {
            summary: "the question without its image: what can be answered from the text alone",
            source: "language prior, as VQA v2 measures it",
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
        Ok(Plan {
            input: ImageInput::None,
            ..Plan::vanilla()
        })
    }
}
