//! FasterVLM: the tokens with the highest attention from the class token.
//!
//! a_j = mean over heads of the class token's attention to patch j, in the layer that outputs the
//! features; the T largest are kept, in spatial order, and then pass the projector. Shapes:
//! `cls_attention` [H, N]. Source: FasterVLM @ f5d5f12037e1, `llava_arch.py encode_images`. Sum
//! and mean over heads give the same order.

use crate::pruning::published::shared::{CLS_ATTENTION, KEEP};
use crate::pruning::published::{
    Dense, MethodChoice, MethodInputs, MethodParams, Preset, PublishedCard, PublishedError,
    PublishedMethod, PublishedStage, Source, best,
};
use crate::{CropBudget, PlanSetting, PositionRule, Site, TokenSelection, VisionNeed};

/// The tokens with the highest attention from the class token.
#[derive(Debug)]
pub struct FasterVlm;

static CARD: PublishedCard = PublishedCard {
    name: "fastervlm",
    summary: "the tokens that the vision tower's class token attends to most",
    site: "vision",
    formula: "a_j = mean_h A[h, class, j]; the T largest, in spatial order",
    inputs: &[CLS_ATTENTION],
    params: &[KEEP],
    presets: &[
        Preset {
            budget: "192",
            params: "keep=192",
            whose: "the budget itself; the authors publish 432, 288, 144, 58 and 29",
        },
        Preset {
            budget: "128",
            params: "keep=128",
            whose: "the budget itself",
        },
        Preset {
            budget: "64",
            params: "keep=64",
            whose: "the budget itself",
        },
    ],
    paper: "FasterVLM, 2024",
    source: "Theia-4869/FasterVLM @ f5d5f12037e1, llava/model/llava_arch.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "LLaVA-NeXT: the authors take T per crop and drop newlines; so here in the form \
         fixed-2880 of any-resolution input, and refused in the checkpoint's own",
    ],
};

impl PublishedMethod for FasterVlm {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn authors_crop_budget(&self) -> Option<CropBudget> {
        Some(CropBudget::PerCrop)
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let attention = inputs.attention("cls_attention")?;
        let num_tokens = attention.num_columns();
        let keep = params.count_up_to("keep", num_tokens, "image tokens")?;
        let kept = fastervlm_tokens(&attention, keep);
        let selection = TokenSelection::new(kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection))
    }

    fn looks_at_class_token(&self) -> bool {
        true
    }

    fn stages(
        &self,
        params: &MethodParams,
        _setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        Ok(vec![PublishedStage {
            site: Site::Vision,
            method: &FasterVlm,
            params: params.clone(),
            kept: params.count("keep")?,
            sources: vec![(
                "cls_attention",
                Source::Vision(VisionNeed::ClassAttention(-2)),
            )],
        }])
    }
}

/// The `keep` tokens of largest mean attention over heads `[H, N]`, ascending; all of them if
/// there are fewer.
pub fn fastervlm_tokens(cls_attention: &Dense, keep: usize) -> Vec<usize> {
    let all: Vec<usize> = (0..cls_attention.num_columns()).collect();
    best(&cls_attention.column_means(), &all, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Means 0.3125, 0.1875, 0.3125, 0.1875: ties go to the lower index.
        let heads = [[0.5, 0.125, 0.25, 0.125], [0.125, 0.25, 0.375, 0.25]];
        let attention = Dense::new(heads.concat(), 4).unwrap();
        assert_eq!(fastervlm_tokens(&attention, 1), [0]);
        assert_eq!(fastervlm_tokens(&attention, 3), [0, 1, 2]);
    }
}
