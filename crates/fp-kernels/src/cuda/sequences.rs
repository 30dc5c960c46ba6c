//! A layer's sequences, and the runs of keys and values that each of them attends to.

use std::any::Any;
use std::ops::Range;
use std::sync::Arc;

use cudarc::driver::CudaView;

use super::attention_plan::{OP, contradiction};
use super::check::check_max;
use super::error::CudaError;

/// Keys and values of consecutive tokens of one layer.
///
/// Head g of token j begins at value g · `head_stride` + j · `token_stride`: in a run of a
/// cache `[H_kv, capacity, D]` the strides are capacity · D and D, in a projection
/// `[T, width]` they are D and width.
#[derive(Debug)]
pub struct KeyValueRun<'a, T> {
    /// Keys, starting at the first key of the first head.
    pub keys: CudaView<'a, T>,
    /// Values, in the same layout.
    pub values: CudaView<'a, T>,
    /// Number of tokens, including those that this step appends before attention.
    pub len: usize,
    /// Distance between heads, in values.
    pub head_stride: usize,
    /// Distance between tokens, in values.
    pub token_stride: usize,
    /// Owner of the memory of both views; the table holds it for its own lifetime.
    pub owner: Arc<dyn Any + Send + Sync>,
}

/// One sequence in one layer.
#[derive(Debug)]
pub struct SequenceKeys<'a, T> {
    /// Its rows among the packed queries and outputs; may be empty.
    pub rows: Range<usize>,
    /// Under a causal mask row i of the sequence attends to keys 0..=first_key + i.
    pub first_key: usize,
    /// Its keys, in order. Other sequences may share the runs.
    pub runs: Vec<KeyValueRun<'a, T>>,
}

/// Checks that all rows exist and that no two sequences write the same one.
pub(super) fn check_rows<T>(
    num_rows: usize,
    num_heads: usize,
    sequences: &[SequenceKeys<'_, T>],
) -> Result<(), CudaError> {
    check_max(
        OP,
        "rows times heads",
        num_rows.saturating_mul(num_heads),
        u32::MAX as usize,
    )?;
    let mut order: Vec<usize> = (0..sequences.len())
        .filter(|&index| !sequences[index].rows.is_empty())
        .collect();
    order.sort_by_key(|&index| sequences[index].rows.start);
    let mut end = 0;
    for index in order {
        let rows = &sequences[index].rows;
        if rows.start < end || rows.end > num_rows {
            return Err(contradiction(
                index,
                format!(
                    "its rows {}..{} must begin at {end} or later and end by {num_rows}",
                    rows.start, rows.end
                ),
            ));
        }
        end = rows.end;
    }
    Ok(())
}
