//! DART: pivots of image and text, and the image tokens that repeat them least.
//!
//! After K layers: pivots are the `pivot_image` image tokens and the `pivot_text` tokens after
//! the image with the largest L1 norm of keys (of the last layer run, after rotary embedding,
//! heads side by side). For each pivot in turn, the ⌊N·(1 − reduction) / pivots⌋ image tokens in
//! the pool with the lowest cosine to it (states after the final norm) are kept and removed from
//! the pool; image pivots are kept and never in the pool. Original order and positions. Shapes:
//! `states` [S, P], `layer_keys` [S, H·d], the image starts at `visual_start`. Source: the
//! authors' Qwen2-VL code as shipped by VTC-Bench @ 983e443ebb41 (their LLaVA code isn't
//! available).
//!
//! Since the pool shrinks, the order of the pivots matters. It is the order of a Python set of
//! absolute positions, that is of its hash table, which is reproduced here by its rule. Rounding
//! down keeps fewer tokens than requested: 0.7778 of 576 keeps 124, not 128.

use crate::pruning::published::at_budget;
use crate::pruning::published::dense::dot;
use crate::pruning::published::shared::{self, VISUAL_START};
use crate::pruning::published::{
    Dense, Extra, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault,
    ParamKind, ParamScope, ParamValue, Preset, PublishedCard, PublishedError, PublishedMethod,
    PublishedStage, Source, descending,
};
use crate::{Evidence, PlanSetting, PositionRule, Site, TokenSelection};

/// Pivots, and the image tokens that duplicate them least.
#[derive(Debug)]
pub struct Dart;

static CARD: PublishedCard = PublishedCard {
    name: "dart",
    summary: "pivots by their keys' size, and the image tokens least like them",
    site: "layer k",
    formula: "pivots: largest |k|_1; per pivot int(N*(1-reduction)/pivots) lowest cosines of \
              the pool to its state",
    inputs: &[
        InputCard {
            name: "states",
            shape: "[S, P]",
            summary: "hidden states after K layers and the final norm",
        },
        InputCard {
            name: "layer_keys",
            shape: "[S, H*d]",
            summary: "keys of the last layer run, after rotary positions, heads side by side",
        },
    ],
    params: &[
        ParamCard {
            name: "reduction",
            kind: ParamKind::Share,
            default: ParamDefault::Is("0.778"),
            scope: ParamScope::Both,
            summary: "the share of image tokens that goes, before rounding",
        },
        ParamCard {
            name: "pivot_image",
            kind: ParamKind::Count,
            default: ParamDefault::Is("4"),
            scope: ParamScope::Both,
            summary: "pivots among the image tokens",
        },
        ParamCard {
            name: "pivot_text",
            kind: ParamKind::Count,
            default: ParamDefault::Is("4"),
            scope: ParamScope::Both,
            summary: "pivots among the text tokens after the image",
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
            name: "layer",
            kind: ParamKind::Count,
            default: ParamDefault::Is("2"),
            scope: ParamScope::Model,
            summary: "K, decoder layers that have run",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "layer=5 reduction=0.6667",
            whose: "LightCompress; keeps 188",
        },
        Preset {
            budget: "128",
            params: "layer=5 reduction=0.7778",
            whose: "LightCompress; keeps 124",
        },
        Preset {
            budget: "64",
            params: "layer=5 reduction=0.889",
            whose: "LightCompress; keeps 60",
        },
    ],
    paper: "DART, EMNLP 2025",
    source: "ZichenWen1/DART as in VTC-Bench @ 983e443ebb41, get_retained_image_token",
    positions: PositionRule::Keep,
    disagreements: &[
        "pivots are visited in the order of a Python set of positions, which changes the result",
        "rounding keeps fewer tokens than the budget's name: 188, 124, 60",
        "UniPruneBench's port takes the input norm and 10 + 5 pivots: another method",
        "the authors' script prunes after 2 layers, LightCompress after 5",
    ],
};

