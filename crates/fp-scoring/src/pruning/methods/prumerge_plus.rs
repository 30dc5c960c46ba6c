//! PruMerge+: outliers of the class token's attention and a grid, merged with similar tokens.
//!
//! In the tower's last layer, with queries and keys taken as one head of width C: a = softmax
//! over all N + 1 of q_class·k / √C, restricted to the patches. With Q1, Q3 the quartiles of a
//! (interpolated linearly, in f32), the outliers are the patches of a > Q3 + 1.5 (Q3 − Q1); the
//! same number of patches with the largest a is kept, in descending order. The grid 0, s, 2s, … <
//! N − 1 follows without duplicates, s = ⌊⌊1 / ratio⌋ / 3⌋, ratio = outliers / N. Each of these
//! tokens becomes itself + Σ a_j·feature_j over the 32 other tokens with the nearest keys
//! (cosine), kept ones included; one additional token is Σ a_j·feature_j of all tokens that are
//! not kept. Then the projector. Shapes: `last_q`, `last_k` [N+1, C], `hidden` [N+1, D]. Source:
//! LLaVA-PruMerge @ 097c04116a58, `clip_encoder.py`.
//!
//! Without an outlier the authors' code divides by zero, and with more than a third of N its grid
//! has step 0; both are refused here. With fewer than 33 patches, all others are the nearest. The
//! grid depends on the order of tokens. Under `keep` the additional token has the image's first
//! position (our choice).

use crate::pruning::published::choice::{Sum, weighted_rows};
use crate::pruning::published::dense::{dot, softmax};
use crate::pruning::published::shared::HIDDEN;
use crate::pruning::published::{
    Dense, Extra, InputCard, MethodChoice, MethodInputs, MethodParams, PublishedCard,
    PublishedError, PublishedMethod, PublishedStage, Source, descending,
};
use crate::{PlanSetting, PositionRule, SelectError, Site, TokenSelection, VisionNeed};

/// Number of nearest tokens that are merged into each token.
const NEAREST: usize = 32;

/// Outliers of the class token's attention and a grid, merged with similar tokens.
#[derive(Debug)]
pub struct PruMergePlus;

static CARD: PublishedCard = PublishedCard {
    name: "prumerge_plus",
    summary: "outliers of the class token's attention and a grid, merged with their nearest",
    site: "vision",
    formula: "outliers a > Q3 + 1.5*(Q3 - Q1), then 0, s, 2s... of s = int(int(N/outliers)/3); \
              each + sum of a_j*x_j over the 32 nearest by key; last the sum of what is dropped",
    inputs: &[
        InputCard {
            name: "last_q",
            shape: "[N+1, C]",
            summary: "queries of the tower's last layer, heads side by side, unscaled",
        },
        InputCard {
            name: "last_k",
            shape: "[N+1, C]",
            summary: "its keys, heads side by side",
        },
        HIDDEN,
    ],
    params: &[],
    presets: &[],
    paper: "LLaVA-PruMerge, ICCV 2025",
    source: "42Shawn/LLaVA-PruMerge @ 097c04116a58, llava/model/multimodal_encoder/clip_encoder.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "the number of tokens kept depends on the image; there is no budget to set",
        "no outlier divides by zero in the code and more than N/3 give a grid of step 0; both \
         are refused here",
        "the grid ends before the last patch, which is never in it",
        "weights of merged tokens aren't normalised",
    ],
};

impl PublishedMethod for PruMergePlus {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        _params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let keys = inputs.matrix("last_k")?;
        let rows = keys.num_rows();
        let why = "as `last_k` has";
        let queries = inputs.matrix("last_q")?;
        inputs.check_rows("last_q", queries.num_rows(), rows, why)?;
        let hidden = inputs.matrix("hidden")?;
        inputs.check_rows("hidden", hidden.num_rows(), rows, why)?;
        if queries.num_columns() != keys.num_columns() || rows < 2 {
            return Err(PublishedError::TensorShape {
                tensor: "last_q".to_owned(),
                found: vec![queries.num_rows(), queries.num_columns()],
                expected: format!(
                    "2 rows or more of {} columns, as `last_k` has",
                    keys.num_columns()
                ),
            });
        }
        let num_tokens = rows - 1;
        let attention = prumerge_attention(queries.row(0), &keys);
        let keys = keys.slice(1, num_tokens);
        let chosen = prumerge_plus_tokens(&attention, &keys)?;
        let mut sums: Vec<Sum> = Vec::with_capacity(chosen.kept.len() + 1);
        for (&token, nearest) in chosen.kept.iter().zip(&chosen.nearest) {
            let others = nearest.iter().map(|&other| (other, attention[other]));
            sums.push((token, [(token, 1.0)].into_iter().chain(others).collect()));
        }
        let dropped = (0..num_tokens).filter(|token| !chosen.kept.contains(token));
        sums.push((0, dropped.map(|token| (token, attention[token])).collect()));
        let tokens = weighted_rows(&sums, &hidden.slice(1, num_tokens));
        let selection = TokenSelection::merged_before_projector(sums, num_tokens)?;
        Ok(MethodChoice::plain(&chosen.kept, selection)
            .with_rows(tokens)
            .with("outliers", Extra::Count(chosen.num_outliers))
            .with("grid_step", Extra::Count(chosen.grid_step)))
    }

    fn takes_budget(&self) -> bool {
        false
    }

    fn looks_at_class_token(&self) -> bool {
        true
    }

    fn stages(
        &self,
        params: &MethodParams,
        setting: &PlanSetting,
    ) -> Result<Vec<PublishedStage>, PublishedError> {
        Ok(vec![PublishedStage {
            site: Site::Vision,
            method: &PruMergePlus,
            params: params.clone(),
            kept: setting.num_image_tokens,
            sources: vec![
                ("last_q", Source::Vision(VisionNeed::Queries(-1))),
                ("last_k", Source::Vision(VisionNeed::Keys(-1))),
                ("hidden", Source::Vision(VisionNeed::HiddenState(-2))),
            ],
        }])
    }
}

