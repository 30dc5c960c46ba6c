//! Operations on rows `[T, D]`: with this project's kernels for `f32` on the CPU and for all
//! formats on a GPU, with the tensor library for half precision on the CPU.

use std::ops::Range;

use candle_core::{CpuStorage, D, DType, Storage, Tensor};
use fp_kernels::dense;

use crate::config::Activation;
use crate::error::{ModelError, Result};
use crate::linear::into_rows;
use crate::weights::ComputeContext;

/// Calls `f` with the values of a contiguous `f32` tensor on the CPU.
pub(crate) fn with_values<R>(x: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = x.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
        return Err(ModelError::InputShape {
            what: "a tensor for the CPU kernels",
            got: x.dims().to_vec(),
            expected: "f32 values on the CPU".to_owned(),
        });
    };
    let values = layout
        .contiguous_offsets()
        .and_then(|(start, end)| values.get(start..end));
    match values {
        Some(values) => f(values),
        None => {
            drop(storage);
            let copy = x.flatten_all()?.to_vec1()?;
            f(&copy)
        }
    }
}

/// A tensor's values on the host, in order.
pub(crate) fn host_values(tensor: &Tensor) -> Result<Vec<f32>> {
    #[cfg(feature = "cuda")]
    if tensor.device().is_cuda() {
        return crate::gpu::host_values(tensor);
    }
    Ok(tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
}

/// `x / sqrt(mean(x²) + epsilon) · weight`.
pub(crate) fn rms_norm(
    context: &ComputeContext,
    x: &Tensor,
    weight: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    if context.kernels {
        let width = x.dim(1)?;
        let y = with_values(x, |x| {
            with_values(weight, |weight| {
                Ok(dense::rms_norm(x, weight, epsilon as f32))
            })
        })?;
        return into_rows(y, width);
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let weights = crate::gpu::NormWeights {
            weight,
            bias: None,
            epsilon,
        };
        return crate::gpu::normed(x, weights);
    }
    let x32 = x.to_dtype(DType::F32)?;
    let scale = (x32.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
    Ok(x32
        .broadcast_div(&scale)?
        .to_dtype(x.dtype())?
        .broadcast_mul(weight)?)
}

/// `(x − mean) / sqrt(variance + epsilon) · weight + bias`.
pub(crate) fn layer_norm(
    context: &ComputeContext,
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
) -> Result<Tensor> {
    if context.kernels {
        let width = x.dim(1)?;
        let y = with_values(x, |x| {
            with_values(weight, |weight| {
                with_values(bias, |bias| {
                    Ok(dense::layer_norm(x, weight, bias, epsilon as f32))
                })
            })
        })?;
        return into_rows(y, width);
    }
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let weights = crate::gpu::NormWeights {
            weight,
            bias: Some(bias),
            epsilon,
        };
        return crate::gpu::normed(x, weights);
    }
    let x32 = x.to_dtype(DType::F32)?;
    let centred = x32.broadcast_sub(&x32.mean_keepdim(D::Minus1)?)?;
    let scale = (centred.sqr()?.mean_keepdim(D::Minus1)? + epsilon)?.sqrt()?;
    let y = centred.broadcast_div(&scale)?.to_dtype(x.dtype())?;
    Ok(y.broadcast_mul(weight)?.broadcast_add(bias)?)
}

/// The activation of CPU values, in place.
pub(crate) fn activate_values(activation: Activation) -> fn(Vec<f32>) -> Vec<f32> {
    match activation {
        Activation::Gelu => dense::gelu,
        Activation::QuickGelu => dense::quick_gelu,
        Activation::GeluTanh => dense::gelu_tanh,
    }
}

/// Adds a bias to the columns of rows.
pub(crate) fn add_bias(x: &Tensor, bias: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        let nothing = fp_kernels::cuda::ActivationKind::None;
        return crate::gpu::activated(x, Some(bias), nothing);
    }
    Ok(x.broadcast_add(bias)?)
}

/// Sum of two tensors of rows.
pub(crate) fn add(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return crate::gpu::added(x, y);
    }
    Ok((x + y)?)
}

