//! CDPruner: a determinantal point process over tokens, weighted by relevance to the question.
//!
//! S = cosines of the projector's output. rel_j = mean over text segments of −cos(image_embed_j,
//! text_embed), with the authors' minus sign; r = (rel − min + 1e-6) / (max − min); L = r_i S_ij
//! r_j. Greedy maximum of det L: T times the token of largest d² is selected, where d² starts at
//! the diagonal of L and is reduced by e² each time, e = (L_j· − Σ c_j c) / √d²_j. Spatial order.
//! Shapes: `projected` [N, P], `image_embeds` [N, C], `text_embeds` [segments, C]. Source:
//! CDPruner @ 9541616c40fc, `llava_arch.py encode_images`.
//!
//! For T above the numerical rank of the projected rows, the authors' code computes NaN, repeats
//! an index and keeps fewer tokens; here that is refused, with the rank in the error. A text
//! longer than CLIP's context is cut into segments; the first segment, without an end token,
//! pools at its first token and doesn't depend on the question.

use crate::pruning::published::dense::dot;
use crate::pruning::published::shared::{KEEP, PROJECTED};
use crate::pruning::published::{
    Dense, Extra, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault,
    ParamKind, ParamScope, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage,
    Source,
};
use crate::{CropBudget, PlanSetting, PositionRule, SelectError, Site, TokenSelection};

/// Added to relevance before it is scaled.
const EPSILON: f64 = 1e-6;
/// A d² below this fraction of the first one is rounding error: no independent token is left.
const RANK_TOLERANCE: f64 = 1e-12;

/// A determinantal point process over relevant tokens.
#[derive(Debug)]
pub struct CdPruner;

static CARD: PublishedCard = PublishedCard {
    name: "cdpruner",
    summary: "tokens that are relevant to the question and unlike one another (DPP)",
    site: "embeddings",
    formula: "greedy argmax det of r_i cos(x_i, x_j) r_j, r = (rel - min + 1e-6)/(max - min), \
              rel_j = mean_s -cos(image_embed_j, text_embed_s)",
    inputs: &[
        PROJECTED,
        InputCard {
            name: "image_embeds",
            shape: "[N, C]",
            summary: "penultimate features through CLIP's post_layernorm and visual_projection; in \
                      a model's run the projection is that of the folder that --clip names",
        },
        InputCard {
            name: "text_embeds",
            shape: "[segments, C]",
            summary: "CLIP's embedding of each segment of the question; in a model's run by the \
                      text tower of the folder that --clip names",
        },
    ],
    params: &[
        KEEP,
        ParamCard {
            name: "texts",
            kind: ParamKind::Count,
            default: ParamDefault::Absent,
            scope: ParamScope::Selection,
            summary: "how many of the text embeddings are used; all by default",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "keep=192",
            whose: "the budget itself; the authors publish 128, 64 and 32",
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
    paper: "CDPruner, NeurIPS 2025",
    source: "Theia-4869/CDPruner @ 9541616c40fc, llava/model/llava_arch.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "relevance has a minus sign in the code: the least similar patches count as relevant",
        "T above the numerical rank gives NaN and repeated tokens in the code; refused here",
        "OpenVINO's port weighs relevance with 0.5 and has no minus for Qwen",
        "the first segment of a text beyond CLIP's context doesn't depend on the question",
        "the text is the question without the benchmarks' instruction to answer in one word or \
         by letter; in a model it needs --clip DIR, such as openai/clip-vit-large-patch14-336: no \
         LLaVA checkpoint has CLIP's text tower",
    ],
};

impl PublishedMethod for CdPruner {
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
        let projected = inputs.matrix("projected")?;
        let num_tokens = projected.num_rows();
        let images = inputs.matrix("image_embeds")?;
        let why = "as `projected` has";
        inputs.check_rows("image_embeds", images.num_rows(), num_tokens, why)?;
        let texts = inputs.matrix("text_embeds")?;
        if texts.num_columns() != images.num_columns() {
            return Err(PublishedError::TensorShape {
                tensor: "text_embeds".to_owned(),
                found: vec![texts.num_rows(), texts.num_columns()],
                expected: format!("{} columns, as `image_embeds` has", images.num_columns()),
            });
        }
        let texts = if params.get("texts").is_some() {
            let count = params.count_up_to("texts", texts.num_rows(), "text embeddings")?;
            texts.slice(0, count)
        } else {
            texts
        };
        let keep = params.count_up_to("keep", num_tokens, "image tokens")?;
        let relevance = cdpruner_relevance(&images, &texts)?;
        let (picked, smallest) = cdpruner_tokens(&projected, &relevance, keep)?;
        let mut kept = picked.clone();
        kept.sort_unstable();
        let selection = TokenSelection::new(kept.clone(), num_tokens)?;
        Ok(MethodChoice::plain(&kept, selection)
            .with_picked(picked)
            .with("smallest_pivot", Extra::Number(smallest)))
    }

    fn needs_another_model(&self) -> bool {
        true
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        let kept = params.count_up_to("keep", setting.num_image_tokens, "image tokens")?;
        Ok(vec![PublishedStage {
            site: Site::Embeddings,
            method: &CdPruner,
            params: params.clone(),
            kept,
            sources: vec![
                ("projected", Source::Embeds),
                ("image_embeds", Source::ClipImage),
                ("text_embeds", Source::ClipText),
            ],
        }])
    }
}

