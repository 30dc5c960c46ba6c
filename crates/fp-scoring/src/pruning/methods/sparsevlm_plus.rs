//! SparseVLM+ (v2.0): tokens rated by the text over heads that attend to the image, corrected for
//! the decay of attention with distance.
//!
//! The attention of row t to image token j is divided by g(Δ) = 2/√d · Σ_k cos(Δ·θ_k), k over d/2
//! pairs, θ_k = base^(−2k/d), Δ the distance of their positions: the product that the rotary
//! embedding alone gives for vectors of ones. Then the `heads` heads with the largest Σ over
//! raters and image tokens are selected, and score_j is the mean over these heads and the raters.
//! The min(keep, n − 1) largest are kept, in their order; nothing is merged. Shape: `rows` [H, T,
//! n]; the image starts at `visual_start`, followed by the text. Source: SparseVLMs @
//! 26a5f48813c4.
//!
//! g changes sign: for d = 128 at Δ = 1706, for d = 64 at 725, and for tiny heads much earlier;
//! beyond that, scores change sign. As in the authors' code, nothing is clamped; a g of exactly 0
//! is refused. The number of heads, 14, is for 32 heads.

use crate::pruning::published::at_budget;
use crate::pruning::published::shared::{self, RATERS, ROWS, VISUAL_START, layers};
use crate::pruning::published::{
    Dense, Extra, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind,
    ParamScope, ParamValue, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage,
    Rope, Source, best, descending,
};
use crate::{Evidence, PlanSetting, PositionRule, SelectError, Site, TokenSelection};

/// Tokens rated by the text over heads that attend to the image.
#[derive(Debug)]
pub struct SparseVlmPlus;

static CARD: PublishedCard = PublishedCard {
    name: "sparsevlm_plus",
    summary: "the tokens that text raters attend to in the heads of most visual mass (v2.0)",
    site: "layer k",
    formula: "A / g(distance), g = 2/sqrt(d) * sum_k cos(distance*theta_k); mean over raters and \
              the `heads` heads of largest sum; min(keep, n-1) largest",
    inputs: &[ROWS],
    params: &[
        ParamCard {
            name: "keep",
            kind: ParamKind::Count,
            default: ParamDefault::Required,
            scope: ParamScope::Selection,
            summary: "the number of tokens kept, n - 1 at most",
        },
        RATERS,
        ParamCard {
            name: "heads",
            kind: ParamKind::Count,
            default: ParamDefault::Is("14"),
            scope: ParamScope::Both,
            summary: "how many heads are averaged",
        },
        ParamCard {
            name: "head_dim",
            kind: ParamKind::Count,
            default: ParamDefault::Required,
            scope: ParamScope::Selection,
            summary: "d, the width of a head; even",
        },
        ParamCard {
            name: "rope_theta",
            kind: ParamKind::Number,
            default: ParamDefault::Is("10000"),
            scope: ParamScope::Selection,
            summary: "the base of rotary positions",
        },
        VISUAL_START,
        ParamCard {
            name: "positions",
            kind: ParamKind::Counts,
            default: ParamDefault::Absent,
            scope: ParamScope::Selection,
            summary: "positions of the image tokens and of the text behind them; consecutive \
                      from visual_start by default",
        },
        layers(ParamDefault::Is("3,7,16")),
        ParamCard {
            name: "keep",
            kind: ParamKind::Counts,
            default: ParamDefault::Is("300,200,118"),
            scope: ParamScope::Model,
            summary: "the number of tokens kept at each stage",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "layers=3,7,16 keep=300,200,118 heads=14",
            whose: "the authors; by what leaves a layer, as sparsevlm",
        },
        Preset {
            budget: "128",
            params: "layers=3,7,16 keep=238,108,60 heads=14",
            whose: "the authors; by what leaves a layer, as sparsevlm",
        },
        Preset {
            budget: "64",
            params: "layers=3,7,16 keep=66,34,20 heads=14",
            whose: "the authors; by what leaves a layer, as sparsevlm",
        },
    ],
    paper: "SparseVLM+, 2025",
    source: "Gumpest/SparseVLMs @ 26a5f48813c4, llava/model/language_model/score.py (v2.0)",
    positions: PositionRule::Keep,
    disagreements: &[
        "the correction changes its sign at long distances (d = 128: 1706), which flips scores; \
         nothing is clamped, here as there",
        "budgets count what leaves a layer, as sparsevlm's",
    ],
};

