//! Attention of a layer's queries to the image.

use std::ops::Range;

use candle_core::cuda_backend::CudaDType;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Storage, Tensor};
use cudarc::driver::CudaSlice;
use fp_kernels::cuda::{
    AttentionRows, DeviceElement, ErrorWord, Heads, KeyStrides, QueryStrides, ScoreShape,
    attention_rows, attention_rows_workspace,
};
use fp_kernels::dense::AttentionShape;
use half::{bf16, f16};

use super::{cuda_device, driver, gpu, number_format, view};
use crate::error::Result;

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

fn tensor(values: CudaSlice<f32>, dims: (usize, usize, usize), device: &CudaDevice) -> Tensor {
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(values, device.clone()));
    Tensor::from_storage(storage, dims, BackpropOp::none(), false)
}
