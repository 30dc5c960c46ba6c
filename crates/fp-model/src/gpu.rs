//! Layer K's attention and what is chosen by it, on a GPU from queries to kept tokens.

use crate::combined::ScoreRequest;
use crate::error::{ModelError, Result};
use crate::prefix::Prefix;
use candle_core::cuda_backend::CudaDType;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Device, Storage, Tensor};
use cudarc::driver::{CudaSlice, CudaStream, CudaView, DeviceRepr, ValidAsZeroBits};
use fp_kernels::cuda::{
    AttentionRows, CudaError, DeviceElement, ErrorWord, GatherTokens, Heads, KeyStrides,
    QueryStrides, ScoreShape, Sequence, attention_rows, attention_rows_workspace, gather_tokens,
};
use fp_kernels::dense::AttentionShape;
use fp_scoring::cuda::{DeviceAttention, DeviceRows, image_attention, score_batch};
use fp_scoring::{HeadStrategy, QueryAudit, QueryStrategy, ScoringError, SelectOptions, Selection};
use half::{bf16, f16};
use std::ops::Range;
use std::sync::Arc;

/// Some rows of one sequence, and the keys that they see.
pub(crate) struct Rows<'a> {
    /// Their projections, `[Q, stride]`, queries first.
    pub(crate) selected: &'a Tensor,
    /// `[H_kv, S, D]`; D is dense.
    pub(crate) keys: &'a Tensor,
    pub(crate) shape: &'a AttentionShape,
    /// Number of keys that each row sees.
    pub(crate) visible: &'a [usize],
    /// Where the image stands.
    pub(crate) columns: Range<usize>,
}

impl Rows<'_> {
    /// Post-softmax attention to the image, `[H, Q, N]` in `f32`.
    pub(crate) fn attention(&self) -> Result<Tensor> {
        match self.selected.dtype() {
            DType::F32 => self.attention_of::<f32>(),
            DType::F16 => self.attention_of::<f16>(),
            DType::BF16 => self.attention_of::<bf16>(),
            other => Err(number_format("queries", other)),
        }
    }

    fn attention_of<T: DeviceElement + CudaDType>(&self) -> Result<Tensor> {
        let device = cuda_device(self.selected)?;
        let stream = device.cuda_stream();
        let num_rows = self.visible.len();
        let (num_kv_heads, sequence_len, head_dim) = self.keys.dims3()?;
        let shape = ScoreShape {
            batch_size: 1,
            num_heads: self.shape.num_heads,
            num_image_tokens: self.columns.len(),
        };
        let heads = Heads {
            shape,
            num_kv_heads,
            num_rows,
            sequence_len,
            head_dim,
            image_start: self.columns.start,
            scale: self.shape.scale,
        };
        let positions: Vec<u32> = self.visible.iter().map(|&seen| seen as u32 - 1).collect();
        let positions = driver("row positions", stream.clone_htod(&positions))?;
        let len = shape.num_heads * num_rows * shape.num_image_tokens;
        let mut values = driver("attention", stream.alloc_zeros::<f32>(len))?;
        let bytes = gpu(attention_rows_workspace(&heads))?;
        let mut workspace = driver("workspace", stream.alloc_zeros::<u8>(bytes))?;
        let mut error = gpu(ErrorWord::new(&stream))?;
        let (queries, _) = self.selected.storage_and_layout();
        let (keys, _) = self.keys.storage_and_layout();
        let key_strides = self.keys.stride();
        let query_stride = self.selected.dim(1)?;
        gpu(attention_rows(
            &stream,
            AttentionRows {
                heads,
                queries: view::<T>(&queries, self.selected)?,
                query_strides: QueryStrides {
                    batch: 0,
                    head: head_dim,
                    row: query_stride,
                },
                keys: view::<T>(&keys, self.keys)?,
                key_strides: KeyStrides {
                    batch: 0,
                    head: key_strides[0],
                    token: key_strides[1],
                },
                row_positions: positions.as_view(),
                weights: None,
                attention: values.as_view_mut(),
                workspace: workspace.as_view_mut(),
                error: &mut error,
            },
        ))?;
        gpu(error.check(&stream, "attention_rows"))?;
        let dims = (shape.num_heads, num_rows, shape.num_image_tokens);
        Ok(tensor(values, dims, device))
    }
}

