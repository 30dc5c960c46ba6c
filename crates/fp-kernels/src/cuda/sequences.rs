//! A layer's sequences, and the runs of keys and values that each of them sees.

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
    /// Keys, from the first head's first one on.
    pub keys: CudaView<'a, T>,
    /// Values.
    pub values: CudaView<'a, T>,
    /// Number of tokens; those that this step appends before it attends are among them.
    pub len: usize,
    /// Values from one head to the next.
    pub head_stride: usize,
    /// Values from one token to the next.
    pub token_stride: usize,
    /// What owns the memory of both views: the table keeps it for as long as it lives.
    pub owner: Arc<dyn Any + Send + Sync>,
}

/// One sequence in one layer.
#[derive(Debug)]
pub struct SequenceKeys<'a, T> {
    /// Its rows among the packed queries and outputs; none are possible.
    pub rows: Range<usize>,
    /// Under a causal mask row i of the sequence sees keys 0..=first_key + i.
    pub first_key: usize,
    /// Its keys, in order. Runs may be shared with other sequences.
    pub runs: Vec<KeyValueRun<'a, T>>,
}

/// Rows are among those that there are, and no two sequences write the same one.
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
