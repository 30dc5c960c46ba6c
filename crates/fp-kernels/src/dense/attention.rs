//! Attention of query rows to the keys of their own sequence.
//!
//! A head's keys and values are repacked for the matrix kernel once per task;
//! then blocks of rows go through scores, softmax over the whole visible row,
//! and the weighted sum of values. The scores of one block are all that exists
//! at a time; there is never a matrix of all rows by all keys.

use super::gemm::Blocks;
use super::level::{Level, for_level, multiply_add};
use super::math;
use super::micro::{MAX_BLOCK_ROWS, PANEL, accumulate};
use super::raw::{Sheet, zeroed};
use rayon::prelude::*;
use std::ops::Range;

/// Query rows of one task: many enough to repay the repacking of the keys.
const TASK_ROWS: usize = 240;

/// Up to this many query rows the keys are read as they lie.
const FEW_ROWS: usize = 4;

/// What all sequences of a call have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    /// Query heads.
    pub num_heads: usize,
    /// Key and value heads; divides `num_heads`.
    pub num_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Factor on the products of queries and keys.
    pub scale: f32,
}

/// A run of consecutive keys and values: `[num_kv_heads][len][head_dim]`, with
/// `head_stride` values from one head's start to the next one's.
#[derive(Debug, Clone, Copy)]
pub struct KeyValues<'a> {
    /// Keys.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
    /// Number of positions.
    pub len: usize,
    /// Distance between heads.
    pub head_stride: usize,
}

/// One sequence's query rows and what they look at.
#[derive(Debug, Clone)]
pub struct SequenceQueries<'a> {
    /// Its rows in the query buffer.
    pub rows: Range<usize>,
    /// Its keys and values, in order; runs may be shared with other sequences.
    pub runs: Vec<KeyValues<'a>>,
    /// Under a causal mask the number of keys before the first row's own, so
    /// that row `i` sees `past + i + 1` keys. `None`: all rows see all keys.
    pub past: Option<usize>,
}

impl SequenceQueries<'_> {
    fn num_keys(&self) -> usize {
        self.runs.iter().map(|run| run.len).sum()
    }

    fn visible(&self, row: usize) -> usize {
        let all = self.num_keys();
        self.past
            .map_or(all, |past| (past + row - self.rows.start + 1).min(all))
    }

    fn check(&self, shape: &AttentionShape, num_rows: usize) {
        assert!(
            self.rows.end <= num_rows,
            "rows {:?} of {num_rows}",
            self.rows
        );
        assert!(
            self.rows.is_empty() || self.num_keys() > 0,
            "rows without keys"
        );
        if let Some(past) = self.past {
            assert!(
                past + self.rows.len() <= self.num_keys(),
                "rows see keys that aren't there"
            );
        }
        for run in &self.runs {
            let needed = (shape.num_kv_heads - 1) * run.head_stride + run.len * shape.head_dim;
            assert!(
                run.keys.len() >= needed && run.values.len() >= needed,
                "short run"
            );
        }
    }
}