impl PublishedMethod for SparseVlmPlus {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let heads = inputs.matrices("rows")?;
        let num_tokens = heads[0].num_columns();
        let raters = shared::raters(params, heads[0].num_rows())?;
        let keep = shared::keep_below(params, num_tokens)?;
        let num_heads = params.count_up_to("heads", heads.len(), "heads")?;
        let width = params.count("head_dim")?;
        if width == 0 || !width.is_multiple_of(2) {
            let expected = "an even number from 2".to_owned();
            return Err(params.refuse("head_dim", &width, expected));
        }
        let base = params.number("rope_theta")?;
        if base <= 0.0 {
            return Err(params.refuse("rope_theta", &base, "a number above 0".to_owned()));
        }
        let at = positions(params, num_tokens, heads[0].num_rows())?;
        let (columns, text) = at.split_at(num_tokens);
        let positions: Vec<usize> = raters.iter().map(|&rater| text[rater]).collect();
        let rows: Vec<Dense> = heads
            .iter()
            .map(|head| {
                let rows = raters.iter().map(|&rater| head.row(rater).to_vec());
                Dense::from_rows(rows.collect(), num_tokens)
            })
            .collect();
        let rope = Rope { width, base };
        let chosen = sparsevlm_plus_tokens(&rows, &positions, columns, rope, num_heads, keep)?;
        let selection = TokenSelection::new(chosen.kept.clone(), num_tokens)?;
        Ok(
            MethodChoice::plain(&chosen.kept, selection)
                .with("heads", Extra::Indices(chosen.heads)),
        )
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        let (layers, keep) = at_budget::staged(share, &[3, 7, 16], &[300, 200, 118], setting);
        Some(vec![
            ("layers", at_budget::list(&layers)),
            ("keep", at_budget::list(&keep)),
            ("heads", at_budget::heads(14, setting).to_string()),
        ])
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let keep = params.counts("keep")?;
        let layers = params.check_per_stage("keep", keep.len())?;
        let mut present = setting.num_image_tokens;
        let stages = layers.iter().zip(keep).map(|(&layer, &keep)| {
            present = keep.min(present.saturating_sub(1));
            PublishedStage {
                site: Site::Layer(layer),
                method: &SparseVlmPlus,
                params: params.with("keep", ParamValue::Count(keep)),
                kept: present,
                sources: vec![("rows", Source::TextRows)],
            }
        });
        Ok(stages.collect())
    }

    fn finds_raters(&self) -> bool {
        true
    }

    fn stage_params(
        &self,
        params: &MethodParams,
        evidence: &Evidence<'_>,
    ) -> Result<MethodParams, PublishedError> {
        let rope = evidence.rope()?;
        let layout = evidence.layout();
        let at = evidence.positions()?[layout.num_system..].to_vec();
        Ok(params
            .with("positions", ParamValue::Counts(at))
            .with("raters", super::sparsevlm_raters::found_raters(evidence)?)
            .with("head_dim", ParamValue::Count(rope.width))
            .with("rope_theta", ParamValue::Number(rope.base))
            .with("visual_start", ParamValue::Count(layout.num_system)))
    }
}

/// Positions of n image tokens and of the text after them.
fn positions(
    params: &MethodParams,
    num_tokens: usize,
    num_text: usize,
) -> Result<Vec<usize>, PublishedError> {
    let start = params.count("visual_start")?;
    let len = num_tokens + num_text;
    if params.get("positions").is_none() {
        return Ok((start..start + len).collect());
    }
    let given = params.counts("positions")?;
    if given.len() == len {
        return Ok(given.to_vec());
    }
    let expected = format!("{len} numbers, one per image token and row of `rows`");
    Err(params.refuse("positions", &format!("{} numbers", given.len()), expected))
}

/// SparseVLM+'s selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseVlmPlusTokens {
    /// Kept tokens, ascending.
    pub kept: Vec<usize>,
    /// The heads that were averaged, ascending.
    pub heads: Vec<usize>,
}

/// SparseVLM+'s selection by the raters' rows `[raters, n]` of each head; raters are at positions
/// `rows` of the sequence and image tokens at `columns`, which precede the rows.
///
/// # Errors
/// A distance at which the correction is 0.
pub fn sparsevlm_plus_tokens(
    heads: &[Dense],
    rows: &[usize],
    columns: &[usize],
    rope: Rope,
    num_heads: usize,
    keep: usize,
) -> Result<SparseVlmPlusTokens, SelectError> {
    let num_tokens = columns.len();
    let mut gravity = Vec::with_capacity(rows.len() * num_tokens);
    for row in rows {
        for column in columns {
            let apart = row.abs_diff(*column);
            let value = rope.gravity(apart);
            if value == 0.0 {
                return Err(SelectError::NotApplicable {
                    reason: format!(
                        "sparsevlm_plus: its correction at distance {apart} is 0, and the \
                         score is divided by it"
                    ),
                });
            }
            gravity.push(value);
        }
    }
    let corrected = heads.iter().map(|head| {
        let values = head.values().iter().zip(&gravity).map(|(a, g)| a / g);
        let values: Vec<f64> = values.collect();
        let sums = values.chunks(num_tokens).map(<[f64]>::to_vec);
        Dense::from_rows(sums.collect(), num_tokens)
    });
    let corrected: Vec<Dense> = corrected.collect();
    let mass: Vec<f64> = corrected
        .iter()
        .map(|head| head.values().iter().sum())
        .collect();
    let mut chosen = descending(&mass);
    chosen.truncate(num_heads);
    chosen.sort_unstable();
    let averaged: Vec<Dense> = chosen.iter().map(|&head| corrected[head].clone()).collect();
    let all_raters: Vec<usize> = (0..rows.len()).collect();
    let scores = super::sparsevlm::rated(&averaged, &all_raters);
    let all: Vec<usize> = (0..num_tokens).collect();
    Ok(SparseVlmPlusTokens {
        kept: best(&scores, &all, keep),
        heads: chosen,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let rope = Rope {
            width: 2,
            base: 10000.0,
        };
        assert!((rope.gravity(0) - 2.0_f64.sqrt()).abs() < 1e-12);
        assert!((rope.gravity(2) - 2.0_f64.sqrt() * 2.0_f64.cos()).abs() < 1e-12);
        // The correction for the far token is negative, which gives it the lowest score.
        let heads = [
            Dense::new(vec![0.9, 0.1], 2).unwrap(),
            Dense::new(vec![0.2, 0.3], 2).unwrap(),
        ];
        let chosen = sparsevlm_plus_tokens(&heads, &[2], &[0, 1], rope, 1, 1).unwrap();
        assert_eq!((chosen.heads, chosen.kept), (vec![1], vec![1]));
    }

    #[test]
    fn the_sign_changes_where_the_field_found_it() {
        let rope = |width| Rope {
            width,
            base: 10000.0,
        };
        let first = |width| (0..).find(|apart| rope(width).gravity(*apart) < 0.0);
        assert_eq!((first(128), first(64)), (Some(1707), Some(725)));
    }
}
