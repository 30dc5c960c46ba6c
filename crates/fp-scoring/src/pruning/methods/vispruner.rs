//! VisPruner: the most attended tokens, and the most diverse of the rest.
//!
//! imp = ⌊T·r⌋ tokens are kept by the class token's attention (mean over heads). The rest R, in
//! descending attention, is reduced in rounds to T − imp: its even positions a are compared with
//! its odd positions b, s_i = max_j cos(a_i, b_j) of the features; the n = min(8, |R| − (T −
//! imp), |a|) rows of a with the largest s are dropped; R becomes the survivors of a by
//! descending s, then b. All kept tokens are put in spatial order before the projector. Shapes:
//! `cls_attention` [H, N], `hidden` [N+1, D]. Source: VisPruner @ aefa01adc7c7, `llava_arch.py
//! encode_images`.
//!
//! For a tower without a class token (SigLIP) the paper uses the attention that each patch
//! receives, the mean over all rows, instead; `hidden` then holds only the patches, [N, D].
//!
//! The authors' code fails if |R| is odd (⌊T·r⌋ odd with N even: T = 58, 10, 14, 30, … at r =
//! 0.5) and if a has fewer rows than a round drops (N = 576: T = 8 and 4), and sometimes keeps T
//! − 1 there. Here the odd element goes to a, and a round drops at most all of a. The result
//! depends on the whole order of R, not only on the cut, so half precision gives other sets (in
//! f16 67 to 81 % of its own f64 set); this is computed in f64. The rule depends on the order of
//! tokens, so it isn't invariant under permutations if attention ties.

use crate::pruning::published::shared::{
    CLS_ATTENTION, HIDDEN as WITH_CLASS, KEEP, feature_layer, patch_features,
};
use crate::pruning::published::{
    Dense, Extra, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault,
    ParamKind, ParamScope, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage,
    Source, descending,
};
use crate::{CropBudget, PlanSetting, PositionRule, Site, TokenSelection, VisionNeed};

/// The tower's features; a tower without a class token has no row for it.
const HIDDEN: InputCard = InputCard {
    summary: "penultimate features of the tower, the class token's first; [N, D] of a tower without one",
    ..WITH_CLASS
};

/// Most rows that a round drops.
const ROUND: usize = 8;

/// The most attended tokens, and the most diverse of the rest.
#[derive(Debug)]
pub struct VisPruner;

static CARD: PublishedCard = PublishedCard {
    name: "vispruner",
    summary: "half by the class token's attention, half by least similarity among the rest",
    site: "vision",
    formula: "int(T*r) by mean_h A[h, class, j]; of the rest, rounds drop the 8 even-placed \
              tokens most similar to an odd-placed one until T - int(T*r) are left",
    inputs: &[CLS_ATTENTION, HIDDEN],
    params: &[
        KEEP,
        ParamCard {
            name: "important_ratio",
            kind: ParamKind::Share,
            default: ParamDefault::Is("0.5"),
            scope: ParamScope::Both,
            summary: "r, the share of T that is kept by attention",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "keep=192",
            whose: "the authors",
        },
        Preset {
            budget: "128",
            params: "keep=128",
            whose: "the authors",
        },
        Preset {
            budget: "64",
            params: "keep=64",
            whose: "the authors",
        },
    ],
    paper: "VisPruner, ICCV 2025",
    source: "Theia-4869/VisPruner @ aefa01adc7c7, llava/model/llava_arch.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "the code fails where the rest is odd (T = 58) or a round is larger than its half \
         (T = 8); here the odd token goes to the even places and a round drops at most them",
        "of a tower without a class token (SigLIP) the paper takes the attention that each patch \
         receives, mean over all rows; so does this",
        "half precision chooses other sets: in f16 the code keeps 67 to 81 % of its f64 set",
        "LLaVA-NeXT: the authors pin the grid to 672 x 672 and drop newlines, T per crop: the form fixed-2880 here",
    ],
};

