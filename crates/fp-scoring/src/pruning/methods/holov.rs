//! HoloV: the budget divided among runs of consecutive tokens, then attention within each.
//!
//! The N tokens are cut into P runs in raster order, the first N mod P one token longer; at 24 ×
//! 24 and P = 16 a run is 1.5 rows, not a square. Within a run, with a the class token's
//! attention (mean over heads) and f = x / (‖x‖ + 1e-6) of the projector's output: v_i = Σ_j
//! (c_ij − mean_i)² / (n − 1) of the cosines c_ij = f_i·f_j, c_ii = 0, mean_i their mean over all
//! n; v' = v · mean|1000 a| / (mean|v| + 1e-6); score = 1000 a + 0.09 v'. A run's weight is its
//! mean score over (the sum of all + 1e-6); it gets ⌊weight·T⌋ tokens, and the remaining tokens
//! are given, one each, to the runs with the largest weights. A run keeps its most attended tokens, in
//! descending attention, or all of them, in spatial order, if it has no more than its share. If
//! the total is below T, zero vectors are appended at the end of the image. Shapes: `projected`
//! [N, D], `cls_attention` [H, N]. Source: HoloV @ 1d2e65e961e6, `llava/model/utils.py`.
//!
//! The variance cancels out: within a run v' has the mean of 1000 a, and weights depend only on
//! means, so all are multiplied by 1.09, except for runs of one token (whose variance is
//! undefined in the code, and 0 here) and the 1e-6. It is computed as written all the same. The
//! released code doesn't reproduce the paper's figures. Runs depend on the order of tokens.

use crate::pruning::published::choice::Sum;
use crate::pruning::published::dense::dot;
use crate::pruning::published::shared::{CLS_ATTENTION, KEEP, PROJECTED};
use crate::pruning::published::{
    Dense, Extra, MethodChoice, MethodInputs, MethodParams, ParamCard, ParamDefault, ParamKind,
    ParamScope, Preset, PublishedCard, PublishedError, PublishedMethod, PublishedStage, Source,
    descending,
};
use crate::{PlanSetting, PositionRule, Site, TokenSelection, VisionNeed};

/// Avoids division by zero, in the three places where the authors add it.
const EPSILON: f64 = 1e-6;
/// The authors' factor of attention.
const ATTENTION_SCALE: f64 = 1000.0;
/// The authors' weight of the variance.
const VARIANCE_WEIGHT: f64 = 0.09;

/// The budget divided among runs of tokens, then attention within each.
#[derive(Debug)]
pub struct HoloV;

static CARD: PublishedCard = PublishedCard {
    name: "holov",
    summary: "the budget shared among runs of consecutive tokens, attention within each",
    site: "embeddings",
    formula: "P runs; floor(weight*T) tokens each, weight = mean score / sum of means, score = \
              1000*a + 0.09*v'; within a run the most attended; zero vectors fill up to T",
    inputs: &[PROJECTED, CLS_ATTENTION],
    params: &[
        KEEP,
        ParamCard {
            name: "patches",
            kind: ParamKind::Count,
            default: ParamDefault::Is("16"),
            scope: ParamScope::Both,
            summary: "P, the number of runs",
        },
    ],
    presets: &[
        Preset {
            budget: "192",
            params: "keep=192 patches=16",
            whose: "the budget itself; P is the authors' literal",
        },
        Preset {
            budget: "128",
            params: "keep=128 patches=16",
            whose: "the budget itself; P is the authors' literal",
        },
        Preset {
            budget: "64",
            params: "keep=64 patches=16",
            whose: "the authors' literals",
        },
    ],
    paper: "HoloV, NeurIPS 2025",
    source: "obananas/HoloV @ 1d2e65e961e6, llava/model/utils.py",
    positions: PositionRule::Renumber,
    disagreements: &[
        "the variance of cosines cancels in the run's mean: attention alone decides",
        "runs are 1.5 rows of the grid, not squares; tokens of a run come in descending \
         attention; what a run can't fill is zero vectors",
        "the released code doesn't give the paper's figures; for Qwen it has other numbers of \
         runs and keeps positions",
        "a run of one token has no variance in the code; here it is 0",
    ],
};

impl PublishedMethod for HoloV {
    fn card(&self) -> &'static PublishedCard {
        &CARD
    }

    fn choose(
        &self,
        inputs: &MethodInputs,
        params: &MethodParams,
    ) -> Result<MethodChoice, PublishedError> {
        let projected = inputs.matrix("projected")?;
        let num_tokens = projected.num_rows();
        let attention = inputs.attention("cls_attention")?;
        if attention.num_columns() != num_tokens {
            return Err(PublishedError::TensorShape {
                tensor: "cls_attention".to_owned(),
                found: vec![attention.num_rows(), attention.num_columns()],
                expected: format!("{num_tokens} columns, as `projected` has rows"),
            });
        }
        let keep = params.count_up_to("keep", num_tokens, "image tokens")?;
        let num_runs = params.count_up_to("patches", num_tokens, "image tokens")?;
        let chosen = holov_tokens(&projected, &attention.column_means(), keep, num_runs);
        let mut sums: Vec<Sum> = chosen.kept.iter().map(|&t| (t, vec![(t, 1.0)])).collect();
        sums.extend(std::iter::repeat_n((0, Vec::new()), chosen.num_zeros));
        let selection = TokenSelection::merged(sums, num_tokens)?;
        let mut choice = MethodChoice::plain(&chosen.kept, selection);
        choice
            .kept
            .extend(std::iter::repeat_n(-1, chosen.num_zeros));
        Ok(choice.with("allocated", Extra::Indices(chosen.allocated)))
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
            site: Site::Embeddings,
            method: &HoloV,
            params: params.clone(),
            kept: params.count("keep")?,
            sources: vec![
                ("projected", Source::Embeds),
                (
                    "cls_attention",
                    Source::Vision(VisionNeed::ClassAttention(-2)),
                ),
            ],
        }])
    }
}

