//! Attention of few query rows, such as a new token's: keys are transposed one panel at a time,
//! and values are read in their stored layout.

use std::ops::Range;

use super::super::level::{for_level, multiply_add};
use super::super::micro::{PANEL, product};
use super::super::raw::OutputMatrix;
use super::head::{Head, exponentials};

impl Head<'_> {
    /// As [`Head::attend`], in the same order of operations.
    pub(super) fn attend_few(&self, rows: Range<usize>, output: &OutputMatrix) {
        let head_dim = self.shape.head_dim;
        // A lane is one row of one query head.
        let lanes: Vec<(usize, usize)> = self
            .query_heads()
            .flat_map(|head| rows.clone().map(move |row| (head, row)))
            .collect();
        let (mut scores, stride) = self.scores(&lanes);
        let mut mixed = vec![0.0; head_dim];
        let runs: Vec<_> = self.value_runs().collect();
        for (&(head, row), scores) in lanes.iter().zip(scores.chunks_exact_mut(stride)) {
            let seen = &mut scores[..self.sequence.visible(row)];
            let total = exponentials(self.level, seen);
            mixed.fill(0.0);
            let mut weights = &*seen;
            for values in &runs {
                let (here, rest) = weights.split_at(weights.len().min(values.len() / head_dim));
                add_weighted(self.level, here, values, &mut mixed);
                weights = rest;
            }
            let scale = 1.0 / total;
            mixed.iter_mut().for_each(|out| *out *= scale);
            // SAFETY: tasks own disjoint rows of disjoint heads.
            unsafe { output.write(row, head * head_dim, &mixed) };
        }
    }

    /// Scores of `lanes` for all keys: `[lanes, stride]`, and the stride.
    fn scores(&self, lanes: &[(usize, usize)]) -> (Vec<f32>, usize) {
        let head_dim = self.shape.head_dim;
        // The last panel of a run extends past its keys.
        let stride = self.sequence.num_keys() + PANEL;
        let mut scores = vec![0.0; lanes.len() * stride];
        let queries: Vec<Vec<f32>> = lanes
            .chunks(self.level.block_rows())
            .map(|block| {
                let mut query = vec![0.0; head_dim * block.len()];
                self.interleave(block.iter().copied(), block.len(), &mut query);
                query
            })
            .collect();
        let mut turned = vec![[0.0; PANEL]; head_dim];
        let mut first = 0;
        for keys in self.key_runs() {
            for keys in keys.chunks(PANEL * head_dim) {
                turn(keys, &mut turned);
                let blocks = scores.chunks_mut(self.level.block_rows() * stride);
                for (block, query) in blocks.zip(&queries) {
                    let count = block.len() / stride;
                    let out = &mut block[first..];
                    product(self.level, count, query, &turned, out, stride);
                }
                first += keys.len() / head_dim;
            }
        }
        (scores, stride)
    }
}

/// Transposes up to [`PANEL`] keys from `[keys, head_dim]` to `[head_dim][PANEL]`.
fn turn(keys: &[f32], turned: &mut [[f32; PANEL]]) {
    for (lane, key) in keys.chunks_exact(turned.len()).enumerate() {
        for (slot, &value) in turned.iter_mut().zip(key) {
            slot[lane] = value;
        }
    }
}

for_level! {
    /// `out += Σ weights[i] · values[i]`, in the order of the keys.
    fn add_weighted(weights: &[f32], values: &[f32], out: &mut [f32]) = add_weighted_body
}

#[inline(always)]
fn add_weighted_body<const FUSED: bool>(weights: &[f32], values: &[f32], out: &mut [f32]) {
    for (&weight, values) in weights.iter().zip(values.chunks_exact(out.len())) {
        for (out, &value) in out.iter_mut().zip(values) {
            *out = multiply_add::<FUSED>(weight, value, *out);
        }
    }
}
