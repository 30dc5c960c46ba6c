//! VisionZip: the class token, the tokens that it attends to most, and merged tokens of the rest.
//!
//! The `dominant` − 1 patches of largest Σ_heads class attention are kept in spatial order after
//! the class token itself. Of the M remaining patches, in spatial order, every step-th (step =
//! max(1, ⌊M / contextual⌋)) is a target, `contextual` of them; every other patch joins the
//! target of largest cosine of keys (mean over heads), ties to the first. A merged token is
//! feature(target) + mean(features that joined it): not a mean that includes the target, so its
//! norm is about twice a token's. Order: class token, dominant, merged; then the projector.
//! Shapes: `cls_attention` [H, N], `hidden` [N+1, D], `keys` [N+1, d], of k_proj with its bias
//! and no scale. Source: VisionZip @ 3151f6df4fca, `clip_encoder.py`.
//!
//! The authors' code fails for 2 ≤ M < contextual, which is refused here; M = 1 gives
//! `contextual` copies of one row, in their code and here; `contextual` = 0 divides by zero in
//! their code and merges nothing here. Targets depend on the order of tokens. Positions under
//! `keep` are our choice: the class token has the image's first position, a merged token its
//! target's.

use crate::pruning::published::at_budget;
use crate::pruning::published::choice::{Sum, weighted_rows};
use crate::pruning::published::dense::dot;
use crate::pruning::published::shared::{CLS_ATTENTION, HIDDEN};
use crate::pruning::published::{
    Dense, Extra, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault,
    ParamKind, ParamScope, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage,
    Source, best,
};
use crate::{CropBudget, PlanSetting, PositionRule, Site, TokenSelection, VisionNeed};

/// The class token, the tokens that it attends to most, and merged tokens of the rest.
#[derive(Debug)]
pub struct VisionZip;

static CARD: PublishedCard = PublishedCard {
    name: "visionzip",
    summary: "the class token, the patches it attends to most, and merged tokens of the rest",
    site: "vision",
    formula: "dominant - 1 largest of sum_h A[h, class, j]; every step-th of the rest is a \
              target: feature + mean of the features whose keys are nearest to its key",
    inputs: &[
        CLS_ATTENTION,
        HIDDEN,
        InputCard {
            name: "keys",
            shape: "[N+1, d]",
            summary: "keys of the tower's last layer but one, mean over heads, bias included",
        },
    ],
    params: &[
        ParamCard {
            name: "dominant",
            kind: ParamKind::Count,
            default: ParamDefault::Required,
            scope: ParamScope::Both,
            summary: "tokens kept by attention, including the class token",
        },
        ParamCard {
            name: "contextual",
            kind: ParamKind::Count,
            default: ParamDefault::Required,
            scope: ParamScope::Both,
            summary: "merged tokens",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "dominant=162 contextual=30",
            whose: "the authors, as LightCompress and SCOPE also have it",
        },
        Preset {
            budget: "128",
            params: "dominant=108 contextual=20",
            whose: "the authors, as LightCompress and SCOPE also have it",
        },
        Preset {
            budget: "64",
            params: "dominant=54 contextual=10",
            whose: "the authors, as LightCompress and SCOPE also have it",
        },
    ],
    paper: "VisionZip, CVPR 2025",
    source: "JIA-Lab-research/VisionZip @ 3151f6df4fca, visionzip/clip_encoder.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "a merged token is a sum of a token and a mean, about twice as long as others",
        "the package's default (191, 30) is none of the published budgets",
        "the code fails where 2 <= patches left < contextual; refused here",
        "some papers print the fine-tuned row as this one; another says that positions are \
         kept, the code renumbers",
    ],
};

