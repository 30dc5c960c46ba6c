//! VScan: local and global attention of the vision tower with the other tokens merged, then a
//! second stage in the decoder.
//!
//! Stage 1, T tokens: in each window of w × w patches the ⌊⌊T/2⌋ / windows⌋ most attended in
//! vision layer index 5 (the class token's attention, mean over heads), and T − ⌊T/2⌋ of the
//! others by the last layer but one. After the projector every dropped token joins the kept token
//! of largest cosine, ties to the first; a kept token becomes the mean of its members, including
//! itself. Spatial order. Stage 2, after `layer` decoder layers: as in PyramidDrop, min(keep2,
//! present) are kept. Shapes: `shallow`, `deep` [N], `projected` [N, P]. Source:
//! SelfEvolvingAgent @ a82450e1b5e1, `VScan/llava/model/llava_arch.py`.
//!
//! The remainder that windows can't share evenly is lost: T = 67 keeps 66. T < 2·windows fails in
//! the authors' code and is refused here, as is a window that doesn't divide the grid.

use crate::pruning::published::at_budget;
use crate::pruning::published::choice::{Sum, weighted_rows};
use crate::pruning::published::dense::dot;
use crate::pruning::published::shared::{self, KEEP, PROJECTED};
use crate::pruning::published::{
    Dense, Extra, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault,
    ParamKind, ParamScope, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage,
    Source, best, descending,
};
use crate::{PlanSetting, PositionRule, Site, TokenSelection, VisionNeed};

/// The vision layer used for the windows, counted from 0: the authors' literal.
const SHALLOW: usize = 5;

/// Local and global attention of the tower, with the other tokens merged.
#[derive(Debug)]
pub struct VScan;

static CARD: PublishedCard = PublishedCard {
    name: "vscan",
    summary: "half by attention within windows, half over all, the rest merged; then a cut",
    site: "embeddings, layer k",
    formula: "int(T/2)//windows per window by shallow, T - int(T/2) by deep; others join the \
              nearest kept one (mean); after `layer` layers PyramidDrop's rule",
    inputs: &[
        InputCard {
            name: "shallow",
            shape: "[N]",
            summary: "class token's attention in vision layer index 5, mean over heads",
        },
        InputCard {
            name: "deep",
            shape: "[N]",
            summary: "the same in the tower's last layer but one",
        },
        PROJECTED,
    ],
    params: &[
        KEEP,
        ParamCard {
            name: "window",
            kind: ParamKind::Count,
            default: ParamDefault::Is("6"),
            scope: ParamScope::Both,
            summary: "w, the side of a window in patches; it has to divide the grid's side",
        },
        ParamCard {
            name: "shallow_layer",
            kind: ParamKind::Count,
            default: ParamDefault::Is("5"),
            scope: ParamScope::Model,
            summary: "the vision layer of the windows' attention, counted from 0",
        },
        ParamCard {
            name: "layer",
            kind: ParamKind::Count,
            default: ParamDefault::Is("16"),
            scope: ParamScope::Model,
            summary: "decoder layers that have run before the second stage",
        },
        ParamCard {
            name: "keep2",
            kind: ParamKind::Count,
            default: ParamDefault::Required,
            scope: ParamScope::Model,
            summary: "the number of tokens kept at the second stage",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "keep=288 window=6 layer=16 keep2=96",
            whose: "inferred from the authors' 64",
        },
        Preset {
            budget: "128",
            params: "keep=192 window=6 layer=16 keep2=64",
            whose: "inferred from the authors' 64",
        },
        Preset {
            budget: "64",
            params: "keep=96 window=6 layer=16 keep2=32",
            whose: "the authors",
        },
    ],
    paper: "VScan, TMLR 2026",
    source: "Tencent/SelfEvolvingAgent @ a82450e1b5e1, VScan/llava/model/llava_arch.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "what windows can't share evenly is lost: T = 67 keeps 66",
        "T < 2 * windows fails in the code; refused here",
    ],
};

impl PublishedMethod for VScan {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn takes_whole_grid(&self) -> bool {
        true
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let shallow = inputs.vector("shallow")?;
        let deep = inputs.vector("deep")?;
        let num_tokens = shallow.len();
        let why = "as `shallow` has";
        inputs.check_rows("deep", deep.len(), num_tokens, why)?;
        let projected = inputs.matrix("projected")?;
        inputs.check_rows("projected", projected.num_rows(), num_tokens, why)?;
        let side = shared::square_side("vscan", num_tokens)?;
        let window = params.count_up_to("window", side, "patches along a side")?;
        if !side.is_multiple_of(window) {
            let expected = format!("a divisor of {side}, the grid's side");
            return Err(params.refuse("window", &window, expected));
        }
        let num_windows = (side / window).pow(2);
        let keep = params.count_up_to("keep", num_tokens, "image tokens")?;
        if keep < 2 * num_windows {
            let expected = format!("at least {}, two per window", 2 * num_windows);
            return Err(params.refuse("keep", &keep, expected));
        }
        let chosen = vscan_tokens(shallow, deep, &projected, side, window, keep);
        let sums: Vec<Sum> = chosen
            .kept
            .iter()
            .zip(&chosen.merged_from)
            .map(|(&token, joined)| {
                let weight = 1.0 / (joined.len() + 1) as f64;
                let members = [token].into_iter().chain(joined.iter().copied());
                (token, members.map(|member| (member, weight)).collect())
            })
            .collect();
        let rows = weighted_rows(&sums, &projected);
        let selection = TokenSelection::merged(sums, num_tokens)?;
        Ok(MethodChoice::plain(&chosen.kept, selection)
            .with_rows(rows)
            .with("local", Extra::Tokens(chosen.local))
            .with("merged_from", Extra::Groups(chosen.merged_from)))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        // A quarter of the grid's side, like the authors' 6 of 24, if that divides it; wider if
        // windows would otherwise have fewer than two tokens each.
        let side = setting.grid.map_or(24, |[columns, _]| columns);
        let keep = at_budget::tokens(share / 2.0, setting);
        let fits = |window: &usize| {
            let windows = (side / window).pow(2);
            side.is_multiple_of(*window) && 2 * windows <= keep
        };
        let window = ((side / 4).max(1)..=side).find(fits).unwrap_or(side);
        let layer = at_budget::decoder_layer(16, setting);
        Some(vec![
            ("keep", keep.to_string()),
            ("window", window.to_string()),
            ("layer", layer.to_string()),
            ("keep2", at_budget::tokens(share / 6.0, setting).to_string()),
            (
                "shallow_layer",
                at_budget::vision_layer(SHALLOW, setting).to_string(),
            ),
        ])
    }