impl PublishedMethod for VisPruner {
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
        // A tower without a class token has no row for it.
        let hidden = inputs.matrix("hidden")?;
        let features = if hidden.num_rows() == num_tokens {
            hidden
        } else {
            patch_features(inputs, num_tokens)?
        };
        let keep = params.count_up_to("keep", num_tokens, "image tokens")?;
        let chosen = vispruner_tokens(
            &attention.column_means(),
            &features,
            keep,
            params.number("important_ratio")?,
        );
        let mut kept = [chosen.important.as_slice(), &chosen.diverse].concat();
        kept.sort_unstable();
        let selection = TokenSelection::new(kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection)
            .with("important", Extra::Tokens(chosen.important))
            .with("diverse", Extra::Tokens(chosen.diverse)))
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        Ok(vec![PublishedStage {
            site: Site::Vision,
            method: &VisPruner,
            params: params.clone(),
            kept: params.count("keep")?,
            sources: if setting.has_class_token {
                vec![
                    (
                        "cls_attention",
                        Source::Vision(VisionNeed::ClassAttention(-2)),
                    ),
                    ("hidden", Source::Vision(VisionNeed::HiddenState(-2))),
                ]
            } else {
                let received = VisionNeed::ReceivedAttention(feature_layer(setting));
                vec![
                    ("cls_attention", Source::Vision(received)),
                    ("hidden", Source::Vision(VisionNeed::Features)),
                ]
            },
        }])
    }
}

/// VisPruner's selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisPrunerTokens {
    /// In descending order of attention.
    pub important: Vec<usize>,
    /// The rest after the last round, in its order.
    pub diverse: Vec<usize>,
}

/// VisPruner's selection of `keep` ≤ N tokens by attention `[N]` and features `[N, D]`.
pub fn vispruner_tokens(
    attention: &[f64],
    features: &Dense,
    keep: usize,
    important_ratio: f64,
) -> VisPrunerTokens {
    let num_important = (keep as f64 * important_ratio) as usize;
    let num_diverse = keep - num_important;
    let mut important = descending(attention);
    let mut rest = important.split_off(num_important);
    if num_diverse == 0 {
        rest.clear();
    }
    let unit = features.normalized();
    let cosines = if rest.len() > num_diverse {
        unit.products(&unit)
    } else {
        unit
    };
    while rest.len() > num_diverse {
        let even: Vec<usize> = rest.iter().copied().step_by(2).collect();
        let odd: Vec<usize> = rest.iter().copied().skip(1).step_by(2).collect();
        let dropped = ROUND.min(rest.len() - num_diverse).min(even.len());
        let similarity: Vec<f64> = even
            .iter()
            .map(|&a| {
                let row = cosines.row(a);
                odd.iter()
                    .map(|&b| row[b])
                    .fold(f64::NEG_INFINITY, f64::max)
            })
            .collect();
        let order = descending(&similarity);
        rest = order[dropped..].iter().map(|&index| even[index]).collect();
        rest.extend(odd);
    }
    VisPrunerTokens {
        important,
        diverse: rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unit vectors at these angles, in degrees.
    fn at(angles: &[f64]) -> Dense {
        let rows = angles.iter().map(|a| {
            let angle = a.to_radians();
            [angle.cos(), angle.sin()]
        });
        Dense::new(rows.flatten().collect(), 2).unwrap()
    }

    #[test]
    fn by_hand() {
        // Token 0 is kept by attention. The rest 1, 2, 3, 4, 5: even positions 1, 3, 5 at 10°,
        // 60°, 95°, odd ones 2, 4 at 12° and 90°. Nearest: 2°, 30°, 5°. One token is to be kept,
        // so all three are dropped; 2 and 4 remain, of which 2 is in the even position.
        let attention = [0.9, 0.5, 0.4, 0.3, 0.2, 0.1];
        let features = at(&[0.0, 10.0, 12.0, 60.0, 90.0, 95.0]);
        let chosen = vispruner_tokens(&attention, &features, 2, 0.5);
        assert_eq!((chosen.important, chosen.diverse), (vec![0], vec![4]));
        // Three are to be kept: 1 and 5 are dropped, 3 survives before the odd ones.
        let chosen = vispruner_tokens(&attention, &features, 4, 0.25);
        assert_eq!((chosen.important, chosen.diverse), (vec![0], vec![3, 2, 4]));
    }

    #[test]
    fn sizes_at_which_the_original_fails_are_met() {
        let attention: Vec<f64> = (0..64).map(|i| 1.0 / (i + 1) as f64).collect();
        let angles: Vec<f64> = (0..64).map(|i| (i * i % 89) as f64).collect();
        for keep in 1..=64 {
            let chosen = vispruner_tokens(&attention, &at(&angles), keep, 0.5);
            let mut kept = [chosen.important, chosen.diverse].concat();
            kept.sort_unstable();
            kept.dedup();
            assert_eq!(kept.len(), keep);
        }
    }
}
