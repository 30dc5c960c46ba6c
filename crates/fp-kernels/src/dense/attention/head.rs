//! One head of one sequence: scores, softmax, and the weighted sum of values.

use std::borrow::Cow;
use std::ops::Range;

use super::super::gemm::Blocks;
use super::super::interleave::interleave_over;
use super::super::level::{Level, for_level};
use super::super::math;
use super::super::micro::{MAX_BLOCK_ROWS, PANEL, product};
use super::super::panels::Panels;
use super::super::raw::OutputMatrix;
use super::{AttentionShape, KeyValues, SequenceQueries};

/// One key head of one sequence, with the query heads that share it.
pub(super) struct Head<'a> {
    pub(super) level: Level,
    pub(super) shape: &'a AttentionShape,
    pub(super) queries: &'a [f32],
    pub(super) stride: usize,
    pub(super) sequence: &'a SequenceQueries<'a>,
    pub(super) kv_head: usize,
}

impl Head<'_> {
    pub(super) fn query_heads(&self) -> Range<usize> {
        let group = self.shape.num_heads / self.shape.num_kv_heads;
        self.kv_head * group..(self.kv_head + 1) * group
    }

    /// Scaled queries of `count` (head, row) lanes, interleaved as `[head_dim][count]`.
    pub(super) fn interleave(
        &self,
        lanes: impl Iterator<Item = (usize, usize)>,
        count: usize,
        out: &mut [f32],
    ) {
        let head_dim = self.shape.head_dim;
        for (lane, (head, row)) in lanes.enumerate() {
            let query = &self.queries[row * self.stride + head * head_dim..][..head_dim];
            for (slot, &value) in out.chunks_exact_mut(count).zip(query) {
                slot[lane] = value * self.shape.scale;
            }
        }
    }

    /// This head's keys in each run, `[len, head_dim]`.
    pub(super) fn key_runs(&self) -> impl Iterator<Item = Cow<'_, [f32]>> {
        let runs = self.sequence.runs.iter();
        runs.map(|run| run.keys.widened(self.range(run)))
    }

    /// This head's values in each run, `[len, head_dim]`.
    pub(super) fn value_runs(&self) -> impl Iterator<Item = Cow<'_, [f32]>> {
        let runs = self.sequence.runs.iter();
        runs.map(|run| run.values.widened(self.range(run)))
    }

    /// Range of this head's elements in a run.
    fn range(&self, run: &KeyValues<'_>) -> Range<usize> {
        let start = self.kv_head * run.head_stride;
        start..start + run.len * self.shape.head_dim
    }

    /// Writes the outputs of `rows` for the query heads of this key head.
    pub(super) fn attend(&self, rows: Range<usize>, output: &OutputMatrix) {
        let head_dim = self.shape.head_dim;
        let visible = self.sequence.visible(rows.end - 1);
        let keys = self.pack_keys(visible);
        let values = self.pack_values(visible);
        let blocks = Blocks::new(rows.len(), self.level.block_rows());
        let mut scratch = Scratch::new(visible, head_dim);
        let mut sums = [[0.0; PANEL]; MAX_BLOCK_ROWS];
        for head in self.query_heads() {
            for block in blocks.iter() {
                let block: Vec<usize> = block.map(|row| rows.start + row).collect();
                let limit = self.weights(head, &block, &keys, &mut scratch);
                let weights = &scratch.interleaved[..limit * block.len()];
                for (panel, values) in values.chunks_exact(visible).enumerate() {
                    let col = panel * PANEL;
                    let width = PANEL.min(head_dim - col);
                    let (values, out) = (&values[..limit], sums.as_flattened_mut());
                    product(self.level, block.len(), weights, values, out, PANEL);
                    for ((sums, &row), &total) in sums.iter_mut().zip(&block).zip(&scratch.totals) {
                        let scale = 1.0 / total;
                        sums.iter_mut().for_each(|sum| *sum *= scale);
                        // SAFETY: tasks own disjoint rows of disjoint heads.
                        unsafe { output.write(row, head * head_dim + col, &sums[..width]) };
                    }
                }
            }
        }
    }

    /// Writes the weights of `rows` on `columns` to `out`, `[query heads, rows, columns]`.
    pub(super) fn attention_rows(&self, rows: &[usize], columns: Range<usize>, out: &mut [f32]) {
        let Some(visible) = rows.iter().map(|&row| self.sequence.visible(row)).max() else {
            return;
        };
        let keys = self.pack_keys(visible);
        let mut scratch = Scratch::new(visible, self.shape.head_dim);
        let mut out = out.chunks_exact_mut(columns.len());
        for head in self.query_heads() {
            for block in rows.chunks(self.level.block_rows()) {
                let limit = self.weights(head, block, &keys, &mut scratch);
                let seen = columns.start.min(limit)..columns.end.min(limit);
                for ((scores, &total), out) in scratch
                    .scores
                    .chunks_exact(scratch.stride)
                    .zip(&scratch.totals)
                    .zip(&mut out)
                    .take(block.len())
                {
                    let scale = 1.0 / total;
                    for (out, &weight) in out.iter_mut().zip(&scores[seen.clone()]) {
                        *out = weight * scale;
                    }
                }
            }
        }
    }

    /// Writes e^(score − maximum) of a block of rows to `scratch`, by row in `scores` and by key
    /// in `interleaved`, and the rows' sums to `totals`; zero for keys that a row does not attend
    /// to. Returns the number of keys covered.
    fn weights(
        &self,
        head: usize,
        rows: &[usize],
        keys: &[[f32; PANEL]],
        scratch: &mut Scratch,
    ) -> usize {
        let head_dim = self.shape.head_dim;
        let count = rows.len();
        let Scratch {
            stride,
            query,
            scores,
            interleaved,
            totals,
        } = scratch;
        self.interleave(rows.iter().map(|&row| (head, row)), count, query);
        let limit = rows
            .iter()
            .map(|&row| self.sequence.visible(row))
            .max()
            .unwrap_or(0);
        for (panel, keys) in keys
            .chunks_exact(head_dim)
            .take(limit.div_ceil(PANEL))
            .enumerate()
        {
            let query = &query[..head_dim * count];
            let out = &mut scores[panel * PANEL..];
            product(self.level, count, query, keys, out, *stride);
        }
        for (lane, (scores, &row)) in scores.chunks_exact_mut(*stride).zip(rows).enumerate() {
            let (seen, unseen) = scores[..limit].split_at_mut(self.sequence.visible(row));
            unseen.fill(0.0);
            totals[lane] = exponentials(self.level, seen);
        }
        let by_row: Vec<&[f32]> = scores
            .chunks_exact(*stride)
            .take(count)
            .map(|scores| &scores[..limit])
            .collect();
        interleave_over(self.level, &by_row, &mut interleaved[..limit * count]);
        limit
    }

    /// The first `count` keys as panels `[head_dim][PANEL keys]`.
    fn pack_keys(&self, count: usize) -> Panels {
        let head_dim = self.shape.head_dim;
        let mut packed = Panels::zeros(count.div_ceil(PANEL) * head_dim);
        let mut index = 0;
        for keys in self.key_runs() {
            for key in keys.chunks_exact(head_dim).take(count - index) {
                let panel = &mut packed[index / PANEL * head_dim..][..head_dim];
                for (slot, &value) in panel.iter_mut().zip(key) {
                    slot[index % PANEL] = value;
                }
                index += 1;
            }
        }
        packed
    }

    /// The first `count` values as panels `[count][PANEL of head_dim]`.
    fn pack_values(&self, count: usize) -> Panels {
        let mut packed = Panels::zeros(self.shape.head_dim.div_ceil(PANEL) * count);
        let mut index = 0;
        for values in self.value_runs() {
            for value in values.chunks_exact(self.shape.head_dim).take(count - index) {
                for (panel, part) in value.chunks(PANEL).enumerate() {
                    packed[panel * count + index][..part.len()].copy_from_slice(part);
                }
                index += 1;
            }
        }
        packed
    }
}

/// Buffers of one task.
struct Scratch {
    stride: usize,
    query: Vec<f32>,
    scores: Vec<f32>,
    interleaved: Vec<f32>,
    totals: [f32; MAX_BLOCK_ROWS],
}

impl Scratch {
    fn new(visible: usize, head_dim: usize) -> Scratch {
        let stride = visible.next_multiple_of(PANEL);
        Scratch {
            stride,
            query: vec![0.0; head_dim * MAX_BLOCK_ROWS],
            scores: vec![0.0; stride * MAX_BLOCK_ROWS],
            interleaved: vec![0.0; stride * MAX_BLOCK_ROWS],
            totals: [0.0; MAX_BLOCK_ROWS],
        }
    }
}

for_level! {
    /// Replaces scores by e^(score − maximum) and returns their sum.
    pub(super) fn exponentials(scores: &mut [f32]) -> f32 = exponentials_body
}

#[inline(always)]
fn exponentials_body<const FUSED: bool>(scores: &mut [f32]) -> f32 {
    let max = math::max(scores);
    for score in scores.iter_mut() {
        *score = math::exp::<FUSED>(*score - max);
    }
    math::sum(scores)
}
