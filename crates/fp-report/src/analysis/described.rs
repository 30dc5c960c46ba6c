//! Means of measurements that were recorded during the run: the concentration of the attention that
//! selected tokens, and the diversity of the kept tokens.

use fp_eval::study::SampleRecord;
use serde::Serialize;

/// The attention that selected tokens, means over samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanAttention {
    /// Number of samples.
    pub n: usize,
    /// Entropy, natural logarithm.
    pub entropy: f64,
    /// exp of each sample's entropy.
    pub effective_number: f64,
    /// Gini coefficient.
    pub gini: f64,
    /// The largest share of one token.
    pub max: f64,
    /// Number of tokens that hold 90 % of the mass.
    pub nucleus: f64,
    /// Mass on the boxes, over samples that have some.
    pub box_mass: Option<f64>,
    /// Attention on the boxes relative to other positions of the same size.
    pub box_ratio: Option<f64>,
    /// Share of samples whose most attended token is on the evidence.
    pub pointing: Option<f64>,
}

/// Features of the kept tokens, means over samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MeanDiversity {
    /// Number of samples.
    pub n: usize,
    /// Mean of 1 − cosine over pairs.
    pub mean_cosine_distance: f64,
    /// Smallest 1 − cosine over pairs.
    pub min_cosine_distance: f64,
    /// Mean over kept tokens of the largest cosine with another one.
    pub redundancy: f64,
    /// Mean over all tokens of the largest cosine with a kept one.
    pub coverage: f64,
    /// Effective rank, if it was requested.
    pub effective_rank: Option<f64>,
    /// Vendi score, if it was requested.
    pub vendi: Option<f64>,
    /// ln det(I + x̂x̂ᵀ), if it was requested.
    pub log_det_plus_identity: Option<f64>,
}

/// A sum and its number of values.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    n: usize,
    sum: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        self.n += 1;
        self.sum += value;
    }

    fn add_some(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.add(value);
        }
    }

    fn mean(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}

/// Sums of [`MeanAttention`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AttentionSums {
    entropy: Sum,
    effective_number: Sum,
    gini: Sum,
    max: Sum,
    nucleus: Sum,
    box_mass: Sum,
    box_ratio: Sum,
    pointing: Sum,
}

impl AttentionSums {
    /// Adds the attention by which a cell selected tokens on a sample, if there was any.
    pub(super) fn add(&mut self, record: &SampleRecord, cell: usize) {
        let cell = record.cells.get(cell).and_then(|cell| cell.attention);
        let Some(attention) = cell.and_then(|at| record.attentions.get(at)) else {
            return;
        };
        self.entropy.add(f64::from(attention.entropy));
        // The system's exp isn't used: its last digit differs between machines.
        self.effective_number
            .add(libm::exp(f64::from(attention.entropy)));
        self.gini.add(f64::from(attention.gini));
        self.max.add(f64::from(attention.max));
        self.nucleus.add(attention.nucleus as f64);
        self.box_mass.add_some(attention.box_mass.map(f64::from));
        self.box_ratio.add_some(attention.box_ratio.map(f64::from));
        let hit = attention.is_pointing_hit;
        self.pointing
            .add_some(hit.map(|hit| f64::from(u8::from(hit))));
    }

    pub(super) fn mean(&self) -> Option<MeanAttention> {
        Some(MeanAttention {
            n: self.entropy.n,
            entropy: self.entropy.mean()?,
            effective_number: self.effective_number.mean()?,
            gini: self.gini.mean()?,
            max: self.max.mean()?,
            nucleus: self.nucleus.mean()?,
            box_mass: self.box_mass.mean(),
            box_ratio: self.box_ratio.mean(),
            pointing: self.pointing.mean(),
        })
    }
}

/// Sums of [`MeanDiversity`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct DiversitySums {
    mean_cosine_distance: Sum,
    min_cosine_distance: Sum,
    redundancy: Sum,
    coverage: Sum,
    effective_rank: Sum,
    vendi: Sum,
    log_det_plus_identity: Sum,
}

impl DiversitySums {
    /// Adds the measurements of the tokens that a cell kept on a sample.
    pub(super) fn add(&mut self, record: &SampleRecord, cell: usize) {
        let diversity = record.run_of(cell).and_then(|run| run.diversity.as_ref());
        let Some(diversity) = diversity else { return };
        self.mean_cosine_distance
            .add(f64::from(diversity.mean_cosine_distance));
        self.min_cosine_distance
            .add(f64::from(diversity.min_cosine_distance));
        self.redundancy.add(f64::from(diversity.redundancy));
        self.coverage.add(f64::from(diversity.coverage));
        self.effective_rank
            .add_some(diversity.effective_rank.map(f64::from));
        self.vendi.add_some(diversity.vendi.map(f64::from));
        self.log_det_plus_identity
            .add_some(diversity.log_det_plus_identity.map(f64::from));
    }

    pub(super) fn mean(&self) -> Option<MeanDiversity> {
        Some(MeanDiversity {
            n: self.coverage.n,
            mean_cosine_distance: self.mean_cosine_distance.mean()?,
            min_cosine_distance: self.min_cosine_distance.mean()?,
            redundancy: self.redundancy.mean()?,
            coverage: self.coverage.mean()?,
            effective_rank: self.effective_rank.mean(),
            vendi: self.vendi.mean(),
            log_det_plus_identity: self.log_det_plus_identity.mean(),
        })
    }
}
