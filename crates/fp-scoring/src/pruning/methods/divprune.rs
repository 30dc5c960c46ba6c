//! DivPrune: tokens that are as far from each other as possible.
//!
//! m = round(ratio·N), half to even. d(i, j) = 1 − cos(x_i, x_j). The first token is the one
//! whose nearest neighbour is farthest; then repeatedly argmax_j min_{s selected} d(s, j). All
//! are kept in spatial order. Shape: `projected` [N, P], all image tokens of the sample. Source:
//! divprune @ 799e2d950aa0, `llava_arch.py`.
//!
//! The authors don't exclude selected tokens: with fewer distinct rows than m their sequence
//! repeats tokens (64 rows, 32 of them distinct, m = 48: 32 distinct tokens). Here a token is
//! kept once; if only duplicates are left, the lowest index comes next. Their text starts at a
//! literal 35, so another prompt template selects among the wrong rows; here the image's actual
//! position is used. In f16 their code keeps 95 to 97 % of its f64 set.

use rayon::prelude::*;

use crate::pruning::published::at_budget;
use crate::pruning::published::dense::dot;
use crate::pruning::published::shared::PROJECTED;
use crate::pruning::published::{
    Dense, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind,
    ParamScope, ParamValue, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage,
    Source,
};
use crate::{CropBudget, Evidence, PlanSetting, PositionRule, Site, TokenSelection};

/// Tokens that are as far from each other as possible.
#[derive(Debug)]
pub struct DivPrune;

static CARD: PublishedCard = PublishedCard {
    name: "divprune",
    summary: "the tokens farthest from one another, selected greedily",
    site: "embeddings",
    formula: "m = round(ratio*N); argmax_i min_{j != i} 1 - cos(x_i, x_j), then \
              argmax_j min_{s chosen} 1 - cos(x_s, x_j)",
    inputs: &[PROJECTED],
    params: &[ParamCard {
        name: "ratio",
        kind: ParamKind::Share,
        default: ParamDefault::Is("0.098"),
        scope: ParamScope::Both,
        summary: "the share of the image tokens that is kept",
    }],
    presets: &[
        Preset {
            budget: "192",
            params: "ratio=0.3333333333333333",
            whose: "those who re-ran it; the authors publish only 0.098",
        },
        Preset {
            budget: "128",
            params: "ratio=0.2222222222222222",
            whose: "those who re-ran it",
        },
        Preset {
            budget: "64",
            params: "ratio=0.1111111111111111",
            whose: "those who re-ran it",
        },
    ],
    paper: "DivPrune, CVPR 2025",
    source: "vbdi/divprune @ 799e2d950aa0, LLaVA/llava/model/llava_arch.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "the code repeats tokens where distinct rows are fewer than m; here each is kept once, \
         the lowest index first",
        "the code takes the text to begin at 35, whatever the prompt; here where it begins",
        "the script named 7b loads the 13b checkpoint; another paper says that positions are \
         kept, the code renumbers",
    ],
};

impl PublishedMethod for DivPrune {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn authors_crop_budget(&self) -> Option<CropBudget> {
        Some(CropBudget::Whole)
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let projected = inputs.matrix("projected")?;
        let num_tokens = projected.num_rows();
        let count = num_kept(params, num_tokens)?;
        let picked = divprune_tokens(&projected, count);
        let mut kept = picked.clone();
        kept.sort_unstable();
        let selection = TokenSelection::new(kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection).with_picked(picked))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        let tokens = at_budget::tokens(share, setting);
        let ratio = tokens as f64 / setting.num_image_tokens.max(1) as f64;
        Some(vec![("ratio", ratio.to_string())])
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let kept = num_kept(params, setting.num_image_tokens)?;
        Ok(vec![PublishedStage {
            site: Site::Embeddings,
            method: &DivPrune,
            params: params.clone(),
            kept,
            sources: vec![("projected", Source::Embeds)],
        }])
    }

    /// With masked tokens, the number kept follows from all tokens of the image.
    fn stage_params(
        &self,
        params: &MethodParams,
        evidence: &Evidence<'_>,
    ) -> Result<MethodParams, PublishedError> {
        if evidence.num_left_out() == 0 {
            return Ok(params.clone());
        }
        let num_tokens = evidence.num_tokens();
        let kept = num_kept(params, num_tokens + evidence.num_left_out())?.min(num_tokens);
        let share = kept as f64 / num_tokens as f64;
        Ok(params.with("ratio", ParamValue::Number(share)))
    }
}

