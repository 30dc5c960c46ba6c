//! FitPrune: in every layer, deletes the tokens that matter least to both image and text.
//!
//! cross_j = Σ over the text rows after the image, self_j = Σ over the rows of the image divided
//! by n, of the largest attention to j among all heads. The `delete` tokens with the smallest
//! cross·self are deleted; of tied tokens the lower index is kept. The authors delete between
//! attention and MLP of the layer, which is equivalent to deleting after it: its KV cache keeps
//! all tokens. Shape: `attention` [H, S, S] after softmax, the image starts at `visual_start`.
//! Source: FitPrune @ d28e418c9209, `modeling_llama.py`.
//!
//! The numbers per layer are literals for 32 layers at 40 to 90 %; they come from a fit on
//! LLaVA-1.5-7B, so `delete` has to be given for any model.

use crate::pruning::published::at_budget;
use crate::pruning::published::shared::{self, VISUAL_START};
use crate::pruning::published::{
    Dense, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind,
    ParamScope, ParamValue, PublishedCard, PublishedError, PublishedMethod, PublishedStage, Source,
    best,
};
use crate::{Evidence, PlanSetting, PositionRule, Site, TokenSelection};

/// In every layer, deletes the tokens that matter least to both image and text.
#[derive(Debug)]
pub struct FitPrune;

static CARD: PublishedCard = PublishedCard {
    name: "fitprune",
    summary: "in each layer, the tokens with the least attention from text and image together are dropped",
    site: "layer k",
    formula: "delete d_l smallest (sum over text rows of max_h A[h, t, j]) * (sum over image \
              rows of max_h A[h, i, j] / n)",
    inputs: &[InputCard {
        name: "attention",
        shape: "[H, S, S]",
        summary: "a decoder layer's attention after softmax, causal",
    }],
    params: &[
        ParamCard {
            name: "delete",
            kind: ParamKind::Count,
            default: ParamDefault::Required,
            scope: ParamScope::Selection,
            summary: "the number of tokens dropped",
        },
        VISUAL_START,
        ParamCard {
            name: "visual_tokens",
            kind: ParamKind::Count,
            default: ParamDefault::Absent,
            scope: ParamScope::Selection,
            summary: "the number of image tokens; the greatest square that leaves text by default",
        },
        ParamCard {
            name: "delete",
            kind: ParamKind::Counts,
            default: ParamDefault::Required,
            scope: ParamScope::Model,
            summary: "the number of tokens dropped in each layer, one number per layer",
        },
    ],
    presets: &[],
    paper: "FitPrune, AAAI 2025",
    source: "ywh187/FitPrune @ d28e418c9209, LLaVA_1.5/llava/model/language_model/modeling_llama.py",
    positions: PositionRule::Keep,
    disagreements: &[
        "the numbers per layer are literals for 32 layers, fitted on LLaVA-1.5-7B",
        "the code deletes between attention and MLP of a layer: the same as after it",
    ],
};