/// Attention output `[T, num_heads · head_dim]` for the query rows
/// `queries [T, stride]`, whose heads lie side by side from each row's start.
/// Rows that no sequence names stay zero.
///
/// # Panics
/// If the shapes don't fit together or sequences share rows.
pub fn attention(
    shape: &AttentionShape,
    queries: &[f32],
    stride: usize,
    sequences: &[SequenceQueries<'_>],
) -> Vec<f32> {
    let num_rows = check(shape, queries, stride, sequences);
    let mut next = 0;
    for sequence in sequences {
        assert!(
            sequence.rows.start >= next,
            "sequences share rows or aren't in order"
        );
        next = sequence.rows.end;
    }
    let width = shape.num_heads * shape.head_dim;
    let tasks: Vec<(usize, usize, Range<usize>)> = sequences
        .iter()
        .enumerate()
        .flat_map(|(index, sequence)| {
            let rows = sequence.rows.clone();
            (0..rows.len().div_ceil(TASK_ROWS)).flat_map(move |part| {
                let start = rows.start + part * TASK_ROWS;
                let rows = start..(start + TASK_ROWS).min(rows.end);
                (0..shape.num_kv_heads).map(move |head| (index, head, rows.clone()))
            })
        })
        .collect();
    let level = Level::best();
    zeroed(num_rows, width, |sheet| {
        tasks.into_par_iter().for_each(|(index, kv_head, rows)| {
            let sequence = &sequences[index];
            let head = Head {
                level,
                shape,
                queries,
                stride,
                sequence,
                kv_head,
            };
            if sequence.rows.len() <= FEW_ROWS {
                head.attend_few(rows, sheet);
            } else {
                head.attend(rows, sheet);
            }
        });
    })
}

/// Post-softmax attention `[num_heads, Q, columns]` of the rows `rows` (in the
/// query buffer) of one sequence to its keys `columns`, the softmax taken over
/// all visible keys.
///
/// # Panics
/// If the shapes don't fit together, or a row or column isn't the sequence's.
pub fn attention_rows(
    shape: &AttentionShape,
    queries: &[f32],
    stride: usize,
    sequence: &SequenceQueries<'_>,
    rows: &[usize],
    columns: Range<usize>,
) -> Vec<f32> {
    check(shape, queries, stride, std::slice::from_ref(sequence));
    assert!(columns.end <= sequence.num_keys(), "columns past the keys");
    assert!(
        rows.iter().all(|row| sequence.rows.contains(row)),
        "rows outside the sequence"
    );
    let group = shape.num_heads / shape.num_kv_heads;
    let per_head = rows.len() * columns.len();
    let mut out = vec![0.0; shape.num_heads * per_head];
    if out.is_empty() {
        return out;
    }
    let level = Level::best();
    out.par_chunks_mut(group * per_head)
        .enumerate()
        .for_each(|(kv_head, out)| {
            let head = Head {
                level,
                shape,
                queries,
                stride,
                sequence,
                kv_head,
            };
            head.attention_rows(rows, columns.clone(), out);
        });
    out
}

fn check(
    shape: &AttentionShape,
    queries: &[f32],
    stride: usize,
    sequences: &[SequenceQueries<'_>],
) -> usize {
    assert!(shape.num_kv_heads > 0 && shape.num_heads.is_multiple_of(shape.num_kv_heads));
    assert!(shape.head_dim > 0 && shape.num_heads * shape.head_dim <= stride);
    assert!(
        queries.len().is_multiple_of(stride),
        "queries are not [_, {stride}]"
    );
    let num_rows = queries.len() / stride;
    for sequence in sequences {
        sequence.check(shape, num_rows);
    }
    num_rows
}

/// One key head of one sequence, with the query heads that share it.
struct Head<'a> {
    level: Level,
    shape: &'a AttentionShape,
    queries: &'a [f32],
    stride: usize,
    sequence: &'a SequenceQueries<'a>,
    kv_head: usize,
}

impl Head<'_> {
    fn query_heads(&self) -> Range<usize> {
        let group = self.shape.num_heads / self.shape.num_kv_heads;
        self.kv_head * group..(self.kv_head + 1) * group
    }

    fn query(&self, row: usize, head: usize) -> &[f32] {
        &self.queries[row * self.stride + head * self.shape.head_dim..][..self.shape.head_dim]
    }

    /// This head's (key, value) rows, in order.
    fn key_values(&self) -> impl Iterator<Item = (&[f32], &[f32])> {
        let head_dim = self.shape.head_dim;
        self.sequence.runs.iter().flat_map(move |run| {
            let start = self.kv_head * run.head_stride;
            let keys = run.keys[start..start + run.len * head_dim].chunks_exact(head_dim);
            keys.zip(run.values[start..].chunks_exact(head_dim))
        })
    }

    fn attend(&self, rows: Range<usize>, sheet: &Sheet) {
        let head_dim = self.shape.head_dim;
        let visible = self.sequence.visible(rows.end - 1);
        let keys = self.pack_keys(visible);
        let values = self.pack_values(visible);
        let blocks = Blocks::new(rows.len(), self.level.block_rows());
        let mut scratch = Scratch::new(visible, head_dim);
        for head in self.query_heads() {
            for block in blocks.iter() {
                let block: Vec<usize> = block.map(|row| rows.start + row).collect();
                let limit = self.weights(head, &block, &keys, &mut scratch);
                let weights = &scratch.interleaved[..limit * block.len()];
                for (panel, values) in values.chunks_exact(visible).enumerate() {
                    let col = panel * PANEL;
                    let width = PANEL.min(head_dim - col);
                    let mut sums = [[0.0; PANEL]; MAX_BLOCK_ROWS];
                    accumulate(
                        self.level,
                        block.len(),
                        weights,
                        &values[..limit],
                        &mut sums,
                    );
                    for ((sums, &row), &total) in sums.iter_mut().zip(&block).zip(&scratch.totals) {
                        let scale = 1.0 / total;
                        sums.iter_mut().for_each(|sum| *sum *= scale);
                        // SAFETY: tasks own disjoint rows of disjoint heads.
                        unsafe { sheet.write(row, head * head_dim + col, &sums[..width]) };
                    }
                }
            }
        }
    }

    fn attention_rows(&self, rows: &[usize], columns: Range<usize>, out: &mut [f32]) {
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

    /// Puts e^(score − maximum) of a block of rows into `scratch`, by row in
    /// `scores` and by key in `interleaved`, with the rows' sums in `totals`;
    /// zero where a row sees nothing. Returns the number of keys covered.
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
        for (lane, &row) in rows.iter().enumerate() {
            let values = self.query(row, head);
            for (slot, &value) in query.chunks_exact_mut(count).zip(values) {
                slot[lane] = value * self.shape.scale;
            }
        }
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
            let mut sums = [[0.0; PANEL]; MAX_BLOCK_ROWS];
            accumulate(
                self.level,
                count,
                &query[..head_dim * count],
                keys,
                &mut sums,
            );
            for (scores, sums) in scores.chunks_exact_mut(*stride).zip(&sums).take(count) {
                scores[panel * PANEL..][..PANEL].copy_from_slice(sums);
            }
        }
        for (lane, (scores, &row)) in scores.chunks_exact_mut(*stride).zip(rows).enumerate() {
            let (seen, unseen) = scores[..limit].split_at_mut(self.sequence.visible(row));
            unseen.fill(0.0);
            totals[lane] = exponentials(self.level, seen);
            for (slot, &score) in interleaved.chunks_exact_mut(count).zip(&scores[..limit]) {
                slot[lane] = score;
            }
        }
        limit
    }

    /// The first `count` keys as panels `[head_dim][PANEL keys]`.
    fn pack_keys(&self, count: usize) -> Vec<[f32; PANEL]> {
        let head_dim = self.shape.head_dim;
        let mut packed = vec![[0.0; PANEL]; count.div_ceil(PANEL) * head_dim];
        for (index, (key, _)) in self.key_values().take(count).enumerate() {
            let panel = &mut packed[index / PANEL * head_dim..][..head_dim];
            for (slot, &value) in panel.iter_mut().zip(key) {
                slot[index % PANEL] = value;
            }
        }
        packed
    }

    /// The first `count` values as panels `[count][PANEL of head_dim]`.
    fn pack_values(&self, count: usize) -> Vec<[f32; PANEL]> {
        let mut packed = vec![[0.0; PANEL]; self.shape.head_dim.div_ceil(PANEL) * count];
        for (index, (_, value)) in self.key_values().take(count).enumerate() {
            for (panel, part) in value.chunks(PANEL).enumerate() {
                packed[panel * count + index][..part.len()].copy_from_slice(part);
            }
        }
        packed
    }

    /// As [`Head::attend`], without repacking: a new token's row meets each key once.
    fn attend_few(&self, rows: Range<usize>, sheet: &Sheet) {
        let mut scores = vec![0.0; self.sequence.num_keys()];
        let mut mixed = vec![0.0; self.shape.head_dim];
        for row in rows {
            let scores = &mut scores[..self.sequence.visible(row)];
            for head in self.query_heads() {
                let query = self.query(row, head);
                for (score, (key, _)) in scores.iter_mut().zip(self.key_values()) {
                    *score = product(self.level, query, key) * self.shape.scale;
                }
                let total = exponentials(self.level, scores);
                mixed.fill(0.0);
                for (&weight, (_, value)) in scores.iter().zip(self.key_values()) {
                    add_scaled(self.level, weight, value, &mut mixed);
                }
                let scale = 1.0 / total;
                mixed.iter_mut().for_each(|out| *out *= scale);
                // SAFETY: tasks own disjoint rows of disjoint heads.
                unsafe { sheet.write(row, head * self.shape.head_dim, &mixed) };
            }
        }
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
    fn exponentials(scores: &mut [f32]) -> f32 = exponentials_body
}

