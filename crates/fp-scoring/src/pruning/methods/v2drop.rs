//! V2Drop: the tokens that the last layer changed most.
//!
//! The max(1, ⌊n·ratio⌋) of the n present tokens with the largest ‖after − before‖: `after` are
//! the hidden states that enter the present layer, `before` those that entered the previous one.
//! No attention is needed. Original order and positions. Shapes: `before`, `after` [n, D].
//! Source: V2Drop @ 219e03ede8cf, `V2Drop.py`.
//!
//! Ratios refer to the present number of tokens, and a ratio of 0 keeps one token. The
//! repository's constants (0.5, 0.5, 0 entering layers 3, 17, 22) average 202.8 tokens; the
//! paper's 192 prunes 50, 70 and 100 %. A literal in the code leaves sequences of up to 576
//! tokens unpruned; that isn't reproduced here.

use crate::pruning::published::at_budget;
use crate::pruning::published::dense::distance;
use crate::pruning::published::shared::layers;
use crate::pruning::published::{
    Dense, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind,
    ParamScope, ParamValue, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage,
    Source, best,
};
use crate::{PlanSetting, PositionRule, Site, TokenSelection};

/// The tokens that the last layer changed most.
#[derive(Debug)]
pub struct V2Drop;

static CARD: PublishedCard = PublishedCard {
    name: "v2drop",
    summary: "the tokens whose hidden states the last layer changed most",
    site: "layer k",
    formula: "max(1, int(n*ratio)) largest |after_j - before_j|_2",
    inputs: &[
        InputCard {
            name: "before",
            shape: "[n, D]",
            summary: "hidden states of the image tokens entering the previous layer",
        },
        InputCard {
            name: "after",
            shape: "[n, D]",
            summary: "hidden states of the same tokens entering the present layer",
        },
    ],
    params: &[
        ParamCard {
            name: "keep_ratio",
            kind: ParamKind::Share,
            default: ParamDefault::Required,
            scope: ParamScope::Selection,
            summary: "the share of the remaining tokens that is kept; 0 keeps one",
        },
        layers(ParamDefault::Is("3,17,22")),
        ParamCard {
            name: "keep_ratios",
            kind: ParamKind::Shares,
            default: ParamDefault::Is("0.5,0.5,0"),
            scope: ParamScope::Model,
            summary: "the same for each stage, of the tokens remaining there",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "layers=3,17,22 keep_ratios=0.5,0.3,0",
            whose: "the authors' paper; the repository's 0.5,0.5,0 average 202.8",
        },
        Preset {
            budget: "128",
            params: "layers=3,17,22 keep_ratios=0.28,0.25,0",
            whose: "the authors (V2Drop#6)",
        },
        Preset {
            budget: "64",
            params: "layers=3,17,22 keep_ratios=0.05,0.05,0",
            whose: "the authors (V2Drop#6)",
        },
    ],
    paper: "V2Drop, CVPR 2026",
    source: "xuyang-liu16/V2Drop @ 219e03ede8cf, llava/model/language_model/V2Drop.py",
    positions: PositionRule::Keep,
    disagreements: &[
        "the repository's constants are not the paper's",
        "a ratio of 0, \"all pruned\", keeps one token",
        "a literal lets sequences of up to 576 tokens pass unpruned; not done here",
        "with the transformers release that it pins the code raises IndexError after pruning",
    ],
};

impl PublishedMethod for V2Drop {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let before = inputs.matrix("before")?;
        let after = inputs.matrix("after")?;
        let num_tokens = before.num_rows();
        let shape = [after.num_rows(), after.num_columns()];
        if shape != [num_tokens, before.num_columns()] {
            return Err(PublishedError::TensorShape {
                tensor: "after".to_owned(),
                found: shape.to_vec(),
                expected: format!("[{num_tokens}, {}], as `before`", before.num_columns()),
            });
        }
        let ratio = params.number("keep_ratio")?;
        let keep = num_kept(num_tokens, ratio);
        let kept = v2drop_tokens(&before, &after, keep);
        let selection = TokenSelection::new(kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        let (layers, _) = at_budget::staged(1.0, &[3, 17, 22], &[288, 288, 1], setting);
        let ratio = share.min(1.0).to_string();
        let mut ratios = vec![ratio; layers.len()];
        if let Some(last) = ratios.last_mut() {
            "0".clone_into(last);
        }
        Some(vec![
            ("layers", at_budget::list(&layers)),
            ("keep_ratios", at_budget::list(&ratios)),
        ])
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let ratios = params.numbers("keep_ratios")?;
        let layers = params.check_per_stage("keep_ratios", ratios.len())?;
        let mut present = setting.num_image_tokens;
        let stages = layers.iter().zip(ratios).map(|(&layer, &ratio)| {
            present = num_kept(present, ratio);
            PublishedStage {
                site: Site::Layer(layer),
                method: &V2Drop,
                params: params.with("keep_ratio", ParamValue::Number(ratio)),
                kept: present,
                sources: vec![
                    ("before", Source::PreviousHidden),
                    ("after", Source::Hidden),
                ],
            }
        });
        Ok(stages.collect())
    }
}

/// max(1, ⌊n·ratio⌋).
fn num_kept(num_tokens: usize, ratio: f64) -> usize {
    ((num_tokens as f64 * ratio) as usize).max(1)
}

/// The `keep` tokens of largest change between states `[n, D]`, ascending.
pub fn v2drop_tokens(before: &Dense, after: &Dense, keep: usize) -> Vec<usize> {
    let changes: Vec<f64> = before
        .rows()
        .zip(after.rows())
        .map(|(a, b)| distance(a, b))
        .collect();
    let all: Vec<usize> = (0..changes.len()).collect();
    best(&changes, &all, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let before = Dense::new(vec![0.0; 6], 2).unwrap();
        let after = Dense::new(vec![3.0, 4.0, 0.0, 4.5, 5.0, 0.0], 2).unwrap();
        // Changes 5, 4.5, 5.
        assert_eq!(v2drop_tokens(&before, &after, 2), [0, 2]);
        assert_eq!(v2drop_tokens(&before, &after, 1), [0]);
    }
}