    fn looks_at_class_token(&self) -> bool {
        true
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let keep = params.count("keep")?;
        let keep2 = params.count("keep2")?;
        let kept = num_kept(setting.num_image_tokens, params.count("window")?, keep);
        let shallow = i64::try_from(params.count("shallow_layer")?).unwrap_or(i64::MAX);
        let first = PublishedStage {
            site: Site::Embeddings,
            method: &VScan,
            params: params.clone(),
            kept,
            sources: vec![
                (
                    "shallow",
                    Source::VisionMean(VisionNeed::ClassAttention(shallow)),
                ),
                ("deep", Source::VisionMean(VisionNeed::ClassAttention(-2))),
                ("projected", Source::Embeds),
            ],
        };
        let layer = Site::Layer(params.count("layer")?);
        let second = super::pyramiddrop::stage(layer, keep2.min(kept))?;
        Ok(vec![first, second])
    }
}

/// Selection of VScan's first stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VScanTokens {
    /// Kept tokens, ascending.
    pub kept: Vec<usize>,
    /// Tokens of the windows, window by window, in descending order of attention.
    pub local: Vec<usize>,
    /// The dropped tokens that joined each kept one.
    pub merged_from: Vec<Vec<usize>>,
}

/// Number of N tokens that the first stage keeps, without the remainder that windows can't share
/// evenly.
fn num_kept(num_tokens: usize, window: usize, keep: usize) -> usize {
    let side = num_tokens.isqrt();
    if window == 0 || side * side != num_tokens || !side.is_multiple_of(window) {
        return keep;
    }
    let windows = (side / window).pow(2);
    keep / 2 / windows * windows + (keep - keep / 2)
}

/// VScan's first selection of about `keep` tokens of a grid `side` wide in windows of `window`.
pub fn vscan_tokens(
    shallow: &[f64],
    deep: &[f64],
    projected: &Dense,
    side: usize,
    window: usize,
    keep: usize,
) -> VScanTokens {
    let along = side / window;
    let per_window = keep / 2 / (along * along);
    let mut local = Vec::with_capacity(keep / 2);
    for corner in 0..along * along {
        let (row, column) = (corner / along * window, corner % along * window);
        let tokens: Vec<usize> = (row..row + window)
            .flat_map(|row| (column..column + window).map(move |column| row * side + column))
            .collect();
        let scores: Vec<f64> = tokens.iter().map(|&token| shallow[token]).collect();
        let order = descending(&scores);
        local.extend(
            order
                .into_iter()
                .take(per_window)
                .map(|index| tokens[index]),
        );
    }
    let others: Vec<usize> = (0..shallow.len())
        .filter(|token| !local.contains(token))
        .collect();
    let mut kept = best(deep, &others, keep - keep / 2);
    kept.extend(&local);
    kept.sort_unstable();
    let unit = projected.normalized();
    let mut merged_from = vec![Vec::new(); kept.len()];
    for token in (0..shallow.len()).filter(|token| kept.binary_search(token).is_err()) {
        let mut nearest: Option<(usize, f64)> = None;
        for (index, &other) in kept.iter().enumerate() {
            let cosine = dot(unit.row(token), unit.row(other));
            if nearest.is_none_or(|(_, best)| cosine > best) {
                nearest = Some((index, cosine));
            }
        }
        if let Some((index, _)) = nearest {
            merged_from[index].push(token);
        }
    }
    VScanTokens {
        kept,
        local,
        merged_from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // 4 × 4 patches in windows of 2 × 2: one local token each, at the windows' first patches,
        // and four global tokens, the last ones.
        let shallow = [
            9.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0,
        ];
        let deep: Vec<f64> = (0..16).map(f64::from).collect();
        let rows = (0..16)
            .map(|i| f64::from(i).to_radians() * 2.0)
            .flat_map(|a| [a.cos(), a.sin()]);
        let projected = Dense::new(rows.collect(), 2).unwrap();
        let chosen = vscan_tokens(&shallow, &deep, &projected, 4, 2, 8);
        assert_eq!(chosen.local, [0, 2, 8, 10]);
        assert_eq!(chosen.kept, [0, 2, 8, 10, 12, 13, 14, 15]);
        // By angle: 3 to 5 are nearest to 2 or 8, where 5 is in the middle and joins the first;
        // 1, 9 and 11 are between two kept tokens, where rounding decides.
        assert!(chosen.merged_from[1].contains(&3) && chosen.merged_from[1].contains(&4));
        assert!(chosen.merged_from[2].contains(&6) && chosen.merged_from[2].contains(&7));
        assert_eq!(chosen.merged_from.concat().len(), 8);
    }
}
