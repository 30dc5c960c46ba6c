//! Attention of a layer's queries over the keys and values of their own sequences.

use std::ffi::{c_int, c_void};

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::attention_table::{AttentionTable, LayerPart};
use super::check::{check_multiple, dim, reach};
use super::element::DeviceElement;
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::launch::Launch;
use super::sys;
use crate::KernelError;
use crate::dense::AttentionShape;

/// Arguments of [`attention_prefill`] and [`attention_decode`].
#[derive(Debug)]
pub struct LayerAttention<'a, T> {
    /// Location of every layer's keys and values.
    pub table: &'a AttentionTable<T>,
    /// Layer of the table.
    pub layer: usize,
    /// `[T, query_stride]`, rotated: head h of a row starts at column h · D. The columns after
    /// the queries, keys and values of the projection, are not read.
    pub queries: CudaView<'a, T>,
    /// Values from one row of queries to the next, at least H · D.
    pub query_stride: usize,
    /// Out, `[T, H · D]`. Rows that belong to no sequence are left unchanged.
    pub output: CudaViewMut<'a, T>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

/// Attention of any number of rows per sequence, in one launch and without scratch memory.
///
/// A row's result depends only on its own query and keys, bit for bit: not on other sequences or
/// rows, or on how keys are cut into runs.
///
/// # Errors
/// Buffers that are too small for the sizes, overlap, are misaligned or on another device; a
/// failed launch. Logits whose softmax is not a number are reported by the error word.
pub fn attention_prefill<T: DeviceElement>(
    stream: &CudaStream,
    call: LayerAttention<'_, T>,
) -> Result<(), CudaError> {
    enqueue(stream, "attention_prefill", call, None, |args, stream| {
        // SAFETY: `enqueue` has checked everything that the arguments point to, and holds it over
        // the launch.
        unsafe { sys::fp_attention_prefill(args, stream) }
    })
}

/// Attention of at most one row per sequence, in at most two launches. How the keys of a sequence
/// are split depends only on their number, so that results don't depend on the other sequences.
/// Bits may differ from those of [`attention_prefill`].
///
/// `workspace`: [`attention_decode_workspace`] bytes; any number of calls on one stream can share
/// it.
///
/// # Errors
/// As [`attention_prefill`], and a sequence with more than one row.
pub fn attention_decode<T: DeviceElement>(
    stream: &CudaStream,
    call: LayerAttention<'_, T>,
    mut workspace: CudaViewMut<'_, u8>,
) -> Result<(), CudaError> {
    let op = "attention_decode";
    let part = call.table.layer(op, call.layer)?;
    if part.max_rows > 1 {
        return Err(CudaError::TooLarge {
            op,
            what: "the number of rows of a sequence",
            got: part.max_rows,
            max: 1,
        });
    }
    enqueue(stream, op, call, Some(&mut workspace), |args, stream| {
        // SAFETY: as in `attention_prefill`.
        unsafe { sys::fp_attention_decode(args, stream) }
    })
}

/// Bytes of scratch memory that [`attention_decode`] needs for any layer of the table: at most 64
/// MiB, and 1 if it needs none, so that a buffer of this size can be allocated.
///
/// # Errors
/// Unsupported sizes.
pub fn attention_decode_workspace<T: DeviceElement>(
    table: &AttentionTable<T>,
) -> Result<usize, CudaError> {
    let mut most = 1;
    for part in table.layers().iter().filter(|part| !part.is_empty()) {
        let sizes = raw_sizes::<T>(&table.shape, part)?;
        // SAFETY: reads the sizes alone.
        most = most.max(unsafe { sys::fp_attention_decode_workspace(&sizes) });
    }
    Ok(most)
}

fn raw_sizes<T: DeviceElement>(
    shape: &AttentionShape,
    part: &LayerPart,
) -> Result<sys::fp_attention_args, CudaError> {
    const OP: &str = "attention";
    Ok(sys::fp_attention_args {
        num_sequences: dim(OP, "the number of sequences", part.num_sequences)?,
        num_runs: dim(OP, "the number of runs", part.num_runs)?,
        num_rows: dim(OP, "the number of rows", part.num_rows)?,
        max_rows: dim(OP, "the number of rows", part.max_rows)?,
        max_keys: dim(OP, "the number of keys", part.max_keys)?,
        num_heads: dim(OP, "H", shape.num_heads)?,
        num_kv_heads: dim(OP, "key heads", shape.num_kv_heads)?,
        head_dim: dim(OP, "D", shape.head_dim)?,
        scale: shape.scale,
        dtype: T::DTYPE,
        is_causal: part.is_causal.into(),
        ..Default::default()
    })
}

fn enqueue<T: DeviceElement>(
    stream: &CudaStream,
    op: &'static str,
    mut call: LayerAttention<'_, T>,
    workspace: Option<&mut CudaViewMut<'_, u8>>,
    launcher: impl FnOnce(&sys::fp_attention_args, *mut c_void) -> c_int,
) -> Result<(), CudaError> {
    let table = call.table;
    let part = table.layer(op, call.layer)?;
    if part.is_empty() {
        return Ok(());
    }
    let shape = &table.shape;
    let width = shape.num_heads * shape.head_dim;
    let mut args = raw_sizes::<T>(shape, part)?;
    let expected = reach(&[part.num_rows, width], &[call.query_stride, 1]);
    if call.query_stride < width || call.queries.len() < expected {
        return Err(KernelError::ShapeMismatch {
            op,
            tensor: "queries",
            shape: vec![part.num_rows, call.query_stride.max(width)],
            expected: expected.max(width),
            got: call.queries.len().min(call.query_stride),
        }
        .into());
    }
    let mut launch = Launch::new(op, stream);
    args.queries = launch.read("queries", &call.queries)?.cast();
    args.output = launch
        .output("output", &mut call.output, &[part.num_rows, width])?
        .cast();
    let per_word = sys::FP_ALIGNMENT as usize / size_of::<T>();
    if shape.head_dim.is_multiple_of(per_word) {
        check_multiple(op, "the stride of queries", call.query_stride, per_word)?;
        launch.check_aligned()?;
    }
    let arrays = table.arrays(&mut launch, part)?;
    args.sequences = arrays.sequences;
    args.runs = arrays.runs;
    if let Some(workspace) = workspace {
        // SAFETY: reads the sizes alone.
        let bytes = unsafe { sys::fp_attention_decode_workspace(&args) };
        args.workspace = launch.scratch(workspace, bytes)?;
        args.workspace_bytes = bytes;
    }
    args.error = launch.error(call.error)?;
    args.query_row_stride = call.query_stride;
    args.output_row_stride = width;
    launch.run(|stream| launcher(&args, stream))
}