/// The class token's attention to the patches `[N]`, from its query `[C]` and all keys `[N+1,
/// C]`, as one head.
pub fn prumerge_attention(query: &[f64], keys: &Dense) -> Vec<f64> {
    let scale = (query.len() as f64).sqrt().recip();
    let mut row: Vec<f64> = keys.rows().map(|key| dot(query, key) * scale).collect();
    softmax(&mut row);
    row.split_off(1)
}

/// PruMerge+'s selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PruMergePlusTokens {
    /// Outliers in descending attention, then the grid.
    pub kept: Vec<usize>,
    /// For each kept token the others with the nearest keys, nearest first.
    pub nearest: Vec<Vec<usize>>,
    /// Number of outliers.
    pub num_outliers: usize,
    /// The grid's step.
    pub grid_step: usize,
}

/// PruMerge+'s selection by attention `[N]` and keys `[N, C]`.
///
/// # Errors
/// No outlier, or so many that the grid's step is 0.
pub fn prumerge_plus_tokens(
    attention: &[f64],
    keys: &Dense,
) -> Result<PruMergePlusTokens, SelectError> {
    let num_tokens = attention.len();
    let mut sorted: Vec<f32> = attention.iter().map(|&a| a as f32).collect();
    sorted.sort_by(f32::total_cmp);
    let (low, high) = (quantile(&sorted, 0.25), quantile(&sorted, 0.75));
    let bound = high + 1.5 * (high - low);
    let num_outliers = sorted.iter().filter(|a| f64::from(**a) > bound).count();
    let refuse = |reason: &str| SelectError::NotApplicable {
        reason: format!("prumerge_plus: {reason}"),
    };
    if num_outliers == 0 {
        return Err(refuse(
            "no patch is an outlier of the class token's attention, and the rule divides by \
             their number",
        ));
    }
    let ratio = num_outliers as f64 / num_tokens as f64;
    let grid_step = (1.0 / ratio) as usize / 3;
    if grid_step == 0 {
        return Err(refuse(&format!(
            "{num_outliers} of {num_tokens} patches are outliers, and above a third the grid \
             has no step"
        )));
    }
    let mut kept = descending(attention);
    kept.truncate(num_outliers);
    for token in (0..num_tokens - 1).step_by(grid_step) {
        if !kept[..num_outliers].contains(&token) {
            kept.push(token);
        }
    }
    let unit = keys.normalized();
    let nearest = kept
        .iter()
        .map(|&token| {
            let cosines: Vec<f64> = unit.rows().map(|row| dot(row, unit.row(token))).collect();
            let others = descending(&cosines)
                .into_iter()
                .filter(|other| *other != token);
            others.take(NEAREST).collect()
        })
        .collect();
    Ok(PruMergePlusTokens {
        kept,
        nearest,
        num_outliers,
        grid_step,
    })
}

/// A quantile of ascending values, interpolated linearly.
fn quantile(sorted: &[f32], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let (a, b) = (
        f64::from(sorted[below]),
        f64::from(sorted[(below + 1).min(sorted.len() - 1)]),
    );
    a + (b - a) * (at - below as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // One outlier of 12: the step is ⌊12 / 3⌋ = 4, the grid 0, 4, 8.
        let mut attention = [0.05; 12];
        attention[4] = 0.45;
        let keys = Dense::new((0..24).map(f64::from).collect(), 2).unwrap();
        let chosen = prumerge_plus_tokens(&attention, &keys).unwrap();
        assert_eq!(chosen.kept, [4, 0, 8]);
        assert_eq!((chosen.num_outliers, chosen.grid_step), (1, 4));
        assert!(chosen.nearest.iter().all(|nearest| nearest.len() == 11));
        let error = prumerge_plus_tokens(&[0.1; 12], &keys)
            .unwrap_err()
            .to_string();
        assert!(error.contains("no patch is an outlier"), "{error}");
    }

    #[test]
    fn quartiles_by_hand() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        assert!((quantile(&sorted, 0.25) - 1.75).abs() < 1e-12);
        assert!((quantile(&sorted, 0.75) - 5.0).abs() < 1e-12);
    }
}
