//! Attention of selected query rows to the image, over keys in runs.

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
    /// Strides of the queries.
    pub query_strides: QueryStrides,
    /// Location of the keys; only the keys and runs of its sequences are used.
    pub table: &'a AttentionTable<T>,
    /// Layer of the table.
    pub layer: usize,
    /// `[Q]`: row q attends to keys up to and including this position.
    pub row_positions: CudaView<'a, u32>,
    /// `[B, Q]`, or `[Q]` for all samples: rows are summed with these weights.
    pub weights: Option<CudaView<'a, f64>>,
    /// Out: `[B, H, N]` with weights, `[B, H, Q, N]` without.
    pub attention: CudaViewMut<'a, f32>,
    /// Scratch memory of [`attention_rows_workspace`](super::attention_rows_workspace) bytes.
    pub workspace: CudaViewMut<'a, u8>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

/// As [`attention_rows`](super::attention_rows), over keys that are stored in runs.
///
/// # Errors
/// Those of [`attention_rows`](super::attention_rows), and a table whose sequences differ in size
/// from `heads`.
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
