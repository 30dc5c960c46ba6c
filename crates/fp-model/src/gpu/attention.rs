//! Attention of selected query rows, and of all rows of sequences whose keys are in a projection.

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::cuda::{
    AttentionPlan, Heads, KeyValueRun, LayerAttention, QueryStrides, RowsOfRuns, ScoreShape,
    SequenceKeys, attention_prefill, attention_rows_of_runs, attention_rows_workspace,
};
use fp_kernels::dense::AttentionShape;

use super::values::{Element, by_format, tensor, view};
use super::word::with_word;
use super::{cuda_device, driver, gpu, uninitialised};
use crate::error::Result;

/// Query rows of one sequence, and the columns of attention to return.
#[derive(Debug)]
pub(crate) struct QueryRows<'a> {
    /// `[Q, stride]`, heads side by side from column 0 on.
    pub(crate) queries: &'a Tensor,
    pub(crate) shape: AttentionShape,
    /// Number of keys that each row attends to.
    pub(crate) visible: &'a [usize],
    /// Tokens whose attention is returned; the softmax is over all keys that a row attends to.
    pub(crate) columns: Range<usize>,
}

impl QueryRows<'_> {
    /// Post-softmax attention `[H, Q, columns]` in `f32`, over keys in runs.
    pub(crate) fn attention<T: Element>(&self, runs: Vec<KeyValueRun<'_, T>>) -> Result<Tensor> {
        let device = cuda_device(self.queries)?;
        let stream = device.cuda_stream();
        let num_rows = self.visible.len();
        let num_keys: usize = runs.iter().map(|run| run.len).sum();
        let heads = Heads {
            shape: ScoreShape {
                batch_size: 1,
                num_heads: self.shape.num_heads,
                num_image_tokens: self.columns.len(),
            },
            num_kv_heads: self.shape.num_kv_heads,
            num_rows,
            sequence_len: num_keys,
            head_dim: self.shape.head_dim,
            image_start: self.columns.start,
            scale: self.shape.scale,
        };
        let mut plan = gpu(AttentionPlan::<T>::new(&stream, self.shape))?;
        // Only the keys of the table's sequence are used.
        let sequence = SequenceKeys {
            rows: 0..0,
            first_key: 0,
            runs,
        };
        gpu(plan.add_layer(&stream, 0, false, &[sequence]))?;
        let table = gpu(plan.upload(&stream))?;
        let positions: Vec<u32> = self.visible.iter().map(|&seen| seen as u32 - 1).collect();
        let positions = driver("row positions", stream.clone_htod(&positions))?;
        let len = self.shape.num_heads * num_rows * self.columns.len();
        let mut attention = uninitialised::<f32>(&stream, len)?;
        let bytes = gpu(attention_rows_workspace(&heads))?;
        let mut workspace = uninitialised::<u8>(&stream, bytes)?;
        let (queries, _) = self.queries.storage_and_layout();
        with_word(&stream, |error| {
            let call = RowsOfRuns {
                heads,
                queries: view::<T>(&queries, self.queries)?,
                query_strides: QueryStrides {
                    batch: 0,
                    head: self.shape.head_dim,
                    row: self.queries.dim(1)?,
                },
                table: &table,
                layer: 0,
                row_positions: positions.as_view(),
                weights: None,
                attention: attention.as_view_mut(),
                workspace: workspace.as_view_mut(),
                error,
            };
            gpu(attention_rows_of_runs(&stream, call))
        })?;
        let dims = (self.shape.num_heads, num_rows, self.columns.len());
        Ok(tensor(attention, dims, device))
    }
}

/// Queries, keys and values of several sequences of the same length, side by side:
/// `[count · len, 3 · V]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Projected<'a> {
    pub(crate) rows: &'a Tensor,
    pub(crate) len: usize,
    pub(crate) shape: AttentionShape,
}

impl Projected<'_> {
    fn width(&self) -> usize {
        self.shape.num_heads * self.shape.head_dim
    }

    /// Attention output `[count · len, V]` of all tokens, each over the tokens of its own sequence,
    /// up to itself if causal.
    pub(crate) fn attend(&self, is_causal: bool) -> Result<Tensor> {
        by_format!(self.rows.dtype(), "projections", attend(self, is_causal))
    }

    /// Post-softmax attention `[H, rows, columns]` in `f32` of a sequence's tokens `rows`; row i
    /// attends to the first `visible[i]` tokens.
    pub(crate) fn rows(
        &self,
        sequence: usize,
        rows: Range<usize>,
        visible: &[usize],
        columns: Range<usize>,
    ) -> Result<Tensor> {
        let first = sequence * self.len;
        let queries = self.rows.narrow(0, first + rows.start, rows.len())?;
        let asked = QueryRows {
            queries: &queries,
            shape: self.shape,
            visible,
            columns,
        };
        by_format!(
            self.rows.dtype(),
            "projections",
            rows_of(self, sequence, &asked)
        )
    }

    /// A sequence's keys and values inside the projections.
    fn run<'v, T: Element>(
        &self,
        values: &cudarc::driver::CudaView<'v, T>,
        sequence: usize,
    ) -> KeyValueRun<'v, T> {
        let (width, stride) = (self.width(), 3 * self.width());
        let end = (sequence + 1) * self.len * stride;
        let part = |first: usize| {
            let start = sequence * self.len * stride + first;
            values.slice(start..end)
        };
        KeyValueRun {
            keys: part(width),
            values: part(2 * width),
            len: self.len,
            head_stride: self.shape.head_dim,
            token_stride: stride,
            owner: Arc::new(self.rows.clone()),
        }
    }
}

fn attend<T: Element>(projected: &Projected<'_>, is_causal: bool) -> Result<Tensor> {
    let device = cuda_device(projected.rows)?;
    let stream: Arc<CudaStream> = device.cuda_stream();
    let (num_rows, stride) = projected.rows.dims2()?;
    let (storage, _) = projected.rows.storage_and_layout();
    let values = view::<T>(&storage, projected.rows)?;
    let sequences: Vec<SequenceKeys<'_, T>> = (0..num_rows / projected.len)
        .map(|sequence| SequenceKeys {
            rows: sequence * projected.len..(sequence + 1) * projected.len,
            first_key: 0,
            runs: vec![projected.run(&values, sequence)],
        })
        .collect();
    let mut plan = gpu(AttentionPlan::<T>::new(&stream, projected.shape))?;
    gpu(plan.add_layer(&stream, num_rows, is_causal, &sequences))?;
    let table = gpu(plan.upload(&stream))?;
    let mut output: CudaSlice<T> = uninitialised(&stream, num_rows * projected.width())?;
    with_word(&stream, |error| {
        let call = LayerAttention {
            table: &table,
            layer: 0,
            queries: values.slice(..),
            query_stride: stride,
            output: output.as_view_mut(),
            error,
        };
        gpu(attention_prefill(&stream, call))
    })?;
    Ok(tensor(output, (num_rows, projected.width()), device))
}

fn rows_of<T: Element>(
    projected: &Projected<'_>,
    sequence: usize,
    asked: &QueryRows<'_>,
) -> Result<Tensor> {
    let (storage, _) = projected.rows.storage_and_layout();
    let values = view::<T>(&storage, projected.rows)?;
    asked.attention::<T>(vec![projected.run(&values, sequence)])
}
