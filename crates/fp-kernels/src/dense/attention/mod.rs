//! Attention of query rows to the keys of their own sequence.
//!
//! A head's keys and values are repacked for the matrix kernel once per task;
//! then blocks of rows go through scores, softmax over the whole visible row,
//! and the weighted sum of values. The scores of one block are all that exists
//! at a time; there is never a matrix of all rows by all keys.
//!
//! A score is one chain of multiply-adds over the head's width, a mixed value one
//! over the visible keys, whichever way the rows and keys are cut up: the same
//! row gives the same bits in a prefill and as a new token.

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

/// Query rows of one task: many enough to repay the repacking of the keys.
const TASK_ROWS: usize = 240;

/// Up to this many query rows it doesn't pay to repack values.
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
    pub keys: Cached<'a>,
    /// Values.
    pub values: Cached<'a>,
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