impl PublishedMethod for Dart {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let states = inputs.matrix("states")?;
        let len = states.num_rows();
        let keys = inputs.matrix("layer_keys")?;
        inputs.check_rows("layer_keys", keys.num_rows(), len, "as `states` has")?;
        let (pivot_image, pivot_text) = (params.count("pivot_image")?, params.count("pivot_text")?);
        if pivot_image + pivot_text == 0 {
            return Err(params.refuse("pivot_image", &0, "a pivot, of image or text".to_owned()));
        }
        let start = params.count("visual_start")?;
        let num_tokens = shared::visual_tokens(params, len, start, pivot_text)?;
        params_pivots(
            params,
            "pivot_image",
            pivot_image,
            num_tokens,
            "image tokens",
        )?;
        let num_text = len - start - num_tokens;
        params_pivots(
            params,
            "pivot_text",
            pivot_text,
            num_text,
            "text tokens after the image",
        )?;
        let reduction = params.number("reduction")?;
        let each = per_pivot(num_tokens, reduction, pivot_image + pivot_text);
        let chosen = dart_tokens(
            &states,
            &keys,
            start,
            num_tokens,
            [pivot_image, pivot_text],
            each,
        );
        if chosen.kept.is_empty() {
            let expected = "less: no token would be kept".to_owned();
            return Err(params.refuse("reduction", &reduction, expected));
        }
        let selection = TokenSelection::new(chosen.kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&chosen.kept, selection)
            .with("pivots", Extra::Positions(chosen.pivots)))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        // Eight pivots, four of them image tokens, with the same number of tokens for each.
        const PIVOTS: usize = 8;
        let each = at_budget::tokens(share, setting).saturating_sub(PIVOTS / 2) / PIVOTS;
        let kept = (each as f64 + 0.5) * PIVOTS as f64;
        let reduction = 1.0 - (kept / setting.num_image_tokens.max(1) as f64).min(1.0);
        Some(vec![
            ("layer", setting.prune_layer.to_string()),
            ("reduction", reduction.to_string()),
        ])
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let pivots = params.count("pivot_image")? + params.count("pivot_text")?;
        let num_tokens = setting.num_image_tokens;
        let each = per_pivot(num_tokens, params.number("reduction")?, pivots.max(1));
        let kept = params.count("pivot_image")? + pivots * each;
        Ok(vec![PublishedStage {
            site: Site::Layer(params.count("layer")?),
            method: &Dart,
            params: params.clone(),
            kept: kept.min(num_tokens),
            sources: vec![("states", Source::States), ("layer_keys", Source::Keys)],
        }])
    }

    fn stage_params(
        &self,
        params: &MethodParams,
        evidence: &Evidence<'_>,
    ) -> Result<MethodParams, PublishedError> {
        let start = ParamValue::Count(evidence.layout().num_system);
        let num_tokens = ParamValue::Count(evidence.num_tokens());
        Ok(params
            .with("visual_start", start)
            .with("visual_tokens", num_tokens))
    }
}

/// ⌊N·(1 − reduction) / pivots⌋.
fn per_pivot(num_tokens: usize, reduction: f64, pivots: usize) -> usize {
    (num_tokens as f64 * (1.0 - reduction) / pivots as f64) as usize
}

fn params_pivots(
    params: &MethodParams,
    name: &'static str,
    count: usize,
    most: usize,
    what: &str,
) -> Result<(), PublishedError> {
    if count <= most {
        return Ok(());
    }
    Err(params.refuse(
        name,
        &count,
        format!("at most {most}, the number of {what}"),
    ))
}

/// DART's selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DartTokens {
    /// Image tokens, ascending.
    pub kept: Vec<usize>,
    /// Positions in the sequence, in the order of processing.
    pub pivots: Vec<usize>,
}

