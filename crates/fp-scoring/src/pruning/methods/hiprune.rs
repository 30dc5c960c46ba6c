//! HiPrune: anchors of a middle vision layer with their neighbours, then tokens of a deep layer.
//!
//! A token's attention is the attention that it receives: the mean over heads and over all N + 1
//! queries, including the class token's. round(T·α/5) seeds (half to even) are selected by layer
//! `object_layer`, counted from 1; anchors are the seeds and j ± 1, j ± side of each, clamped to
//! 0..N−1. The rest of T is selected by the last layer but one, excluding the anchors. Spatial
//! order. Shapes: `shallow` [N], `deep` [N]. Source: HiPrune @ 6e83a1240874, `llava_arch.py`.
//!
//! A tower without a class token (SigLIP) has N queries. Neighbours are index arithmetic: j ± 1
//! wraps from one row into the next, and a neighbour outside the image becomes its first or last
//! token. More anchors than T fail in the authors' code and are refused here.

use crate::pruning::published::at_budget;
use crate::pruning::published::shared::{self, KEEP};
use crate::pruning::published::{
    Extra, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind,
    ParamScope, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage, Source,
    best, descending,
};
use crate::{CropBudget, PlanSetting, PositionRule, Site, TokenSelection, VisionNeed};

/// The authors' vision layer of the anchors, counted from 1, of 24 layers.
const AUTHORS_LAYER: usize = 9;

/// Anchors of a middle layer, then tokens of a deep layer.
#[derive(Debug)]
pub struct HiPrune;

static CARD: PublishedCard = PublishedCard {
    name: "hiprune",
    summary: "anchors of a middle vision layer with their neighbours, the rest by a deep layer",
    site: "vision",
    formula: "seeds: round(T*alpha/5) largest of shallow; anchors: seeds, +-1, +-side; \
              rest: T - |anchors| largest of deep",
    inputs: &[
        InputCard {
            name: "shallow",
            shape: "[N]",
            summary: "attention that each patch receives in the object layer, mean over heads and all N+1 queries",
        },
        InputCard {
            name: "deep",
            shape: "[N]",
            summary: "the same in the tower's last layer but one",
        },
    ],
    params: &[
        KEEP,
        ParamCard {
            name: "alpha",
            kind: ParamKind::Share,
            default: ParamDefault::Is("0.1"),
            scope: ParamScope::Both,
            summary: "the share of T that anchors would have if each had all its neighbours",
        },
        ParamCard {
            name: "object_layer",
            kind: ParamKind::Count,
            default: ParamDefault::Is("9"),
            scope: ParamScope::Model,
            summary: "the vision layer of the anchors, counted from 1",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "keep=192 alpha=0.1 object_layer=9",
            whose: "the authors",
        },
        Preset {
            budget: "128",
            params: "keep=128 alpha=0.1 object_layer=9",
            whose: "the authors",
        },
        Preset {
            budget: "64",
            params: "keep=64 alpha=0.1 object_layer=9",
            whose: "the authors",
        },
    ],
    paper: "HiPrune, 2026",
    source: "Danielement321/HiPrune @ 6e83a1240874, LLaVA/llava/model/llava_arch.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "neighbours are index arithmetic: they wrap from one row of the grid into the next",
        "more anchors than T fail in the code; refused here",
    ],
};

impl PublishedMethod for HiPrune {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn takes_whole_grid(&self) -> bool {
        true
    }