/// round(ratio·N), half to even.
fn num_kept(params: &MethodParams, num_tokens: usize) -> Result<usize, PublishedError> {
    let ratio = params.number("ratio")?;
    let count = (ratio * num_tokens as f64).round_ties_even() as usize;
    if count == 0 {
        let least = 0.5 / num_tokens as f64;
        let expected = format!("more than {least}: of {num_tokens} tokens none would be kept");
        return Err(params.refuse("ratio", &ratio, expected));
    }
    Ok(count)
}

/// DivPrune's selection of `count` ≤ N rows `[N, P]`, in the order of selection.
pub fn divprune_tokens(rows: &Dense, count: usize) -> Vec<usize> {
    let unit = rows.normalized();
    let num_tokens = unit.num_rows();
    let distances = |token: usize| -> Vec<f64> {
        let row = unit.row(token);
        let all: Vec<&[f64]> = unit.rows().collect();
        all.into_par_iter()
            .map(|other| 1.0 - dot(row, other))
            .collect()
    };
    // Distance of each token to its nearest neighbour.
    let alone: Vec<f64> = (0..num_tokens)
        .into_par_iter()
        .map(|token| {
            let row = unit.row(token);
            let others = unit.rows().enumerate().filter(|(other, _)| *other != token);
            others
                .map(|(_, other)| 1.0 - dot(row, other))
                .fold(f64::INFINITY, f64::min)
        })
        .collect();
    let mut is_free = vec![true; num_tokens];
    let mut nearest = alone;
    let mut picked = Vec::with_capacity(count);
    for index in 0..count {
        let Some(token) = farthest(&nearest, &is_free) else {
            break;
        };
        is_free[token] = false;
        picked.push(token);
        let distances = distances(token);
        if index == 0 {
            nearest = distances;
        } else {
            for (nearest, distance) in nearest.iter_mut().zip(distances) {
                *nearest = nearest.min(distance);
            }
        }
    }
    picked
}

/// The free token of the largest value. Values that differ only by rounding are ties.
fn farthest(values: &[f64], is_free: &[bool]) -> Option<usize> {
    const ROUNDING: f64 = 1e-14;
    let of = |token: usize| {
        if values[token] < ROUNDING {
            0.0
        } else {
            values[token]
        }
    };
    let mut free = (0..values.len()).filter(|token| is_free[*token]);
    let first = free.next()?;
    Some(free.fold(
        first,
        |best, token| if of(token) > of(best) { token } else { best },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // 0°, 10°, 90°, 180°: the nearest neighbour of 180° is 90° away, that of 90° is 80° away;
        // so 180° is first, then 0°, then 90°.
        let rows = [0.0_f64, 10.0, 90.0, 180.0].map(|angle| {
            let angle = angle.to_radians();
            [angle.cos(), angle.sin()]
        });
        let rows = Dense::new(rows.concat(), 2).unwrap();
        assert_eq!(divprune_tokens(&rows, 3), [3, 0, 2]);
        assert_eq!(divprune_tokens(&rows, 4), [3, 0, 2, 1]);
    }

    #[test]
    fn repeated_rows_go_on_once_each() {
        let one = [1.0, 0.0, 0.0, 1.0];
        let rows = Dense::new([one, one, one].concat(), 2).unwrap();
        let mut picked = divprune_tokens(&rows, 5);
        assert_eq!(picked.len(), 5);
        picked.sort_unstable();
        picked.dedup();
        assert_eq!(picked.len(), 5);
    }
}
