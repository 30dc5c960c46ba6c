//! The measurements that FinePruner and its peers share.

use fp_scoring::{
    HeadCount, HeadStrategy, ImageAttention, Normalization, ScoringError, SelectOptions, Selection,
    score_all, score_batch,
};

use crate::synthetic_attention;

/// One measurement: every strategy of study A, to the kept tokens, on one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workload {
    /// Name in reports, benchmarks and exported files.
    pub name: &'static str,
    /// Samples scored by one call; one stands for a call of [`score_all`].
    pub batch_size: usize,
    /// H.
    pub num_heads: usize,
    /// N.
    pub num_image_tokens: usize,
    /// h.
    pub num_selected_heads: usize,
    /// R.
    pub kept: usize,
    /// Threads that FinePruner and peer may each use.
    pub num_threads: usize,
}

/// One sample at 336 pixels, one of any-resolution input, and a batch. Half the
/// heads are selected and R is what a layer average of a third of the tokens
/// leaves on a 7B model pruned after its second layer.
pub const WORKLOADS: [Workload; 3] = [
    Workload {
        name: "sample_32x576",
        batch_size: 1,
        num_heads: 32,
        num_image_tokens: 576,
        num_selected_heads: 16,
        kept: 166,
        num_threads: 1,
    },
    Workload {
        name: "sample_32x2880",
        batch_size: 1,
        num_heads: 32,
        num_image_tokens: 2880,
        num_selected_heads: 16,
        kept: 832,
        num_threads: 1,
    },
    Workload {
        name: "batch_64x32x576",
        batch_size: 64,
        num_heads: 32,
        num_image_tokens: 576,
        num_selected_heads: 16,
        kept: 166,
        num_threads: 2,
    },
];

impl Workload {
    /// The attention to score, `[B, H, N]` row-major; the same at every call.
    pub fn attention(&self) -> Vec<f32> {
        synthetic_attention(
            self.batch_size * self.num_heads,
            self.num_image_tokens,
            self.num_image_tokens as u64,
        )
    }

    /// Shape of the attention: `[H, N]` for one sample, else `[B, H, N]`.
    pub fn shape(&self) -> Vec<usize> {
        match self.batch_size {
            1 => vec![self.num_heads, self.num_image_tokens],
            batch_size => vec![batch_size, self.num_heads, self.num_image_tokens],
        }
    }

    /// What is asked of each selection.
    pub fn options(&self) -> SelectOptions {
        SelectOptions {
            normalization: Normalization::L1,
            num_selected_heads: HeadCount::Count(self.num_selected_heads),
            kept: self.kept,
            allow_degenerate: false,
        }
    }

    /// The measured call: selections of [`HeadStrategy::STUDY`] for each sample.
    ///
    /// # Errors
    /// As [`score_all`] and [`score_batch`].
    pub fn score(&self, attention: &[f32]) -> Result<Vec<Vec<Selection>>, ScoringError> {
        let (heads, tokens) = (self.num_heads, self.num_image_tokens);
        let (strategies, options) = (HeadStrategy::STUDY, self.options());
        if self.batch_size == 1 {
            let rows = ImageAttention::new(attention, heads, tokens)?;
            return Ok(vec![score_all(&rows, strategies, &options)?]);
        }
        score_batch(
            attention,
            self.batch_size,
            heads,
            tokens,
            strategies,
            &options,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_scores() {
        for workload in WORKLOADS {
            let selections = workload.score(&workload.attention()).unwrap();
            assert_eq!(selections.len(), workload.batch_size);
            for selection in selections.iter().flatten() {
                assert_eq!(selection.kept_tokens.len(), workload.kept);
                assert_eq!(selection.selected_heads.len(), workload.num_selected_heads);
            }
        }
    }

    #[test]
    fn strategies_disagree_on_the_input() {
        // Were they to agree, shared work would flatter the measurement.
        let workload = WORKLOADS[0];
        let selections = workload.score(&workload.attention()).unwrap().remove(0);
        let mut chosen: Vec<_> = selections.iter().map(|s| &s.selected_heads).collect();
        chosen.sort();
        chosen.dedup();
        assert!(chosen.len() >= 5, "{} different choices", chosen.len());
    }
}