/// DART's selection by states `[S, P]` and keys `[S, H·d]`, with the image's `num_tokens` at
/// `start`; `each` tokens per pivot of image and text.
pub fn dart_tokens(
    states: &Dense,
    keys: &Dense,
    start: usize,
    num_tokens: usize,
    [pivot_image, pivot_text]: [usize; 2],
    each: usize,
) -> DartTokens {
    let sizes: Vec<f64> = keys
        .rows()
        .map(|key| key.iter().map(|v| v.abs()).sum())
        .collect();
    let largest = |range: std::ops::Range<usize>, count: usize| -> Vec<usize> {
        let order = descending(&sizes[range.clone()]);
        order
            .into_iter()
            .take(count)
            .map(|index| range.start + index)
            .collect()
    };
    let end = start + num_tokens;
    let of_image = largest(start..end, pivot_image);
    let of_text = largest(end..states.num_rows(), pivot_text);
    let mut pool: Vec<usize> = (start..end)
        .filter(|token| !of_image.contains(token))
        .collect();
    let mut kept: Vec<usize> = of_image.iter().map(|token| token - start).collect();
    let pivots = set_order(&[of_image, of_text].concat());
    let unit = states.normalized();
    for &pivot in &pivots {
        let unlike: Vec<f64> = pool
            .iter()
            .map(|&token| -dot(unit.row(token), unit.row(pivot)))
            .collect();
        let mut order = descending(&unlike);
        order.truncate(each);
        let taken: Vec<usize> = order.into_iter().map(|index| pool[index]).collect();
        kept.extend(taken.iter().map(|token| token - start));
        pool.retain(|token| !taken.contains(token));
    }
    kept.sort_unstable();
    DartTokens { kept, pivots }
}

/// The order in which CPython iterates a set of integers that were inserted one after another: an
/// open-addressing hash table, read slot by slot.
fn set_order(values: &[usize]) -> Vec<usize> {
    const LINEAR_PROBES: usize = 9;
    const PERTURB_SHIFT: u32 = 5;
    fn insert(table: &mut [Option<usize>], value: usize) -> bool {
        let mask = table.len() - 1;
        let (mut slot, mut perturb) = (value & mask, value);
        loop {
            let last = if slot + LINEAR_PROBES <= mask {
                slot + LINEAR_PROBES
            } else {
                slot
            };
            for entry in &mut table[slot..=last] {
                match entry {
                    None => {
                        *entry = Some(value);
                        return true;
                    }
                    Some(known) if *known == value => return false,
                    Some(_) => {}
                }
            }
            perturb >>= PERTURB_SHIFT;
            slot = (slot.wrapping_mul(5).wrapping_add(1).wrapping_add(perturb)) & mask;
        }
    }
    let mut table: Vec<Option<usize>> = vec![None; 8];
    let mut used = 0;
    for &value in values {
        if !insert(&mut table, value) {
            continue;
        }
        used += 1;
        if used * 5 >= (table.len() - 1) * 3 {
            let mut len = 8;
            while len <= used * 4 {
                len *= 2;
            }
            let before = std::mem::replace(&mut table, vec![None; len]);
            for value in before.into_iter().flatten() {
                insert(&mut table, value);
            }
        }
    }
    table.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_by_hand() {
        // Up to four fit a table of eight slots.
        assert_eq!(set_order(&[9, 3, 8]), [8, 9, 3]);
        // The fifth value grows it to 32 slots.
        assert_eq!(set_order(&[40, 35, 8, 1, 64]), [64, 1, 35, 40, 8]);
        assert_eq!(set_order(&[5, 5, 4]), [4, 5]);
    }

    #[test]
    fn by_hand() {
        // Positions: 0 text, 1..5 image, 5 text. By the keys, 2 is the image pivot and 5 the text
        // pivot; 2 comes first. Least similar to it (0°) is 3 (180°), then least similar to 5
        // (180°) is 1 (10°).
        let angles = [0.0_f64, 10.0, 0.0, 180.0, 20.0, 180.0];
        let rows = angles.map(|a| [a.to_radians().cos(), a.to_radians().sin()]);
        let states = Dense::new(rows.concat(), 2).unwrap();
        let keys = Dense::new(vec![9.0, 1.0, -5.0, 2.0, 0.0, 1.0], 1).unwrap();
        let chosen = dart_tokens(&states, &keys, 1, 4, [1, 1], 1);
        assert_eq!(chosen.pivots, [2, 5]);
        assert_eq!(chosen.kept, [0, 1, 2]);
    }
}
