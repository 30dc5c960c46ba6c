//! Attention of query rows to the keys of their own sequence.
//!
//! A head's keys and values are repacked for the matrix kernel once per task. Then blocks of rows
//! go through scores, a softmax over the whole visible row, and the weighted sum of values. Only
//! the scores of one block exist at a time; there is never a matrix of all rows by all keys.
//!
//! A score is one chain of multiply-adds over the head's width, an output value one chain over
//! the visible keys, however rows and keys are split: the same row gives the same bits in a
//! prefill and as a new token.
//!
//! **Why not an online softmax.** FlashAttention (Dao et al., 2022) rescales partial sums
//! whenever a later tile has a larger score, so that the bits depend on the tiles. Rows of
//! scores fit a core's cache here, hence the softmax sees a whole row first.
//!
//! **Cost.** Per head `2 · rows · keys · head_dim` multiply-adds over the keys that a block's
//! rows attend to, about half of all keys under a causal mask in a prefill; memory for the scores
//! of one block of rows per thread. Up to four rows (decoding) skip the repacking of values,
//! which would cost more than it saves.
//!
//! **Reference.** `tests.rs` computes the formula in `f64`, row by row.

mod cached;
mod few;
mod head;
#[cfg(test)]
mod tests;

use std::ops::Range;

use rayon::prelude::*;

use super::level::Level;
use super::raw::zeroed;
pub use cached::Cached;
use head::Head;

/// Query rows of one task: enough to amortise the repacking of the keys.
const TASK_ROWS: usize = 240;

/// For up to this many query rows, repacking values does not pay off.
const FEW_ROWS: usize = 4;

/// Sizes that all sequences of a call share.
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

/// A run of consecutive keys and values: `[num_kv_heads][len][head_dim]`, with `head_stride`
/// values from the start of one head to the start of the next.
#[derive(Debug, Clone, Copy)]
pub struct KeyValues<'a> {
    /// Keys.
    pub keys: Cached<'a>,
    /// Values.
    pub values: Cached<'a>,
    /// Number of positions.
    pub len: usize,
    /// Distance between heads, in values.
    pub head_stride: usize,
}

/// One sequence's query rows and the keys that they attend to.
#[derive(Debug, Clone)]
pub struct SequenceQueries<'a> {
    /// Its rows in the query buffer.
    pub rows: Range<usize>,
    /// Its keys and values, in order; runs may be shared with other sequences.
    pub runs: Vec<KeyValues<'a>>,
    /// Under a causal mask the number of keys before the first row's own key, so that row `i`
    /// attends to `past + i + 1` keys. `None`: all rows attend to all keys.
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

/// Attention output `[T, num_heads · head_dim]` for the query rows `queries [T, stride]`, whose
/// heads are side by side from each row's start. Rows that belong to no sequence stay zero.
///
/// # Panics
/// If the shapes contradict each other or sequences share rows.
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
    zeroed(num_rows, width, |output| {
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
                head.attend_few(rows, output);
            } else {
                head.attend(rows, output);
            }
        });
    })
}

/// Post-softmax attention `[num_heads, Q, columns]` of the rows `rows` (indices in the query
/// buffer) of one sequence to its keys `columns`, with the softmax over all visible keys.
///
/// # Panics
/// If the shapes contradict each other, or a row or column does not belong to the sequence.
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