/// r `[N]` of image embeddings `[N, C]` and text embeddings `[segments, C]`.
///
/// # Errors
/// All patches are equally relevant, which divides by zero.
pub fn cdpruner_relevance(images: &Dense, texts: &Dense) -> Result<Vec<f64>, SelectError> {
    let cosines = images.normalized().products(&texts.normalized());
    let count = texts.num_rows() as f64;
    let relevance: Vec<f64> = cosines
        .rows()
        .map(|row| row.iter().map(|cosine| -cosine).sum::<f64>() / count)
        .collect();
    let low = relevance.iter().copied().fold(f64::INFINITY, f64::min);
    let high = relevance.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if high <= low {
        return Err(SelectError::NotApplicable {
            reason: "cdpruner: all patches are equally relevant to the text, so that its \
                     scaling divides by zero"
                .to_owned(),
        });
    }
    Ok(relevance
        .iter()
        .map(|value| (value - low + EPSILON) / (high - low))
        .collect())
}

/// CDPruner's selection of `keep` ≤ N rows `[N, P]` with relevance `[N]`, in the order of
/// selection,
/// and the last d² relative to the first.
///
/// # Errors
/// More tokens than the kernel's numerical rank.
pub fn cdpruner_tokens(
    projected: &Dense,
    relevance: &[f64],
    keep: usize,
) -> Result<(Vec<usize>, f64), SelectError> {
    let unit = projected.normalized();
    let num_tokens = unit.num_rows();
    let mut pivots: Vec<f64> = unit
        .rows()
        .zip(relevance)
        .map(|(row, r)| r * dot(row, row) * r)
        .collect();
    let mut is_free = vec![true; num_tokens];
    let mut factors: Vec<Vec<f64>> = Vec::with_capacity(keep);
    let mut picked = Vec::with_capacity(keep);
    let (mut first, mut last) = (0.0, 0.0);
    for step in 0..keep {
        let mut best: Option<usize> = None;
        for token in (0..num_tokens).filter(|token| is_free[*token]) {
            if best.is_none_or(|best| pivots[token] > pivots[best]) {
                best = Some(token);
            }
        }
        let Some(token) = best else {
            break;
        };
        last = pivots[token];
        if step == 0 {
            first = last;
        }
        if last <= first * RANK_TOLERANCE {
            return Err(SelectError::NotApplicable {
                reason: format!(
                    "cdpruner: {keep} tokens are more than the numerical rank, {step}, of the \
                     image's projected features; the authors' code repeats tokens there"
                ),
            });
        }
        let row = unit.row(token);
        let root = last.sqrt();
        let own: Vec<f64> = factors.iter().map(|factor| factor[token]).collect();
        let factor: Vec<f64> = unit
            .rows()
            .zip(relevance)
            .enumerate()
            .map(|(other, (values, r))| {
                let kernel = relevance[token] * dot(row, values) * r;
                let known: f64 = factors.iter().zip(&own).map(|(f, o)| f[other] * o).sum();
                (kernel - known) / root
            })
            .collect();
        for (pivot, e) in pivots.iter_mut().zip(&factor) {
            *pivot -= e * e;
        }
        is_free[token] = false;
        picked.push(token);
        factors.push(factor);
    }
    Ok((picked, last / first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Diagonal 1, 0.81, 0.64; 0 and 1 are parallel, 2 is orthogonal.
        let rows = Dense::new(vec![1.0, 0.0, 1.0, 0.0, 0.0, 1.0], 2).unwrap();
        let (picked, smallest) = cdpruner_tokens(&rows, &[1.0, 0.9, 0.8], 2).unwrap();
        assert_eq!(picked, [0, 2]);
        assert!((smallest - 0.64).abs() < 1e-12);
        let error = cdpruner_tokens(&rows, &[1.0, 0.9, 0.8], 3).unwrap_err();
        assert!(error.to_string().contains("rank, 2,"), "{error}");
    }

    #[test]
    fn what_is_least_like_the_text_is_relevant() {
        let images = Dense::new(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
        let text = Dense::new(vec![2.0, 0.0], 2).unwrap();
        let r = cdpruner_relevance(&images, &text).unwrap();
        assert!(
            (r[0] - 1e-6).abs() < 1e-12 && (r[1] - 1.000_001).abs() < 1e-12,
            "{r:?}"
        );
        let same = Dense::new(vec![1.0, 1.0, 1.0, 1.0], 2).unwrap();
        assert!(cdpruner_relevance(&same, &text).is_err());
    }
}
