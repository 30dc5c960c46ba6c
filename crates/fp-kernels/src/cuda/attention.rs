//! Attention of selected query rows to the image, over keys in one tensor.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut, DeviceSlice};

use super::attention_plan::MAX_NARROW_DIM;
use super::check::{check_max, check_multiple, dim, reach};
use super::element::DeviceElement;
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::launch::Launch;
use super::score::ScoreShape;
use super::sys;
use crate::KernelError;
use crate::error::check_shape;

/// Sizes of the queries, the keys and the image span.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// B, H and N of the resulting attention.
    pub shape: ScoreShape,
    /// H_kv, a divisor of H.
    pub num_kv_heads: usize,
    /// Q.
    pub num_rows: usize,
    /// S.
    pub sequence_len: usize,
    /// D; above 64 a row must consist of whole 16-byte words.
    pub head_dim: usize,
    /// Position of the first image token.
    pub image_start: usize,
    /// Factor on logits, usually 1/√D.
    pub scale: f32,
}

/// Strides of queries `[B, H, Q, D]`, counted in values; D is contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryStrides {
    /// From sample to sample.
    pub batch: usize,
    /// From head to head.
    pub head: usize,
    /// From row to row.
    pub row: usize,
}

/// Strides of keys `[B, H_kv, S, D]`, counted in values; D is contiguous.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyStrides {
    /// From sample to sample.
    pub batch: usize,
    /// From head to head.
    pub head: usize,
    /// From token to token.
    pub token: usize,
}

/// Arguments of [`attention_rows`].
#[derive(Debug)]
pub struct AttentionRows<'a, T> {
    /// Sizes.
    pub heads: Heads,
    /// `[B, H, Q, D]`, rotated.
    pub queries: CudaView<'a, T>,
    /// Strides of the queries.
    pub query_strides: QueryStrides,
    /// `[B, H_kv, S, D]`, rotated.
    pub keys: CudaView<'a, T>,
    /// Strides of the keys.
    pub key_strides: KeyStrides,
    /// `[Q]`: row q attends to keys up to and including this position.
    pub row_positions: CudaView<'a, u32>,
    /// `[B, Q]`, or `[Q]` for all samples: rows are summed with these weights.
    pub weights: Option<CudaView<'a, f64>>,
    /// Out: `[B, H, N]` with weights, `[B, H, Q, N]` without.
    pub attention: CudaViewMut<'a, f32>,
    /// Scratch memory of [`attention_rows_workspace`] bytes.
    pub workspace: CudaViewMut<'a, u8>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

pub(super) const ATTENTION_ROWS: &str = "attention_rows";

/// Number of values in 16 bytes.
const fn per_word<T>() -> usize {
    sys::FP_ALIGNMENT as usize / size_of::<T>()
}

impl Heads {
    /// Whether rows of D values are whole 16-byte words, which must then be aligned.
    pub(super) fn is_wide<T>(&self) -> bool {
        self.head_dim.is_multiple_of(per_word::<T>())
    }
}

/// The checked sizes in the launcher's form.
fn raw_sizes(heads: &Heads) -> Result<sys::fp_attention_rows_args, CudaError> {
    const OP: &str = ATTENTION_ROWS;
    let [batch_size, num_heads, num_image_tokens] = heads.shape.check(OP)?;
    let rest = [
        heads.num_kv_heads,
        heads.num_rows,
        heads.sequence_len,
        heads.head_dim,
    ];
    if rest.contains(&0) {
        return Err(KernelError::EmptyShape {
            op: OP,
            tensor: "[key heads, rows, sequence, head size]",
            shape: rest.to_vec(),
        }
        .into());
    }
    check_multiple(OP, "H", heads.shape.num_heads, heads.num_kv_heads)?;
    check_max(OP, "D", heads.head_dim, sys::FP_MAX_HEAD_DIM as usize)?;
    let end = heads
        .image_start
        .saturating_add(heads.shape.num_image_tokens);
    if end > heads.sequence_len {
        return Err(KernelError::IndexOutOfRange {
            op: OP,
            index: end,
            len: heads.sequence_len + 1,
        }
        .into());
    }
    if !heads.scale.is_finite() || heads.scale <= 0.0 {
        return Err(CudaError::Scale {
            op: OP,
            scale: heads.scale,
        });
    }
    Ok(sys::fp_attention_rows_args {
        batch_size,
        num_heads,
        num_image_tokens,
        num_kv_heads: dim(OP, "key heads", heads.num_kv_heads)?,
        num_rows: dim(OP, "Q", heads.num_rows)?,
        sequence_len: dim(OP, "S", heads.sequence_len)?,
        head_dim: dim(OP, "D", heads.head_dim)?,
        image_start: dim(OP, "the image's start", heads.image_start)?,
        scale: heads.scale,
        ..Default::default()
    })
}

/// Bytes of scratch memory that [`attention_rows`] needs.
///
/// # Errors
/// Unsupported sizes.
pub fn attention_rows_workspace(heads: &Heads) -> Result<usize, CudaError> {
    let sizes = raw_sizes(heads)?;
    // SAFETY: reads the sizes alone.
    Ok(unsafe { sys::fp_attention_rows_workspace(&sizes) })
}

