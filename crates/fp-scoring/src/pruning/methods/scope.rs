//! SCOPE: the tokens that cover the others best, weighted by the class token's attention.
//!
//! T times: gain_i = Σ_j max(0, cos(j, i) − m_j), where m_j is the largest cosine of j to a
//! selected token and initially 0; the token of the largest gain_i·aᵢ^α (`combined` multi) or
//! gain_i + aᵢ^α (add) is selected, a_i being the sum over heads of the class token's attention.
//! Spatial order. Shapes: `cls_attention` [H, N], `hidden` [N+1, D]. Source: SCOPE @
//! 6bf73069e0d6, `clip_encoder.py`.
//!
//! Under `add` it matters that the code takes the sum over heads, not the mean. It reads α and
//! the form from the environment (ALPHA, COMBINED).

use rayon::prelude::*;

use crate::pruning::published::shared::{CLS_ATTENTION, HIDDEN, KEEP, patch_features};
use crate::pruning::published::{
    Dense, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind,
    ParamScope, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage, Source,
};
use crate::{CropBudget, PlanSetting, PositionRule, Site, TokenSelection, VisionNeed};

/// The tokens that cover the others best.
#[derive(Debug)]
pub struct Scope;

static CARD: PublishedCard = PublishedCard {
    name: "scope",
    summary: "the tokens that cover the others' features best, weighted by attention",
    site: "vision",
    formula: "T times argmax_i (sum_j max(0, cos(j, i) - m_j)) * a_i^alpha, m_j the best cosine \
              of j to a chosen token, a_i = sum_h A[h, class, i]",
    inputs: &[CLS_ATTENTION, HIDDEN],
    params: &[
        KEEP,
        ParamCard {
            name: "alpha",
            kind: ParamKind::Number,
            default: ParamDefault::Is("1"),
            scope: ParamScope::Both,
            summary: "exponent of the attention",
        },
        ParamCard {
            name: "combined",
            kind: ParamKind::Choice(&["multi", "add"]),
            default: ParamDefault::Is("multi"),
            scope: ParamScope::Both,
            summary: "whether gain and attention are multiplied or added",
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
    paper: "SCOPE, NeurIPS 2025",
    source: "kinredon/SCOPE @ 6bf73069e0d6, scope/clip_encoder.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "LLaVA-NeXT: the authors take int(T / crops) per crop; here keep is the number of a crop, in the form fixed-2880",
    ],
};

impl PublishedMethod for Scope {
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
        let features = patch_features(inputs, num_tokens)?;
        let keep = params.count_up_to("keep", num_tokens, "image tokens")?;
        let alpha = params.number("alpha")?;
        let sums = attention.column_sums();
        let weights: Vec<f64> = sums.into_iter().map(|sum| sum.powf(alpha)).collect();
        if let Some(token) = weights.iter().position(|weight| !weight.is_finite()) {
            let expected = format!("an exponent that the attention of token {token} can take");
            return Err(params.refuse("alpha", &alpha, expected));
        }
        let is_sum = params.choice("combined")? == "add";
        let picked = scope_tokens(&weights, &features, keep, is_sum);
        let mut kept = picked.clone();
        kept.sort_unstable();
        let selection = TokenSelection::new(kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection).with_picked(picked))
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
            method: &Scope,
            params: params.clone(),
            kept: params.count("keep")?,
            sources: vec![
                (
                    "cls_attention",
                    Source::Vision(VisionNeed::ClassAttention(-2)),
                ),
                ("hidden", Source::Vision(VisionNeed::HiddenState(-2))),
            ],
        }])
    }
}

/// SCOPE's selection of `keep` ≤ N tokens by weights `[N]` and features `[N, D]`, in the order of
/// selection; `is_sum`: gain and weight are added.
pub fn scope_tokens(weights: &[f64], features: &Dense, keep: usize, is_sum: bool) -> Vec<usize> {
    let unit = features.normalized();
    let cosines = unit.products(&unit);
    let num_tokens = weights.len();
    let mut covered = vec![0.0_f64; num_tokens];
    let mut is_free = vec![true; num_tokens];
    let mut picked = Vec::with_capacity(keep);
    for _ in 0..keep.min(num_tokens) {
        let scores: Vec<f64> = (0..num_tokens)
            .into_par_iter()
            .map(|token| {
                if !is_free[token] {
                    return f64::NEG_INFINITY;
                }
                let pairs = cosines.row(token).iter().zip(&covered);
                let gain: f64 = pairs.map(|(cosine, m)| (cosine - m).max(0.0)).sum();
                if is_sum {
                    gain + weights[token]
                } else {
                    gain * weights[token]
                }
            })
            .collect();
        let mut best = 0;
        for token in 1..num_tokens {
            if scores[token] > scores[best] {
                best = token;
            }
        }
        is_free[best] = false;
        picked.push(best);
        for (m, cosine) in covered.iter_mut().zip(cosines.row(best)) {
            *m = m.max(*cosine);
        }
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Two equal tokens and an orthogonal one: covering two is worth 2, then only the third
        // gains anything; the duplicate of the first gains nothing.
        let features = Dense::new(vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0], 2).unwrap();
        assert_eq!(
            scope_tokens(&[1.0, 1.0, 1.5], &features, 3, false),
            [0, 2, 1]
        );
        // A heavier third token comes first.
        assert_eq!(scope_tokens(&[1.0, 1.0, 2.5], &features, 2, false), [2, 0]);
        // With addition: 2 + 1, 2 + 1.2, 1 + 1.5.
        assert_eq!(scope_tokens(&[1.0, 1.2, 1.5], &features, 2, true), [1, 2]);
    }
}
