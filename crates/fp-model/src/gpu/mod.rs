//! The model's operations on a GPU with this project's kernels: rows, attention, scoring, and the
//! choice of tokens. Only matrix products are the tensor library's, which calls cuBLAS.
//!
//! These functions take tensors, slices and shapes; they are independent of layers and prefixes.

mod attention;
mod choose;
mod gather;
mod kv;
mod residual;
mod rows;
mod score;
mod values;
mod word;

pub(crate) use attention::{Projected, QueryRows};
pub(crate) use choose::{Choice, check_finite, choose_tokens};
pub(crate) use gather::{Columns, rows_of, rows_of_both};
pub(crate) use kv::KvMemory;
pub(crate) use residual::Residual;
pub(crate) use rows::{NormWeights, activated, added, added_and_normed, gated, normed};
pub(crate) use score::{DeviceCombined, LayerAttention};
pub(crate) use values::{Element, by_format, concatenated, host_values, tensor, view};
pub(crate) use word::with_word;

use std::sync::Arc;

use candle_core::{CudaDevice, DType, Device, Tensor};
use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::cuda::{CudaError, PlainValue};
use fp_scoring::{ScoringError, SharedError};

use crate::error::{ModelError, Result};

pub(crate) fn number_format(what: &'static str, found: DType) -> ModelError {
    ModelError::InputValue {
        what,
        found: found.as_str().to_owned(),
        expected: "f32, f16 or bf16".to_owned(),
    }
}

pub(crate) fn cuda_device(tensor: &Tensor) -> Result<&CudaDevice> {
    match tensor.device() {
        Device::Cuda(device) => Ok(device),
        other => Err(ModelError::InputValue {
            what: "the device of a tensor for the GPU kernels",
            found: format!("{other:?}"),
            expected: "a CUDA device".to_owned(),
        }),
    }
}

/// Memory for a kernel to overwrite.
pub(crate) fn uninitialised<T: PlainValue>(
    stream: &Arc<CudaStream>,
    len: usize,
) -> Result<CudaSlice<T>> {
    gpu(fp_kernels::cuda::uninitialised(stream, len))
}

/// Whether GPU `index` can be used.
pub(crate) fn preflight(index: usize) -> Result<()> {
    match fp_kernels::cuda::preflight(index) {
        Ok(_) => Ok(()),
        Err(error) => Err(ModelError::Gpu(SharedError::new(error))),
    }
}

/// Free bytes of the GPU's memory now.
pub(crate) fn free_memory(device: &CudaDevice) -> Result<u64> {
    let info = device.cuda_stream().context().mem_get_info();
    Ok(driver("free memory", info)?.0 as u64)
}

pub(crate) fn gpu<R>(outcome: std::result::Result<R, CudaError>) -> Result<R> {
    Ok(outcome.map_err(ScoringError::from)?)
}

pub(crate) fn driver<R>(
    op: &'static str,
    outcome: std::result::Result<R, cudarc::driver::DriverError>,
) -> Result<R> {
    gpu(outcome.map_err(|source| CudaError::Driver { op, source }))
}