/// One row per head on a GPU.
#[derive(Debug)]
pub(crate) struct DeviceCombined {
    attention: DeviceAttention,
    stream: Arc<CudaStream>,
}

/// Combines a prefix's rows `[H, Q, N]` into one per head. Enqueues and returns.
///
/// # Errors
/// As [`fp_scoring::image_attention`], and a GPU that fails.
pub(crate) fn combine(
    prefix: &Prefix,
    rows: &Tensor,
    query: QueryStrategy,
) -> Result<DeviceCombined> {
    let stream = cuda_device(rows)?.cuda_stream();
    let (storage, _) = rows.storage_and_layout();
    let rows = DeviceRows {
        values: view::<f32>(&storage, rows)?,
        rows: prefix.query_rows(),
        num_heads: prefix.num_heads,
        layout: *prefix.layout(),
    };
    let attention = image_attention(&stream, &rows, query)?;
    Ok(DeviceCombined { attention, stream })
}

impl DeviceCombined {
    /// As [`crate::CombinedAttention::score`].
    pub(crate) fn score(
        &self,
        num_heads: usize,
        num_image_tokens: usize,
        requests: &[ScoreRequest],
    ) -> Vec<Result<Vec<Selection>>> {
        let shape = ScoreShape {
            batch_size: 1,
            num_heads,
            num_image_tokens,
        };
        let enqueued: Vec<_> = requests
            .iter()
            .map(|request| {
                let (strategies, options) = (&request.head_strategies, &request.options);
                let values = self.attention.values();
                score_batch(&self.stream, &values, shape, strategies, options)
            })
            .collect();
        enqueued
            .into_iter()
            .map(|chosen| {
                let mut samples = chosen?.read()?;
                samples.pop().ok_or_else(|| nothing("selections"))
            })
            .collect()
    }

    pub(crate) fn audit(&self) -> Result<QueryAudit> {
        Ok(self.attention.audit()?)
    }
}

/// What one pair of strategies selects, with rows named in errors.
///
/// # Errors
/// As [`fp_scoring::select`], and a GPU that fails.
pub(crate) fn select(
    prefix: &Prefix,
    rows: &Tensor,
    head: HeadStrategy,
    query: QueryStrategy,
    options: &SelectOptions,
) -> Result<Selection> {
    let combined = combine(prefix, rows, query)?;
    let request = ScoreRequest {
        head_strategies: vec![head],
        options: *options,
    };
    let (heads, tokens) = (prefix.num_heads, prefix.layout().num_image);
    let scored = combined.score(heads, tokens, &[request]).pop();
    let audit = combined.audit()?;
    let mut selection = scored
        .ok_or_else(|| nothing("outcomes"))?
        .map_err(|error| match error {
            ModelError::Scoring(error) => alone(error, &audit.rows).into(),
            other => other,
        })?
        .pop()
        .ok_or_else(|| nothing("selections"))?;
    selection.audit.query = Some(audit);
    Ok(selection)
}

/// Rows of a prefix as [`crate::prefix::kept_rows`] takes them, by the kernel: `[rows, D]`.
/// None where it can't: hidden states elsewhere than on a GPU or in rows of other than whole
/// 16-byte words, or no image token.
///
/// # Errors
/// A GPU that fails.
pub(crate) fn gather(prefix: &Prefix, rows: &[usize]) -> Result<Option<Tensor>> {
    let hidden = &prefix.hidden;
    let row_bytes = hidden.dim(1)? * hidden.dtype().size_in_bytes();
    let image = prefix.layout().image_range();
    let num_system = rows.partition_point(|&row| row < image.start);
    let kept = &rows[num_system..rows.partition_point(|&row| row < image.end)];
    if !hidden.device().is_cuda() || !row_bytes.is_multiple_of(16) || kept.is_empty() {
        return Ok(None);
    }
    let sequence = Sequence {
        num_system,
        num_image_tokens: image.len(),
        num_text: prefix.layout().num_text,
        num_kept_tokens: kept.len(),
    };
    let hidden = hidden.narrow(0, image.start - num_system, sequence.len())?;
    let kept: Vec<u32> = kept.iter().map(|row| (row - image.start) as u32).collect();
    match hidden.dtype() {
        DType::F32 => gather_of::<f32>(&hidden, sequence, &kept),
        DType::F16 => gather_of::<f16>(&hidden, sequence, &kept),
        DType::BF16 => gather_of::<bf16>(&hidden, sequence, &kept),
        other => Err(number_format("hidden states", other)),
    }
    .map(Some)
}

