//! A layer's attention and what is chosen by it, on a GPU from queries to kept tokens.
//!
//! Takes tensors, slices and shapes; knows nothing of prefixes.

mod attention;
mod gather;
mod score;

pub(crate) use attention::Rows;
pub(crate) use gather::gather;
pub(crate) use score::{DeviceCombined, LayerAttention};

use candle_core::cuda_backend::CudaDType;
use candle_core::{CudaDevice, DType, Device, Storage, Tensor};
use cudarc::driver::{CudaSlice, CudaView};
use fp_kernels::cuda::CudaError;
use fp_scoring::{ScoringError, SharedError};

use crate::error::{ModelError, Result};

fn number_format(what: &'static str, found: DType) -> ModelError {
    ModelError::InputValue {
        what,
        found: found.as_str().to_owned(),
        expected: "f32, f16 or bf16".to_owned(),
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

/// Whether GPU `index` can be used.
pub(crate) fn preflight(index: usize) -> Result<()> {
    match fp_kernels::cuda::preflight(index) {
        Ok(_) => Ok(()),
        Err(error) => Err(ModelError::Gpu(SharedError::new(error))),
    }
}

/// Bytes of the GPU's memory that are free now.
pub(crate) fn free_memory(device: &CudaDevice) -> Result<u64> {
    let info = device.cuda_stream().context().mem_get_info();
    Ok(driver("free memory", info)?.0 as u64)
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