impl PublishedMethod for FitPrune {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let heads = inputs.matrices("attention")?;
        let len = heads[0].num_rows();
        if heads[0].num_columns() != len {
            return Err(PublishedError::TensorShape {
                tensor: "attention".to_owned(),
                found: vec![heads.len(), len, heads[0].num_columns()],
                expected: "[H, S, S]".to_owned(),
            });
        }
        let start = params.count("visual_start")?;
        let num_tokens = shared::visual_tokens(params, len, start, 1)?;
        let delete = params.count("delete")?;
        if delete > num_tokens {
            let expected = format!("at most {num_tokens}, the number of image tokens");
            return Err(params.refuse("delete", &delete, expected));
        }
        let largest = largest_over_heads(&heads);
        let columns = start..start + num_tokens;
        let take = |rows: std::ops::Range<usize>| {
            let part = rows
                .map(|row| largest.row(row)[columns.clone()].to_vec())
                .collect();
            Dense::from_rows(part, num_tokens).column_sums()
        };
        let from_image = take(columns.clone());
        let from_text = take(columns.end..len);
        let kept = fitprune_tokens(&from_image, &from_text, delete);
        let selection = TokenSelection::new(kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        // The authors fit their tables to a model; here every layer deletes the same fraction of
        // its present tokens.
        let share = share.min(1.0);
        let mut present = setting.num_image_tokens;
        let mut delete: Vec<usize> = (1..setting.shape.num_layers)
            .map(|layers_run| {
                let exponent = i32::try_from(layers_run).unwrap_or(i32::MAX);
                let kept = at_budget::tokens(share.powi(exponent), setting).min(present);
                let gone = present - kept;
                present = kept;
                gone
            })
            .collect();
        delete.push(0);
        Some(vec![("delete", at_budget::list(&delete))])
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let delete = params.counts("delete")?;
        let num_layers = setting.shape.num_layers;
        let is_last_used = delete.last().is_some_and(|last| *last > 0);
        if delete.len() != num_layers || is_last_used {
            let expected = format!(
                "{num_layers} numbers, one per layer, the last of them 0: behind the last layer \
                 nothing is left to run"
            );
            return Err(params.refuse("delete", &shared::listed(delete), expected));
        }
        let mut present = setting.num_image_tokens;
        let mut stages = Vec::new();
        for (layer, &delete) in delete.iter().enumerate().filter(|(_, delete)| **delete > 0) {
            if delete > present {
                let expected =
                    format!("at most {present} in layer {}, as many are left", layer + 1);
                return Err(params.refuse("delete", &delete, expected));
            }
            present -= delete;
            stages.push(PublishedStage {
                site: Site::Layer(layer + 1),
                method: &FitPrune,
                params: params.with("delete", ParamValue::Count(delete)),
                kept: present,
                sources: vec![("attention", Source::LargestOverHeads)],
            });
        }
        Ok(stages)
    }

    fn stage_params(
        &self,
        params: &MethodParams,
        evidence: &Evidence<'_>,
    ) -> Result<MethodParams, PublishedError> {
        // The attention covers only image and text.
        let num_tokens = ParamValue::Count(evidence.num_tokens());
        Ok(params
            .with("visual_start", ParamValue::Count(0))
            .with("visual_tokens", num_tokens))
    }
}

/// The largest value over heads at each position.
fn largest_over_heads(heads: &[Dense]) -> Dense {
    let mut largest = heads[0].values().to_vec();
    for head in &heads[1..] {
        for (value, other) in largest.iter_mut().zip(head.values()) {
            *value = value.max(*other);
        }
    }
    let rows = largest.chunks(heads[0].num_columns()).map(<[f64]>::to_vec);
    Dense::from_rows(rows.collect(), heads[0].num_columns())
}

/// All but the `delete` tokens of least importance, ascending, by the sums over the rows of the
/// image and of the text, each `[n]`, of the largest attention among heads.
pub fn fitprune_tokens(from_image: &[f64], from_text: &[f64], delete: usize) -> Vec<usize> {
    let num_tokens = from_image.len();
    let scores: Vec<f64> = from_text
        .iter()
        .zip(from_image)
        .map(|(text, image)| text * (image / num_tokens as f64))
        .collect();
    let all: Vec<usize> = (0..num_tokens).collect();
    best(&scores, &all, num_tokens.saturating_sub(delete))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Products 2, 3, 2, 8: of the tie the lower index is kept.
        assert_eq!(
            fitprune_tokens(&[1.0, 3.0, 2.0, 2.0], &[2.0, 1.0, 1.0, 4.0], 1),
            [0, 1, 3]
        );
        assert_eq!(
            fitprune_tokens(&[1.0, 3.0, 2.0, 2.0], &[2.0, 1.0, 1.0, 4.0], 3),
            [3]
        );
        let heads = [[1.0, 5.0], [4.0, 2.0]].map(|row| Dense::new(row.to_vec(), 2).unwrap());
        assert_eq!(largest_over_heads(&heads).values(), [4.0, 5.0]);
    }
}
