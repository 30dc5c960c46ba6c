//! PyramidDrop: after some decoder layers, keeps the tokens that the prompt's last token will
//! attend to most in the next layer.
//!
//! After L layers: the attention of layer L + 1's queries and keys at the present positions, from
//! the prompt's last token, softmax over all keys; mean over heads (the authors sum, which gives
//! the same order); the ⌊N·ratio⌋ largest image tokens are kept in their order, where N is always
//! the number before any stage. Shape: `rows` [H, T, N], of which the last row is read. Source:
//! PyramidDrop @ 6444f304aee4, `modeling_llama_pdrop.py`.
//!
//! The authors' schedule is ratios 0.5, 0.25, 0.125 after 8, 16 and 24 layers. The schedules of
//! 192, 128 and 64 tokens are by other authors (SCOPE's copy, with SparseVLM's lists). Figures
//! differ by more than five points between schedules, so any figure should state its schedule.

use crate::pruning::published::at_budget;
use crate::pruning::published::shared::{ROWS, layers};
use crate::pruning::published::{
    Dense, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind,
    ParamScope, ParamValue, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage,
    Source, best,
};
use crate::{Evidence, PlanSetting, PositionRule, Site, TokenSelection};

/// The tokens that the prompt's last token will attend to most in the next layer.
#[derive(Debug)]
pub struct PyramidDrop;

static CARD: PublishedCard = PublishedCard {
    name: "pyramiddrop",
    summary: "after some layers, the tokens the prompt's last token will attend to most",
    site: "layer k",
    formula: "a_j = mean_h A[h, last, j] of the next layer; the int(N*ratio) largest",
    inputs: &[ROWS],
    params: &[
        ParamCard {
            name: "keep",
            kind: ParamKind::Count,
            default: ParamDefault::Required,
            scope: ParamScope::Selection,
            summary: "the number of tokens kept",
        },
        layers(ParamDefault::Is("8,16,24")),
        ParamCard {
            name: "ratios",
            kind: ParamKind::Shares,
            default: ParamDefault::Is("0.5,0.25,0.125"),
            scope: ParamScope::Model,
            summary: "the share of N that is kept at each stage",
        },
        ParamCard {
            name: "keep",
            kind: ParamKind::Counts,
            default: ParamDefault::Absent,
            scope: ParamScope::Model,
            summary: "the number of tokens kept at each stage, instead of ratios",
        },
    ],
    presets: &[
        Preset {
            budget: "270",
            params: "layers=8,16,24 ratios=0.5,0.25,0.125",
            whose: "the authors",
        },
        Preset {
            budget: "192",
            params: "layers=2,6,16 keep=300,200,110",
            whose: "SCOPE's copy, with SparseVLM's list; 191.0 on average",
        },
        Preset {
            budget: "128",
            params: "layers=2,6,16 keep=303,110,36",
            whose: "SCOPE's copy, with SparseVLM's list; 126.3 on average",
        },
        Preset {
            budget: "64",
            params: "layers=2,6,16 keep=66,30,17",
            whose: "SCOPE's copy, with SparseVLM's list; 62.1 on average",
        },
    ],
    paper: "PyramidDrop, CVPR 2025",
    source: "Cooperx521/PyramidDrop @ 6444f304aee4, llava/model/modeling_llama_pdrop.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "192, 128 and 64 tokens are not the authors' schedules; figures under these names \
         differ by 5.5 points of GQA, so the schedule belongs beside them",
        "the code takes keys of grouped heads as they are: models with one key per query only",
    ],
};

impl PublishedMethod for PyramidDrop {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let heads = inputs.matrices("rows")?;
        let last = last_rows(&heads);
        let num_tokens = last.num_columns();
        let keep = params.count_up_to("keep", num_tokens, "image tokens")?;
        let kept = pyramiddrop_tokens(&last, keep);
        let selection = TokenSelection::new(kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection))
    }

    fn settings_at(
        &self,
        share: f64,
        setting: &PlanSetting,
    ) -> Option<Vec<(&'static str, String)>> {
        // The authors' own layers keep more than most budgets allow; SCOPE's copy uses these.
        let (layers, keep) = at_budget::staged(share, &[2, 6, 16], &[300, 200, 110], setting);
        Some(vec![
            ("layers", at_budget::list(&layers)),
            ("keep", at_budget::list(&keep)),
        ])
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let num_tokens = setting.num_image_tokens;
        let kept: Vec<usize> = if params.get("keep").is_some() {
            params.counts("keep")?.to_vec()
        } else {
            let ratios = params.numbers("ratios")?.iter();
            ratios
                .map(|ratio| (num_tokens as f64 * ratio) as usize)
                .collect()
        };
        let name = if params.get("keep").is_some() {
            "keep"
        } else {
            "ratios"
        };
        let layers = params.check_per_stage(name, kept.len())?;
        let stages = layers.iter().zip(kept);
        stages
            .map(|(&layer, kept)| stage(Site::Layer(layer), kept))
            .collect()
    }

    fn stage_params(
        &self,
        params: &MethodParams,
        evidence: &Evidence<'_>,
    ) -> Result<MethodParams, PublishedError> {
        let kept = params.count("keep")?.min(evidence.num_tokens());
        Ok(params.with("keep", ParamValue::Count(kept)))
    }
}

/// A stage that keeps `kept` tokens, or all if there are fewer.
pub(super) fn stage(site: Site, kept: usize) -> Result<PublishedStage, PublishedError> {
    let given = [("keep".to_owned(), kept.to_string())];
    Ok(PublishedStage {
        site,
        method: &PyramidDrop,
        params: MethodParams::parse(&CARD, ParamScope::Selection, &given)?,
        kept,
        sources: vec![("rows", Source::LastRowAhead)],
    })
}

/// The last row of each head, `[H, N]`.
fn last_rows(heads: &[Dense]) -> Dense {
    let rows = heads
        .iter()
        .map(|head| head.row(head.num_rows() - 1).to_vec());
    Dense::from_rows(rows.collect(), heads[0].num_columns())
}

/// The `keep` tokens of largest mean attention over heads `[H, N]`, ascending.
pub fn pyramiddrop_tokens(attention: &Dense, keep: usize) -> Vec<usize> {
    let all: Vec<usize> = (0..attention.num_columns()).collect();
    best(&attention.column_means(), &all, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let head = |rows: [[f64; 3]; 2]| Dense::new(rows.concat(), 3).unwrap();
        let heads = [
            head([[0.9, 0.0, 0.1], [0.1, 0.2, 0.3]]),
            head([[0.9, 0.0, 0.1], [0.4, 0.0, 0.1]]),
        ];
        // Last rows: means 0.25, 0.1, 0.2.
        assert_eq!(pyramiddrop_tokens(&last_rows(&heads), 2), [0, 2]);
    }
}