fn gather_of<T: CudaDType + DeviceRepr + ValidAsZeroBits>(
    hidden: &Tensor,
    sequence: Sequence,
    kept: &[u32],
) -> Result<Tensor> {
    let device = cuda_device(hidden)?;
    let stream = device.cuda_stream();
    let width = hidden.dim(1)?;
    let indices = driver("kept tokens", stream.clone_htod(kept))?;
    let len = sequence.num_rows() * width;
    let mut gathered = driver("gathered rows", stream.alloc_zeros::<T>(len))?;
    let mut error = gpu(ErrorWord::new(&stream))?;
    let (storage, _) = hidden.storage_and_layout();
    let stride = sequence.len() * width;
    gpu(gather_tokens(
        &stream,
        GatherTokens {
            batch_size: 1,
            outer: 1,
            width,
            sequence,
            source: view::<T>(&storage, hidden)?,
            batch_stride: stride,
            outer_stride: stride,
            kept_tokens: indices.as_view(),
            target: gathered.as_view_mut(),
            error: &mut error,
        },
    ))?;
    // Kept tokens were checked on the host: nothing is waited for here.
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(gathered, device.clone()));
    let dims = (sequence.num_rows(), width);
    Ok(Tensor::from_storage(
        storage,
        dims,
        BackpropOp::none(),
        false,
    ))
}

fn nothing(what: &'static str) -> ModelError {
    ModelError::InputValue {
        what,
        found: "0".to_owned(),
        expected: "1".to_owned(),
    }
}

fn number_format(what: &'static str, found: DType) -> ModelError {
    ModelError::InputValue {
        what,
        found: found.as_str().to_owned(),
        expected: "f32, f16 or bf16".to_owned(),
    }
}

/// An error of a batch of one, naming the rows that were looked from.
fn alone(error: ScoringError, rows: &[usize]) -> ScoringError {
    match error {
        ScoringError::Sample { source, .. } => match *source {
            ScoringError::NoAttention { .. } => ScoringError::NoAttention {
                rows: rows.to_vec(),
            },
            other => other,
        },
        other => other,
    }
}

fn cuda_device(tensor: &Tensor) -> Result<&CudaDevice> {
    match tensor.device() {
        Device::Cuda(device) => Ok(device),
        other => Err(ModelError::InputValue {
            what: "the device of a tensor for the GPU kernels",
            found: format!("{other:?}"),
            expected: "a CUDA device".to_owned(),
        }),
    }
}

/// A tensor's values, from its first one on.
fn view<'a, T: CudaDType>(storage: &'a Storage, tensor: &Tensor) -> Result<CudaView<'a, T>> {
    let Storage::Cuda(storage) = storage else {
        return Err(ModelError::InputShape {
            what: "a tensor for the GPU kernels",
            got: tensor.dims().to_vec(),
            expected: "values on a GPU".to_owned(),
        });
    };
    let slice: &CudaSlice<T> = storage.as_cuda_slice::<T>()?;
    Ok(slice.slice(tensor.layout().start_offset()..))
}

fn tensor(values: CudaSlice<f32>, dims: (usize, usize, usize), device: &CudaDevice) -> Tensor {
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(values, device.clone()));
    Tensor::from_storage(storage, dims, BackpropOp::none(), false)
}

fn gpu<R>(outcome: std::result::Result<R, CudaError>) -> Result<R> {
    Ok(outcome.map_err(ScoringError::from)?)
}

fn driver<R>(
    op: &'static str,
    outcome: std::result::Result<R, cudarc::driver::DriverError>,
) -> Result<R> {
    gpu(outcome.map_err(|source| CudaError::Driver { op, source }))
}