impl PublishedMethod for VisionZip {
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
        let why = "the class token's row and one per patch of `cls_attention`";
        let hidden = inputs.matrix("hidden")?;
        inputs.check_rows("hidden", hidden.num_rows(), num_tokens + 1, why)?;
        let keys = inputs.matrix("keys")?;
        inputs.check_rows("keys", keys.num_rows(), num_tokens + 1, why)?;
        let dominant = params.count("dominant")?;
        if !(1..=num_tokens + 1).contains(&dominant) {
            let expected = format!("1 to {}, patches and class token", num_tokens + 1);
            return Err(params.refuse("dominant", &dominant, expected));
        }
        let contextual = params.count("contextual")?;
        let left = num_tokens + 1 - dominant;
        if (left != 1 && left < contextual) || (left == 0 && contextual > 0) {
            let expected = format!("at most {left}, the patches that dominant = {dominant} leaves");
            return Err(params.refuse("contextual", &contextual, expected));
        }
        let keys = keys.slice(1, num_tokens);
        let chosen = visionzip_tokens(&attention.column_sums(), &keys, dominant, contextual);
        // Rows in the projector's order: patches, then the class token.
        let mut sums: Vec<Sum> = vec![(0, vec![(num_tokens, 1.0)])];
        sums.extend(
            chosen
                .dominant
                .iter()
                .map(|&token| (token, vec![(token, 1.0)])),
        );
        for (&target, merged) in chosen.targets.iter().zip(&chosen.merged_from) {
            let weight = 1.0 / merged.len() as f64;
            let others = merged.iter().map(|&token| (token, weight));
            sums.push((target, [(target, 1.0)].into_iter().chain(others).collect()));
        }
        let features = Dense::from_rows(
            hidden
                .rows()
                .skip(1)
                .chain(hidden.rows().take(1))
                .map(<[f64]>::to_vec)
                .collect(),
            hidden.num_columns(),
        );
        let rows = weighted_rows(&sums, &features);
        let selection = TokenSelection::merged_before_projector(sums, num_tokens)?;
        let mut choice = MethodChoice::plain(&chosen.dominant, selection);
        choice.has_class_token = true;
        Ok(choice
            .with_rows(rows)
            .with("targets", Extra::Tokens(chosen.targets))
            .with("merged_from", Extra::Groups(chosen.merged_from)))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        // Approximately the authors' 30 of 192, 20 of 128 and 10 of 64.
        let tokens = at_budget::tokens(share, setting);
        let contextual = (tokens as f64 * 5.0 / 32.0).round() as usize;
        Some(vec![
            ("dominant", (tokens - contextual).to_string()),
            ("contextual", contextual.to_string()),
        ])
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
            method: &VisionZip,
            params: params.clone(),
            kept: params.count("dominant")? + params.count("contextual")?,
            sources: vec![
                (
                    "cls_attention",
                    Source::Vision(VisionNeed::ClassAttention(-2)),
                ),
                ("hidden", Source::Vision(VisionNeed::HiddenState(-2))),
                ("keys", Source::Vision(VisionNeed::MeanKeys(-2))),
            ],
        }])
    }
}

/// VisionZip's selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisionZipTokens {
    /// Patches that are kept unchanged, ascending.
    pub dominant: Vec<usize>,
    /// The patches that others are merged into; the same patch several times if only one is left.
    pub targets: Vec<usize>,
    /// The patches that joined each target.
    pub merged_from: Vec<Vec<usize>>,
}

/// VisionZip's selection by attention `[N]` and keys `[N, d]`; `dominant` includes the class
/// token.
pub fn visionzip_tokens(
    attention: &[f64],
    keys: &Dense,
    dominant: usize,
    contextual: usize,
) -> VisionZipTokens {
    let all: Vec<usize> = (0..attention.len()).collect();
    let dominant = best(attention, &all, dominant.saturating_sub(1));
    let rest: Vec<usize> = all
        .into_iter()
        .filter(|token| dominant.binary_search(token).is_err())
        .collect();
    let mut targets: Vec<usize> = Vec::new();
    if let Some(share) = rest.len().checked_div(contextual) {
        targets.extend(rest.iter().step_by(share.max(1)).take(contextual));
        if let [only] = rest.as_slice() {
            targets = vec![*only; contextual];
        }
    }
    let unit = keys.normalized();
    let mut merged_from = vec![Vec::new(); targets.len()];
    for &token in rest.iter().filter(|token| !targets.contains(token)) {
        let row = unit.row(token);
        let cosines: Vec<f64> = targets
            .iter()
            .map(|&target| dot(row, unit.row(target)))
            .collect();
        let mut nearest = 0;
        for (index, cosine) in cosines.iter().enumerate() {
            if *cosine > cosines[nearest] {
                nearest = index;
            }
        }
        if let Some(merged) = merged_from.get_mut(nearest) {
            merged.push(token);
        }
    }
    VisionZipTokens {
        dominant,
        targets,
        merged_from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let attention = [0.1, 0.5, 0.1, 0.1, 0.2, 0.1];
        // Remaining after dominant 1 and 4: 0, 2, 3, 5; step 2: targets 0 and 3.
        let keys = [
            [1.0, 0.0],
            [0.0, 0.0],
            [0.1, 1.0],
            [0.0, 1.0],
            [0.0, 0.0],
            [1.0, 0.2],
        ];
        let keys = Dense::new(keys.concat(), 2).unwrap();
        let chosen = visionzip_tokens(&attention, &keys, 3, 2);
        assert_eq!(chosen.dominant, [1, 4]);
        assert_eq!(chosen.targets, [0, 3]);
        assert_eq!(chosen.merged_from, [vec![5], vec![2]]);
        // One patch remains: copies of it.
        let chosen = visionzip_tokens(&attention, &keys, 6, 2);
        assert_eq!(chosen.targets, [5, 5]);
        assert!(visionzip_tokens(&attention, &keys, 3, 0).targets.is_empty());
    }
}
