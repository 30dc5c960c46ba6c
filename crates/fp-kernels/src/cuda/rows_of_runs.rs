//! Attention of chosen query rows to the image, over keys in runs.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::attention::{ATTENTION_ROWS, Heads, QueryStrides, Rows, enqueue};
use super::attention_table::AttentionTable;
use super::element::DeviceElement;
use super::error::CudaError;
use super::error_word::ErrorWord;

/// Arguments of [`attention_rows_of_runs`].
#[derive(Debug)]
pub struct RowsOfRuns<'a, T> {
    /// Sizes. Each sequence of the layer is a sample and has S keys.
    pub heads: Heads,
    /// `[B, H, Q, D]`, rotated.
    pub queries: CudaView<'a, T>,
    /// Where queries lie.
    pub query_strides: QueryStrides,
    /// Where the keys lie; of its sequences only keys and runs count.
    pub table: &'a AttentionTable<T>,
    /// Layer of the table.
    pub layer: usize,
    /// `[Q]`: row q sees keys up to this position.
    pub row_positions: CudaView<'a, u32>,
    /// `[B, Q]`, or `[Q]` for all samples: rows are summed by these weights.
    pub weights: Option<CudaView<'a, f64>>,
    /// Out: `[B, H, N]` with weights, `[B, H, Q, N]` without.
    pub attention: CudaViewMut<'a, f32>,
    /// Of [`attention_rows_workspace`](super::attention_rows_workspace) bytes.
    pub workspace: CudaViewMut<'a, u8>,
    /// Where bad values are told.
    pub error: &'a mut ErrorWord,
}

/// As [`attention_rows`](super::attention_rows), over keys that lie in runs.
///
/// # Errors
/// As there, and a table whose sequences have other sizes than `heads` says.
pub fn attention_rows_of_runs<T: DeviceElement>(
    stream: &CudaStream,
    mut call: RowsOfRuns<'_, T>,
) -> Result<(), CudaError> {
    let heads = call.heads;
    let (table, layer) = (call.table, call.layer);
    let rows = Rows {
        heads,
        queries: &call.queries,
        query_strides: call.query_strides,
        row_positions: &call.row_positions,
        weights: call.weights.as_ref(),
        attention: &mut call.attention,
        workspace: &mut call.workspace,
        error: call.error,
    };
    enqueue(stream, rows, |launch, args| {
        let arrays = table.keys_of(ATTENTION_ROWS, launch, layer, &heads)?;
        args.sequences = arrays.sequences;
        args.runs = arrays.runs;
        args.num_runs = arrays.num_runs;
        Ok(())
    })
}
