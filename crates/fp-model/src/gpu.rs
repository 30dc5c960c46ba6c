//! Layer K's attention and what is chosen by it, on a GPU from queries to kept tokens.

use crate::error::{ModelError, Result};
use crate::prefix::Prefix;
use candle_core::cuda_backend::CudaDType;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Device, Storage, Tensor};
use cudarc::driver::{CudaSlice, CudaView};
use fp_kernels::cuda::{
    AttentionRows, CudaError, DeviceElement, ErrorWord, Heads, KeyStrides, QueryStrides,
    ScoreShape, attention_rows, attention_rows_workspace,
};
use fp_kernels::dense::AttentionShape;
use fp_scoring::cuda::{DeviceRows, image_attention, score_batch};
use fp_scoring::{HeadStrategy, QueryStrategy, ScoringError, SelectOptions, Selection};
use half::{bf16, f16};
use std::ops::Range;

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
            other => Err(ModelError::InputValue {
                what: "the number format of queries",
                found: other.as_str().to_owned(),
                expected: "f32, f16 or bf16".to_owned(),
            }),
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

/// Chooses tokens of a prefix whose attention is on a GPU.
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
    let stream = cuda_device(rows)?.cuda_stream();
    let (storage, _) = rows.storage_and_layout();
    let rows = DeviceRows {
        values: view::<f32>(&storage, rows)?,
        rows: prefix.query_rows(),
        num_heads: prefix.num_heads,
        layout: *prefix.layout(),
    };
    let attention = image_attention(&stream, &rows, query)?;
    let shape = ScoreShape {
        batch_size: 1,
        num_heads: prefix.num_heads,
        num_image_tokens: prefix.layout().num_image,
    };
    let chosen = score_batch(&stream, &attention.values(), shape, &[head], options)?;
    let audit = attention.audit()?;
    let mut selection = chosen
        .read()
        .map_err(|error| alone(error, &audit.rows))?
        .pop()
        .and_then(|mut selections| selections.pop())
        .ok_or_else(|| ModelError::InputValue {
            what: "the number of selections",
            found: "0".to_owned(),
            expected: "1".to_owned(),
        })?;
    selection.audit.query = Some(audit);
    Ok(selection)
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