#[inline(always)]
fn exponentials_body<const FUSED: bool>(scores: &mut [f32]) -> f32 {
    let max = math::max(scores);
    for score in scores.iter_mut() {
        *score = math::exp::<FUSED>(*score - max);
    }
    math::sum(scores)
}

for_level! {
    fn product(x: &[f32], y: &[f32]) -> f32 = product_body
}

#[inline(always)]
fn product_body<const FUSED: bool>(x: &[f32], y: &[f32]) -> f32 {
    math::dot::<FUSED>(x, y)
}

for_level! {
    fn add_scaled(factor: f32, x: &[f32], out: &mut [f32]) = add_scaled_body
}

#[inline(always)]
fn add_scaled_body<const FUSED: bool>(factor: f32, x: &[f32], out: &mut [f32]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = multiply_add::<FUSED>(factor, x, *out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 22) as f32 - 2.0
            })
            .collect()
    }

    /// Weights and output of one row and head, in f64.
    fn naive(
        shape: &AttentionShape,
        query: &[f32],
        run: &KeyValues<'_>,
        head: usize,
        seen: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let d = shape.head_dim;
        let start = head / (shape.num_heads / shape.num_kv_heads) * run.head_stride;
        let row = |x: &[f32], key: usize| {
            x[start + key * d..][..d]
                .iter()
                .map(|&x| f64::from(x))
                .collect::<Vec<_>>()
        };
        let scores: Vec<f64> = (0..seen)
            .map(|key| {
                let product: f64 = row(run.keys, key)
                    .iter()
                    .zip(query)
                    .map(|(k, &q)| k * f64::from(q))
                    .sum();
                product * f64::from(shape.scale)
            })
            .collect();
        let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut weights: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
        let mut out = vec![0.0; d];
        for (key, weight) in weights.iter().enumerate() {
            for (out, value) in out.iter_mut().zip(row(run.values, key)) {
                *out += weight * value;
            }
        }
        (weights, out)
    }

    #[test]
    fn equals_the_naive_form() {
        for (num_heads, num_kv_heads, head_dim, past, count, causal) in [
            (2, 2, 4, 0, 30, true),
            (4, 2, 12, 50, 17, true),
            (3, 1, 40, 0, 70, false),
            (2, 1, 64, 33, 1, true),
            (2, 2, 8, 5, 3, true),
            (1, 1, 6, 0, 500, true),
        ] {
            let shape = AttentionShape {
                num_heads,
                num_kv_heads,
                head_dim,
                scale: 0.4,
            };
            let (stride, len) = (num_heads * head_dim + 5, past + count);
            let head_stride = (len + 2) * head_dim;
            let queries = values(count * stride, 1);
            let (keys, vals) = (
                values(num_kv_heads * head_stride, 2),
                values(num_kv_heads * head_stride, 3),
            );
            let run = KeyValues {
                keys: &keys,
                values: &vals,
                len,
                head_stride,
            };
            let sequence = SequenceQueries {
                rows: 0..count,
                runs: vec![run],
                past: causal.then_some(past),
            };
            let out = attention(&shape, &queries, stride, std::slice::from_ref(&sequence));
            let rows: Vec<usize> = (0..count).step_by(3).collect();
            let columns = 1.min(len - 1)..len;
            let weights =
                attention_rows(&shape, &queries, stride, &sequence, &rows, columns.clone());
            for head in 0..num_heads {
                for row in 0..count {
                    let query = &queries[row * stride + head * head_dim..][..head_dim];
                    let seen = if causal { past + row + 1 } else { len };
                    let (expected_weights, expected) = naive(&shape, query, &run, head, seen);
                    let got = &out[(row * num_heads + head) * head_dim..][..head_dim];
                    for (got, expected) in got.iter().zip(&expected) {
                        assert!(
                            (f64::from(*got) - expected).abs() < 1e-5,
                            "{got} {expected}"
                        );
                    }
                    if let Some(index) = rows.iter().position(|&chosen| chosen == row) {
                        let got = &weights[(head * rows.len() + index) * columns.len()..]
                            [..columns.len()];
                        for (column, got) in columns.clone().zip(got) {
                            let expected = expected_weights.get(column).copied().unwrap_or(0.0);
                            assert!(
                                (f64::from(*got) - expected).abs() < 1e-5,
                                "{got} {expected}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn cutting_keys_into_runs_and_rows_into_calls_changes_nothing() {
        let shape = AttentionShape {
            num_heads: 2,
            num_kv_heads: 1,
            head_dim: 20,
            scale: 0.3,
        };
        let (stride, len) = (40, 60);
        let (queries, keys, vals) = (
            values(len * stride, 1),
            values(len * 20, 2),
            values(len * 20, 3),
        );
        let run = |range: Range<usize>| KeyValues {
            keys: &keys[range.start * 20..],
            values: &vals[range.start * 20..],
            len: range.len(),
            head_stride: 0,
        };
        let sequence = |rows, runs, past| SequenceQueries {
            rows,
            runs,
            past: Some(past),
        };
        let whole = attention(
            &shape,
            &queries,
            stride,
            &[sequence(0..len, vec![run(0..len)], 0)],
        );
        let late = attention(
            &shape,
            &queries[35 * stride..],
            stride,
            &[sequence(
                0..25,
                vec![run(0..13), run(13..35), run(35..60)],
                35,
            )],
        );
        assert_eq!(late, whole[35 * 40..]);
    }

    #[test]
    fn sequences_of_one_call_do_not_meet() {
        let shape = AttentionShape {
            num_heads: 1,
            num_kv_heads: 1,
            head_dim: 4,
            scale: 1.0,
        };
        let (queries, keys, vals) = (values(12 * 4, 1), values(12 * 4, 2), values(12 * 4, 3));
        let sequence = |rows: Range<usize>, range: Range<usize>| SequenceQueries {
            rows,
            runs: vec![KeyValues {
                keys: &keys[range.start * 4..],
                values: &vals[range.start * 4..],
                len: range.len(),
                head_stride: 0,
            }],
            past: Some(0),
        };
        let both = attention(
            &shape,
            &queries,
            4,
            &[sequence(0..7, 0..7), sequence(7..12, 7..12)],
        );
        let second = attention(&shape, &queries[7 * 4..], 4, &[sequence(0..5, 7..12)]);
        assert_eq!(second, both[7 * 4..]);
    }
}
