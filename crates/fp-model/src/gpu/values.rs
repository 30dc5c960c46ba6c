//! Values on a GPU as tensors and as slices, in their number format.

use candle_core::cuda_backend::CudaDType;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Shape, Storage, Tensor};
use cudarc::driver::{CudaSlice, CudaView};
use fp_kernels::cuda::DeviceElement;
use half::{bf16, f16};

use super::{cuda_device, driver};
use crate::error::{ModelError, Result};

/// A number format in which models compute.
pub(crate) trait Element: DeviceElement + CudaDType + Into<f32> {}

impl Element for f32 {}
impl Element for f16 {}
impl Element for bf16 {}

/// Calls a generic function with the number format of a tensor.
macro_rules! by_format {
    ($dtype:expr, $what:expr, $function:ident $arguments:tt) => {
        match $dtype {
            candle_core::DType::F32 => $function::<f32> $arguments,
            candle_core::DType::F16 => $function::<half::f16> $arguments,
            candle_core::DType::BF16 => $function::<half::bf16> $arguments,
            other => Err($crate::gpu::number_format($what, other)),
        }
    };
}
pub(crate) use by_format;

/// A tensor from values that are already on a GPU.
pub(crate) fn tensor<T: Element>(
    values: CudaSlice<T>,
    dims: impl Into<Shape>,
    device: &CudaDevice,
) -> Tensor {
    let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(values, device.clone()));
    Tensor::from_storage(storage, dims, BackpropOp::none(), false)
}

/// The values of a dense tensor whose storage is `storage`.
pub(crate) fn view<'a, T: CudaDType>(
    storage: &'a Storage,
    tensor: &Tensor,
) -> Result<CudaView<'a, T>> {
    let Storage::Cuda(storage) = storage else {
        return Err(not_dense(tensor, "values on a GPU"));
    };
    let slice: &CudaSlice<T> = storage.as_cuda_slice::<T>()?;
    match tensor.layout().contiguous_offsets() {
        Some((start, end)) => Ok(slice.slice(start..end)),
        None => Err(not_dense(tensor, "contiguous values")),
    }
}

fn not_dense(tensor: &Tensor, expected: &str) -> ModelError {
    ModelError::InputShape {
        what: "a tensor for the GPU kernels",
        got: tensor.dims().to_vec(),
        expected: expected.to_owned(),
    }
}

/// The values of a dense tensor on the host, in order; waits for the device.
pub(crate) fn host_values(tensor: &Tensor) -> Result<Vec<f32>> {
    by_format!(tensor.dtype(), "values", host_values_of(tensor))
}

fn host_values_of<T: Element>(tensor: &Tensor) -> Result<Vec<f32>> {
    if tensor.elem_count() == 0 {
        return Ok(Vec::new());
    }
    let stream = cuda_device(tensor)?.cuda_stream();
    let (storage, _) = tensor.storage_and_layout();
    let values = driver(
        "reading values",
        stream.clone_dtoh(&view::<T>(&storage, tensor)?),
    )?;
    Ok(values.into_iter().map(Into::into).collect())
}

/// Concatenates tensors along their first dimension, by copies on the device.
pub(crate) fn concatenated(parts: &[&Tensor]) -> Result<Tensor> {
    let dtype = parts
        .first()
        .map_or(candle_core::DType::F32, |part| part.dtype());
    by_format!(dtype, "rows", concatenated_of(parts))
}

fn concatenated_of<T: Element>(parts: &[&Tensor]) -> Result<Tensor> {
    let Some(first) = parts.first() else {
        return Err(ModelError::InputValue {
            what: "the number of tensors to join",
            found: "0".to_owned(),
            expected: "at least 1".to_owned(),
        });
    };
    let device = cuda_device(first)?;
    let stream = device.cuda_stream();
    let mut dims = first.dims().to_vec();
    let len = parts.iter().map(|part| part.elem_count()).sum();
    dims[0] = parts.iter().map(|part| part.dims()[0]).sum();
    if parts.iter().any(|part| part.dims()[1..] != dims[1..]) {
        return Err(not_dense(first, "tensors of the same width"));
    }
    let mut joined = super::uninitialised::<T>(&stream, len)?;
    let mut start = 0;
    for part in parts.iter().filter(|part| part.elem_count() > 0) {
        let (storage, _) = part.storage_and_layout();
        let values = view::<T>(&storage, part)?;
        let end = start + part.elem_count();
        let mut place = joined.slice_mut(start..end);
        driver("copying rows", stream.memcpy_dtod(&values, &mut place))?;
        start = end;
    }
    Ok(tensor(joined, dims, device))
}

/// A dense copy of a tensor's values, on the device.
pub(crate) fn copy_of<T: Element>(tensor: &Tensor) -> Result<CudaSlice<T>> {
    let stream = cuda_device(tensor)?.cuda_stream();
    let (storage, _) = tensor.storage_and_layout();
    let mut copy = super::uninitialised::<T>(&stream, tensor.elem_count())?;
    if tensor.elem_count() > 0 {
        let source = view::<T>(&storage, tensor)?;
        driver("copying rows", stream.memcpy_dtod(&source, &mut copy))?;
    }
    Ok(copy)
}