    fn authors_crop_budget(&self) -> Option<CropBudget> {
        Some(CropBudget::PerCrop)
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let shallow = inputs.vector("shallow")?;
        let deep = inputs.vector("deep")?;
        let num_tokens = shallow.len();
        inputs.check_rows("deep", deep.len(), num_tokens, "as `shallow` has")?;
        let side = shared::square_side("hiprune", num_tokens)?;
        let keep = params.count_up_to("keep", num_tokens, "image tokens")?;
        let alpha = params.number("alpha")?;
        let chosen = hiprune_tokens(shallow, deep, side, keep, alpha).map_err(|anchors| {
            let expected = format!("at least {anchors}, the anchors at alpha = {alpha}");
            params.refuse("keep", &keep, expected)
        })?;
        let selection = TokenSelection::new(chosen.kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&chosen.kept, selection)
            .with("seeds", Extra::Tokens(chosen.seeds))
            .with("anchors", Extra::Tokens(chosen.anchors)))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        let layer = at_budget::vision_layer(AUTHORS_LAYER, setting).max(1);
        let mut settings = at_budget::keep(share, setting);
        settings.push(("object_layer", layer.to_string()));
        Some(settings)
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let layer = params.count("object_layer")?;
        let shallow = i64::try_from(layer).unwrap_or(i64::MAX) - 1;
        if shallow < 0 {
            let expected = "1 or more, as vision layers are counted here".to_owned();
            return Err(params.refuse("object_layer", &layer, expected));
        }
        Ok(vec![PublishedStage {
            site: Site::Vision,
            method: &HiPrune,
            params: params.clone(),
            kept: params.count("keep")?,
            sources: vec![
                (
                    "shallow",
                    Source::VisionMean(VisionNeed::ReceivedAttention(shallow)),
                ),
                (
                    "deep",
                    Source::VisionMean(VisionNeed::ReceivedAttention(shared::feature_layer(
                        setting,
                    ))),
                ),
            ],
        }])
    }
}

/// HiPrune's selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiPruneTokens {
    /// All kept tokens, ascending.
    pub kept: Vec<usize>,
    /// Seeds, in descending order of attention.
    pub seeds: Vec<usize>,
    /// Seeds and neighbours, ascending.
    pub anchors: Vec<usize>,
}

/// HiPrune's selection of `keep` tokens of a grid `side` wide.
///
/// # Errors
/// More anchors than tokens to keep; the error holds their number.
pub fn hiprune_tokens(
    shallow: &[f64],
    deep: &[f64],
    side: usize,
    keep: usize,
    alpha: f64,
) -> Result<HiPruneTokens, usize> {
    let num_tokens = shallow.len();
    let num_seeds = (keep as f64 * alpha / 5.0).round_ties_even() as usize;
    let mut seeds = descending(shallow);
    seeds.truncate(num_seeds);
    let last = num_tokens.saturating_sub(1);
    let around = |seed: usize| {
        [
            seed,
            seed.saturating_sub(1),
            seed + 1,
            seed.saturating_sub(side),
            seed + side,
        ]
        .map(|token| token.min(last))
    };
    let mut anchors: Vec<usize> = seeds.iter().flat_map(|&seed| around(seed)).collect();
    anchors.sort_unstable();
    anchors.dedup();
    if anchors.len() > keep {
        return Err(anchors.len());
    }
    let others: Vec<usize> = (0..num_tokens)
        .filter(|token| anchors.binary_search(token).is_err())
        .collect();
    let mut kept = best(deep, &others, keep - anchors.len());
    kept.extend(&anchors);
    kept.sort_unstable();
    Ok(HiPruneTokens {
        kept,
        seeds,
        anchors,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // A 4 × 4 grid; one seed at its first token, whose neighbours above and before it are
        // clamped to itself.
        let mut shallow = [0.0; 16];
        shallow[0] = 1.0;
        let deep: Vec<f64> = (0..16).map(f64::from).collect();
        let chosen = hiprune_tokens(&shallow, &deep, 4, 5, 1.0).unwrap();
        assert_eq!(chosen.seeds, [0]);
        assert_eq!(chosen.anchors, [0, 1, 4]);
        assert_eq!(chosen.kept, [0, 1, 4, 14, 15]);
        // A seed at the end of a row has a neighbour in the next row.
        shallow[7] = 2.0;
        let chosen = hiprune_tokens(&shallow, &deep, 4, 5, 1.0).unwrap();
        assert_eq!(chosen.anchors, [3, 6, 7, 8, 11]);
        // Half to even: 2.5 / 5 gives no seed.
        assert!(
            hiprune_tokens(&shallow, &deep, 4, 5, 0.5)
                .unwrap()
                .seeds
                .is_empty()
        );
        assert_eq!(
            hiprune_tokens(&[1.0; 16], &deep, 4, 10, 1.0).unwrap().seeds,
            [0, 1]
        );
    }
}
