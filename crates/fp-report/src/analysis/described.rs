//! Means of what was recorded while the model's values were at hand: how concentrated
//! the attention was that chose, and how different the kept tokens were.

use fp_eval::study::{AttentionRecord, DiversityRecord};
use serde::Serialize;

use crate::run::Run;

/// The attention that tokens were chosen by, means over samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanAttention {
    /// Samples.
    pub n: usize,
    /// Entropy, natural logarithm.
    pub entropy: f64,
    /// exp of each sample's entropy.
    pub effective_number: f64,
    /// Gini coefficient.
    pub gini: f64,
    /// The largest share of one token.
    pub max: f64,
    /// Tokens that hold 90 % of the mass.
    pub nucleus: f64,
    /// Mass on the boxes, over samples that have some.
    pub box_mass: Option<f64>,
    /// Attention on the boxes relative to places of the same size.
    pub box_ratio: Option<f64>,
    /// Share of samples whose most attended token lies on the evidence.
    pub pointing: Option<f64>,
}

/// Features of the kept tokens, means over samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanDiversity {
    /// Samples.
    pub n: usize,
    /// Mean of 1 − cosine over pairs.
    pub mean_cosine_distance: f64,
    /// The smallest of them.
    pub min_cosine_distance: f64,
    /// Mean over kept tokens of the largest cosine with another one.
    pub redundancy: f64,
    /// Mean over all tokens of the largest cosine with a kept one.
    pub coverage: f64,
    /// Effective rank, where it was asked for.
    pub effective_rank: Option<f64>,
    /// Vendi score, where it was asked for.
    pub vendi: Option<f64>,
    /// ln det(I + x̂x̂ᵀ), where it was asked for.
    pub log_det_plus_identity: Option<f64>,
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut n, mut sum) = (0_usize, 0.0);
    for value in values {
        n += 1;
        sum += value;
    }
    (n > 0).then(|| sum / n as f64)
}

pub(crate) fn mean_attention(run: &Run, cell: usize) -> Option<MeanAttention> {
    let of_cell: Vec<&AttentionRecord> = run
        .records
        .iter()
        .filter_map(|record| record.attentions.get(record.cells.get(cell)?.attention?))
        .collect();
    let of = |value: &dyn Fn(&AttentionRecord) -> f64| mean(of_cell.iter().map(|a| value(a)));
    let some = |value: &dyn Fn(&AttentionRecord) -> Option<f64>| {
        mean(of_cell.iter().filter_map(|a| value(a)))
    };
    Some(MeanAttention {
        n: of_cell.len(),
        entropy: of(&|a| f64::from(a.entropy))?,
        // Not the system's exp, whose last digit differs between machines.
        effective_number: of(&|a| libm::exp(f64::from(a.entropy)))?,
        gini: of(&|a| f64::from(a.gini))?,
        max: of(&|a| f64::from(a.max))?,
        nucleus: of(&|a| a.nucleus as f64)?,
        box_mass: some(&|a| a.box_mass.map(f64::from)),
        box_ratio: some(&|a| a.box_ratio.map(f64::from)),
        pointing: some(&|a| a.is_pointing_hit.map(|hit| f64::from(u8::from(hit)))),
    })
}

pub(crate) fn mean_diversity(run: &Run, cell: usize) -> Option<MeanDiversity> {
    let of_cell: Vec<&DiversityRecord> = run
        .records
        .iter()
        .filter_map(|record| record.run_of(cell)?.diversity.as_ref())
        .collect();
    let of =
        |value: &dyn Fn(&DiversityRecord) -> f32| mean(of_cell.iter().map(|d| f64::from(value(d))));
    let some = |value: &dyn Fn(&DiversityRecord) -> Option<f32>| {
        mean(of_cell.iter().filter_map(|d| value(d).map(f64::from)))
    };
    Some(MeanDiversity {
        n: of_cell.len(),
        mean_cosine_distance: of(&|d| d.mean_cosine_distance)?,
        min_cosine_distance: of(&|d| d.min_cosine_distance)?,
        redundancy: of(&|d| d.redundancy)?,
        coverage: of(&|d| d.coverage)?,
        effective_rank: some(&|d| d.effective_rank),
        vendi: some(&|d| d.vendi),
        log_det_plus_identity: some(&|d| d.log_det_plus_identity),
    })
}