/// Arguments that both forms of a call share; their keys differ.
pub(super) struct Rows<'x, 'a, T> {
    pub(super) heads: Heads,
    pub(super) queries: &'x CudaView<'a, T>,
    pub(super) query_strides: QueryStrides,
    pub(super) row_positions: &'x CudaView<'a, u32>,
    pub(super) weights: Option<&'x CudaView<'a, f64>>,
    pub(super) attention: &'x mut CudaViewMut<'a, f32>,
    pub(super) workspace: &'x mut CudaViewMut<'a, u8>,
    pub(super) error: &'x mut ErrorWord,
}

/// Post-softmax attention of query rows to the image, with the softmax over the whole causal row.
/// The attention of the other rows is not computed.
///
/// # Errors
/// Buffers that are too small for sizes and strides, overlap, are misaligned or on another
/// device; unsupported sizes; a failed launch. Logits whose softmax is not a number and positions
/// outside the sequence are reported by the error word.
pub fn attention_rows<T: DeviceElement>(
    stream: &CudaStream,
    mut call: AttentionRows<'_, T>,
) -> Result<(), CudaError> {
    let heads = call.heads;
    let key = call.key_strides;
    let keys = &call.keys;
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
        check_reach::<T>(
            "keys",
            &heads,
            keys.len(),
            &[
                heads.shape.batch_size,
                heads.num_kv_heads,
                heads.sequence_len,
                heads.head_dim,
            ],
            [key.batch, key.head, key.token],
        )?;
        args.keys = launch.read("keys", keys)?.cast();
        args.key_batch_stride = key.batch;
        args.key_head_stride = key.head;
        args.key_token_stride = key.token;
        Ok(())
    })
}

/// Checks the arguments that both forms share, and launches; `keys` adds the keys.
pub(super) fn enqueue<'x, T: DeviceElement>(
    stream: &'x CudaStream,
    rows: Rows<'x, '_, T>,
    keys: impl FnOnce(&mut Launch<'x>, &mut sys::fp_attention_rows_args) -> Result<(), CudaError>,
) -> Result<(), CudaError> {
    const OP: &str = ATTENTION_ROWS;
    let Rows {
        heads,
        queries,
        query_strides: query,
        row_positions,
        weights,
        attention,
        workspace,
        error,
    } = rows;
    let mut args = raw_sizes(&heads)?;
    let workspace_bytes = attention_rows_workspace(&heads)?;
    let [b, h, n] = heads.shape.dims();
    let (q, d) = (heads.num_rows, heads.head_dim);
    if !heads.is_wide::<T>() {
        check_max(OP, "D", heads.head_dim, MAX_NARROW_DIM)?;
    }
    check_reach::<T>(
        "queries",
        &heads,
        queries.len(),
        &[b, h, q, d],
        [query.batch, query.head, query.row],
    )?;
    let mut launch = Launch::new(OP, stream);
    args.queries = launch.read("queries", queries)?.cast();
    keys(&mut launch, &mut args)?;
    if heads.is_wide::<T>() {
        launch.check_aligned()?;
    }
    args.row_positions = launch.input("row positions", row_positions, &[q])?;
    let out_shape = match weights {
        Some(weights) => {
            args.weights_batch_stride = weights_stride(OP, weights, b, q)?;
            args.weights = launch.read("weights", weights)?;
            vec![b, h, n]
        }
        None => vec![b, h, q, n],
    };
    args.attention = launch.output("attention", attention, &out_shape)?;
    args.workspace = launch.scratch(workspace, workspace_bytes)?;
    args.workspace_bytes = workspace_bytes;
    args.error = launch.error(error)?;
    args.query_batch_stride = query.batch;
    args.query_head_stride = query.head;
    args.query_row_stride = query.row;
    args.dtype = T::DTYPE;
    // SAFETY: every pointer is valid for as many values as sizes and strides reach, on the
    // stream's device, aligned, held until the launch is enqueued and freed in stream order. The
    // kernel checks row positions before it reads at them, and the table's entries were checked
    // before they were uploaded.
    launch.run(|stream| unsafe { sys::fp_attention_rows(&args, stream) })
}

fn check_reach<T>(
    tensor: &'static str,
    heads: &Heads,
    got: usize,
    dims: &[usize; 4],
    strides: [usize; 3],
) -> Result<(), CudaError> {
    const OP: &str = ATTENTION_ROWS;
    for stride in strides.into_iter().filter(|_| heads.is_wide::<T>()) {
        check_multiple(OP, "a stride of queries or keys", stride, per_word::<T>())?;
    }
    let [batch, head, row] = strides;
    let expected = reach(dims, &[batch, head, row, 1]);
    if got < expected {
        Err(KernelError::ShapeMismatch {
            op: OP,
            tensor,
            shape: dims.to_vec(),
            expected,
            got,
        }
        .into())
    } else {
        Ok(())
    }
}

/// Stride between samples in the weights: 0 for `[Q]`, Q for `[B, Q]`.
pub(super) fn weights_stride(
    op: &'static str,
    weights: &impl DeviceSlice<f64>,
    batch_size: usize,
    num_rows: usize,
) -> Result<usize, CudaError> {
    if weights.len() == num_rows {
        return Ok(0);
    }
    check_shape(op, "weights", &[batch_size, num_rows], weights.len())?;
    Ok(num_rows)
}