/// HoloV's selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoloVTokens {
    /// Kept tokens, in the order of the sequence.
    pub kept: Vec<usize>,
    /// Number of zero vectors after them.
    pub num_zeros: usize,
    /// Number of tokens allotted to each run, which may exceed its length.
    pub allocated: Vec<usize>,
}

/// HoloV's selection of `keep` ≤ N tokens by the projector's output `[N, D]` and attention `[N]`
/// in `num_runs` ≤ N runs.
pub fn holov_tokens(
    projected: &Dense,
    attention: &[f64],
    keep: usize,
    num_runs: usize,
) -> HoloVTokens {
    let num_tokens = attention.len();
    let (short, num_longer) = (num_tokens / num_runs, num_tokens % num_runs);
    let mut start = 0;
    let runs: Vec<std::ops::Range<usize>> = (0..num_runs)
        .map(|run| {
            let end = start + short + usize::from(run < num_longer);
            std::mem::replace(&mut start, end)..end
        })
        .collect();
    let means: Vec<f64> = runs
        .iter()
        .map(|run| {
            mean_score(
                &projected.slice(run.start, run.len()),
                &attention[run.clone()],
            )
        })
        .collect();
    let sum: f64 = means.iter().sum();
    let shares: Vec<f64> = means.iter().map(|mean| mean / (sum + EPSILON)).collect();
    let mut allocated: Vec<usize> = shares
        .iter()
        .map(|share| (share * keep as f64).floor() as usize)
        .collect();
    let left = keep.saturating_sub(allocated.iter().sum());
    for run in descending(&shares).into_iter().take(left) {
        allocated[run] += 1;
    }
    let mut kept = Vec::with_capacity(keep);
    for (run, &count) in runs.iter().zip(&allocated) {
        if count >= run.len() {
            kept.extend(run.clone());
        } else {
            let order = descending(&attention[run.clone()]);
            kept.extend(order.into_iter().take(count).map(|index| run.start + index));
        }
    }
    HoloVTokens {
        num_zeros: keep.saturating_sub(kept.len()),
        kept,
        allocated,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean score of a run.
fn mean_score(rows: &Dense, attention: &[f64]) -> f64 {
    let num_tokens = rows.num_rows();
    let unit: Vec<Vec<f64>> = rows
        .rows()
        .map(|row| {
            let norm = dot(row, row).sqrt() + EPSILON;
            row.iter().map(|value| value / norm).collect()
        })
        .collect();
    let variances: Vec<f64> = (0..num_tokens)
        .map(|i| {
            let cosine = |j: usize| if i == j { 0.0 } else { dot(&unit[i], &unit[j]) };
            let cosines: Vec<f64> = (0..num_tokens).map(cosine).collect();
            let mean = mean(&cosines);
            let squares: f64 = cosines.iter().map(|c| (c - mean) * (c - mean)).sum();
            if num_tokens > 1 {
                squares / (num_tokens - 1) as f64
            } else {
                0.0
            }
        })
        .collect();
    let attention: Vec<f64> = attention.iter().map(|a| a * ATTENTION_SCALE).collect();
    let size: Vec<f64> = attention.iter().map(|a| a.abs()).collect();
    let scale = mean(&size) / (mean(&variances) + EPSILON);
    let scores: Vec<f64> = attention
        .iter()
        .zip(&variances)
        .map(|(a, v)| a + VARIANCE_WEIGHT * (v * scale))
        .collect();
    mean(&scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Runs of 2, 1, 1 tokens: the first is one longer. Constant features have almost no
        // variance, so weights are those of the mean attention: 0.3, 0.2, 0.1 of 0.6.
        let attention = [0.2, 0.4, 0.2, 0.1];
        let features = Dense::new(vec![1e-30; 8], 2).unwrap();
        let chosen = holov_tokens(&features, &attention, 2, 3);
        // Shares of 2 tokens: slightly less than 1 (by the epsilon), 0.67 and 0.33. None is
        // whole, and the two remaining tokens go to the two runs with the largest weights, one
        // each.
        assert_eq!(chosen.allocated, [1, 1, 0]);
        assert_eq!((chosen.kept, chosen.num_zeros), (vec![1, 2], 0));
        // 2.9, 0.04 and 0.04 of 3: the remaining token goes to the first run, which has only two.
        let chosen = holov_tokens(&features, &[0.8, 0.7, 0.01, 0.01], 3, 3);
        assert_eq!(chosen.allocated, [3, 0, 0]);
        assert_eq!((chosen.kept, chosen.num_zeros), (vec![0, 1], 1));
    }
}
