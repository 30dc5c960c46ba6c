//! Rows `[T, D]` of a model: norms and activations.

use candle_core::{CudaDevice, Tensor};
use cudarc::driver::CudaSlice;
use fp_kernels::cuda::{
    Activate, ActivationKind, GatedSilu, Norm, NormInput, NormKind, RowsTo, activate, gated_silu,
    norm,
};

use super::values::{Element, by_format, copy_of, tensor, view};
use super::{cuda_device, gpu, uninitialised};
use crate::error::Result;

/// A norm's parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormWeights<'a> {
    /// Scale of each column, `[D]`.
    pub(crate) weight: &'a Tensor,
    /// `[D]` for a layer norm; `None` for an RMS norm.
    pub(crate) bias: Option<&'a Tensor>,
    pub(crate) epsilon: f64,
}

/// The norm of rows `[T, D]`.
pub(crate) fn normed(x: &Tensor, weights: NormWeights<'_>) -> Result<Tensor> {
    by_format!(x.dtype(), "rows", normed_of(x, weights))
}

fn normed_of<T: Element>(x: &Tensor, weights: NormWeights<'_>) -> Result<Tensor> {
    let (num_rows, _) = x.dims2()?;
    let device = cuda_device(x)?;
    let (storage, _) = x.storage_and_layout();
    let input = NormInput::Rows(view::<T>(&storage, x)?);
    norm_into(device, input, num_rows, weights)
}

/// `x + y` and its norm, `[T, D]` each.
pub(crate) fn added_and_normed(
    x: &Tensor,
    y: &Tensor,
    weights: NormWeights<'_>,
) -> Result<(Tensor, Tensor)> {
    by_format!(x.dtype(), "rows", added_of(x, y, weights))
}

fn added_of<T: Element>(
    x: &Tensor,
    y: &Tensor,
    weights: NormWeights<'_>,
) -> Result<(Tensor, Tensor)> {
    let dims = x.dims2()?;
    let mut sum = copy_of::<T>(x)?;
    let normed = add_and_norm(cuda_device(x)?, &mut sum, y, dims.0, weights)?;
    Ok((tensor(sum, dims, cuda_device(x)?), normed))
}

/// `x + y`, `[T, D]` each.
pub(crate) fn added(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    by_format!(x.dtype(), "rows", sum_of(x, y))
}

fn sum_of<T: Element>(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (device, dims) = (cuda_device(x)?, x.dims2()?);
    let mut sum = copy_of::<T>(x)?;
    add_to(device, &mut sum, y, dims.0)?;
    Ok(tensor(sum, dims, device))
}

/// Adds rows `add [T, D]` to the residual stream.
pub(super) fn add_to<T: Element>(
    device: &CudaDevice,
    residual: &mut CudaSlice<T>,
    add: &Tensor,
    num_rows: usize,
) -> Result<()> {
    // The norm's kernel does the addition; its normed output is discarded, so any weight will do.
    let weights = NormWeights {
        weight: &add.narrow(0, 0, 1)?.flatten_all()?,
        bias: None,
        epsilon: 1.0,
    };
    add_and_norm(device, residual, add, num_rows, weights)?;
    Ok(())
}

/// Adds rows `add [T, D]` to the residual stream and returns the norm of the sum.
pub(super) fn add_and_norm<T: Element>(
    device: &CudaDevice,
    residual: &mut CudaSlice<T>,
    add: &Tensor,
    num_rows: usize,
    weights: NormWeights<'_>,
) -> Result<Tensor> {
    let (storage, _) = add.storage_and_layout();
    let input = NormInput::Sum {
        residual: residual.as_view_mut(),
        add: view::<T>(&storage, add)?,
    };
    norm_into(device, input, num_rows, weights)
}

/// The norm of the residual stream, with nothing added.
pub(super) fn norm_of<T: Element>(
    device: &CudaDevice,
    residual: &CudaSlice<T>,
    num_rows: usize,
    weights: NormWeights<'_>,
) -> Result<Tensor> {
    let input = NormInput::Rows(residual.as_view());
    norm_into(device, input, num_rows, weights)
}

fn norm_into<T: Element>(
    device: &CudaDevice,
    input: NormInput<'_, T>,
    num_rows: usize,
    weights: NormWeights<'_>,
) -> Result<Tensor> {
    let stream = device.cuda_stream();
    let width = weights.weight.elem_count();
    let mut out = uninitialised::<T>(&stream, num_rows * width)?;
    let (weight, _) = weights.weight.storage_and_layout();
    let bias = weights.bias.map(|bias| (bias.storage_and_layout().0, bias));
    let kind = match &bias {
        None => NormKind::Rms,
        Some((storage, bias)) => NormKind::Layer {
            bias: view::<T>(storage, bias)?,
        },
    };
    let call = Norm {
        num_rows,
        width,
        kind,
        input,
        weight: view::<T>(&weight, weights.weight)?,
        epsilon: weights.epsilon as f32,
        out: out.as_view_mut(),
    };
    gpu(norm(&stream, call))?;
    Ok(tensor(out, (num_rows, width), device))
}

/// `activation(x + bias)` of rows `[T, M]`.
pub(crate) fn activated(
    x: &Tensor,
    bias: Option<&Tensor>,
    activation: ActivationKind,
) -> Result<Tensor> {
    by_format!(x.dtype(), "rows", activated_of(x, bias, activation))
}

fn activated_of<T: Element>(
    x: &Tensor,
    bias: Option<&Tensor>,
    activation: ActivationKind,
) -> Result<Tensor> {
    let (num_rows, width) = x.dims2()?;
    let device = cuda_device(x)?;
    let stream = device.cuda_stream();
    let mut out = uninitialised::<T>(&stream, num_rows * width)?;
    let (storage, _) = x.storage_and_layout();
    let bias = bias.map(|bias| (bias.storage_and_layout().0, bias));
    let bias = match &bias {
        Some((storage, bias)) => Some(view::<T>(storage, bias)?),
        None => None,
    };
    let call = Activate {
        num_rows,
        width,
        rows: RowsTo::Out {
            from: view::<T>(&storage, x)?,
            to: out.as_view_mut(),
        },
        bias,
        activation,
    };
    gpu(activate(&stream, call))?;
    Ok(tensor(out, (num_rows, width), device))
}

/// `silu(gate) · up` of rows `[T, 2 · width]`, gates in the first half, after adding a bias.
pub(crate) fn gated(x: &Tensor, bias: Option<&Tensor>, width: usize) -> Result<Tensor> {
    by_format!(x.dtype(), "rows", gated_of(x, bias, width))
}

fn gated_of<T: Element>(x: &Tensor, bias: Option<&Tensor>, width: usize) -> Result<Tensor> {
    let num_rows = x.dim(0)?;
    let device = cuda_device(x)?;
    let stream = device.cuda_stream();
    let mut out = uninitialised::<T>(&stream, num_rows * width)?;
    let (storage, _) = x.storage_and_layout();
    let bias = bias.map(|bias| (bias.storage_and_layout().0, bias));
    let bias = match &bias {
        Some((storage, bias)) => Some(view::<T>(storage, bias)?),
        None => None,
    };
    let call = GatedSilu {
        num_rows,
        width,
        gates_and_ups: view::<T>(&storage, x)?,
        bias,
        out: out.as_view_mut(),
    };
    gpu(gated_silu(&stream, call))?;
    Ok(tensor(out, (num_rows, width), device))
}