/// The activation of a tensor, after adding a bias.
pub(crate) fn activate(
    x: &Tensor,
    bias: Option<&Tensor>,
    activation: Activation,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        use fp_kernels::cuda::ActivationKind;
        let kind = match activation {
            Activation::Gelu => ActivationKind::Gelu,
            Activation::QuickGelu => ActivationKind::QuickGelu,
            Activation::GeluTanh => ActivationKind::GeluTanh,
        };
        return crate::gpu::activated(x, bias, kind);
    }
    let x = &with_bias(x, bias)?;
    Ok(match activation {
        Activation::Gelu => x.gelu_erf()?,
        Activation::GeluTanh => x.gelu()?,
        Activation::QuickGelu => (x * candle_nn::ops::sigmoid(&(x * 1.702)?)?)?,
    })
}

/// `silu(gate) · up` of rows `[T, 2 · width]`, gates in the first half, after adding a bias.
pub(crate) fn gated_silu(x: &Tensor, bias: Option<&Tensor>, width: usize) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return crate::gpu::gated(x, bias, width);
    }
    let x = &with_bias(x, bias)?;
    Ok((x.narrow(1, 0, width)?.silu()? * x.narrow(1, width, width)?)?)
}

fn with_bias(x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    bias.map_or_else(|| Ok(x.clone()), |bias| add_bias(x, bias))
}

/// Concatenates tensors along their first dimension.
pub(crate) fn concatenated<A: AsRef<Tensor>>(parts: &[A]) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let [first, _, ..] = parts
        && first.as_ref().device().is_cuda()
    {
        let parts: Vec<&Tensor> = parts.iter().map(AsRef::as_ref).collect();
        return crate::gpu::concatenated(&parts);
    }
    Ok(Tensor::cat(parts, 0)?)
}

/// The rows `rows` of `x`, in that order.
pub(crate) fn gather_rows(x: &Tensor, rows: &[usize]) -> Result<Tensor> {
    let rows: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    gather_ids(x, &rows)
}

/// Like [`gather_rows`], with ids as `u32`. Without ids the result is an empty view, since a GPU
/// can't launch a kernel on nothing.
pub(crate) fn gather_ids(x: &Tensor, ids: &[u32]) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return crate::gpu::rows_of(crate::gpu::Columns::all(x)?, ids);
    }
    if ids.is_empty() {
        return Ok(x.narrow(0, 0, 0)?);
    }
    Ok(x.index_select(&Tensor::new(ids, x.device())?, 0)?)
}

/// Softmax attention with the tensor library: queries `[H, Q, d]`, keys and values `[G, S, d]`,
/// where G divides H; row `q` attends to the first `visible[q]` keys. Returns the weights `[H, Q,
/// S]` in `f32`.
pub(crate) fn attention_weights(
    queries: &Tensor,
    keys: &Tensor,
    scale: f64,
    visible: &[usize],
) -> Result<Tensor> {
    let (num_heads, num_rows, _) = queries.dims3()?;
    let num_keys = keys.dim(1)?;
    let keys = repeat_heads(keys, num_heads)?;
    let scores = (queries
        .matmul(&keys.transpose(1, 2)?.contiguous()?)?
        .to_dtype(DType::F32)?
        * scale)?;
    let mask: Vec<f32> = visible
        .iter()
        .flat_map(|&seen| {
            (0..num_keys).map(move |key| if key < seen { 0.0 } else { f32::NEG_INFINITY })
        })
        .collect();
    let mask = Tensor::from_vec(mask, (1, num_rows, num_keys), queries.device())?;
    Ok(candle_nn::ops::softmax_last_dim(
        &scores.broadcast_add(&mask)?,
    )?)
}

/// Repeats `[G, S, d]` to `[H, S, d]`, each head H/G times in a row.
pub(crate) fn repeat_heads(x: &Tensor, num_heads: usize) -> Result<Tensor> {
    let (groups, len, width) = x.dims3()?;
    let repeats = num_heads / groups;
    if repeats == 1 {
        return Ok(x.contiguous()?);
    }
    Ok(x.unsqueeze(1)?
        .broadcast_as((groups, repeats, len, width))?
        .reshape((num_heads, len, width))?)
}

/// Columns `columns` of `rows` of `[T, stride]`, as heads `[heads, rows, width]`.
pub(crate) fn heads_of(
    x: &Tensor,
    rows: Range<usize>,
    columns: Range<usize>,
    head_dim: usize,
) -> Result<Tensor> {
    let heads = columns.len() / head_dim;
    Ok(x.narrow(0, rows.start, rows.len())?
        .narrow(1, columns.start, columns.len())?
        .reshape((rows.len(), heads, head_dim))?
        .transpose(0, 1)?
        .contiguous()?)
}
