//! Rows `[T, D]` of a model: norms, activations, embeddings, rows by index.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{CudaDevice, Tensor};
use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::cuda::{
    Activate, ActivationKind, ErrorWord, FROM_TABLE, FeatureRows, GatedSilu, GatherRows, Norm,
    NormInput, NormKind, RowTable, RowsTo, activate, choose, gated_silu, gather_rows, norm,
};
use std::sync::Arc;

use super::values::{Element, by_format, copy_of, tensor, view};
use super::{cuda_device, driver, gpu, uninitialised};
use crate::error::{ModelError, Result};

/// Calls `f` with this thread's error word on the device: everything that a thread enqueues
/// tells what is wrong with its data in one word, which [`choose_tokens`] reads with the
/// tokens.
pub(crate) fn with_word<R>(
    stream: &Arc<CudaStream>,
    f: impl FnOnce(&mut ErrorWord) -> Result<R>,
) -> Result<R> {
    thread_local! {
        static WORDS: RefCell<HashMap<usize, ErrorWord>> = RefCell::default();
    }
    WORDS.with_borrow_mut(|words| {
        let ordinal = stream.context().ordinal();
        let word = match words.entry(ordinal) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(gpu(ErrorWord::new(stream))?)
            }
        };
        f(word)
    })
}

/// A norm's parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NormWeights<'a> {
    /// `[D]`.
    pub(crate) weight: &'a Tensor,
    /// `[D]` of a layer norm; none of an RMS norm.
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
    // The norm's kernel adds; what it norms is dropped, and so any weight will do.
    let weights = NormWeights {
        weight: &y.narrow(0, 0, 1)?.flatten_all()?,
        bias: None,
        epsilon: 1.0,
    };
    added_and_normed(x, y, weights).map(|(sum, _)| sum)
}

/// Adds rows `add [T, D]` to the residual stream and returns the norm of the sum.
pub(crate) fn add_and_norm<T: Element>(
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

/// The norm of the residual stream as it is.
pub(crate) fn norm_of<T: Element>(
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

/// `silu(gate) · up` of `[T, 2 · width]`, gates first, a bias added before.
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

/// Rows of a table, columns `first .. first + width` of each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a> {
    /// `[V, stride]`.
    pub(crate) table: &'a Tensor,
    pub(crate) first: usize,
    pub(crate) width: usize,
}

impl<'a> Columns<'a> {
    /// All columns.
    pub(crate) fn all(table: &'a Tensor) -> Result<Columns<'a>> {
        Ok(Columns {
            table,
            first: 0,
            width: table.dim(1)?,
        })
    }
}

/// Rows `ids` of a table, which are known to be in it.
pub(crate) fn rows_of(columns: Columns<'_>, ids: &[u32]) -> Result<Tensor> {
    by_format!(columns.table.dtype(), "rows", gathered(columns, None, ids))
}

/// Rows `ids` of a table `[V, D]` followed by the rows of `features [F, D]`: an id of V or
/// more is row id − V of the features.
pub(crate) fn rows_of_both(table: &Tensor, features: &Tensor, ids: &[u32]) -> Result<Tensor> {
    let columns = Columns::all(table)?;
    by_format!(
        table.dtype(),
        "rows",
        gathered(columns, Some(features), ids)
    )
}

fn gathered<T: Element>(
    columns: Columns<'_>,
    features: Option<&Tensor>,
    ids: &[u32],
) -> Result<Tensor> {
    let Columns {
        table,
        first,
        width,
    } = columns;
    let (num_rows, stride) = table.dims2()?;
    if ids.is_empty() {
        return Ok(table.narrow(0, 0, 0)?.narrow(1, first, width)?);
    }
    let device = cuda_device(table)?;
    let stream = device.cuda_stream();
    let mut out = uninitialised::<T>(&stream, ids.len() * width)?;
    let (storage, _) = table.storage_and_layout();
    let features_storage = features.map(|features| (features.storage_and_layout().0, features));
    // Where features are: one upload, the ids of the table and those of the features.
    let mut uploaded = ids.to_vec();
    if features.is_some() {
        let split = num_rows as u32;
        uploaded.extend(
            ids.iter()
                .map(|id| id.checked_sub(split).unwrap_or(FROM_TABLE)),
        );
    }
    let uploaded = driver("row indices", stream.clone_htod(&uploaded))?;
    let wanted = match &features_storage {
        None => None,
        Some((storage, features)) => Some(FeatureRows {
            features: RowTable {
                values: view::<T>(storage, features)?,
                num_rows: features.dim(0)?,
                stride: width,
            },
            rows: uploaded.slice(ids.len()..),
        }),
    };
    let all = view::<T>(&storage, table)?;
    with_word(&stream, |error| {
        let call = GatherRows {
            width,
            table: RowTable {
                values: all.slice(first..),
                num_rows,
                stride,
            },
            indices: uploaded.slice(..ids.len()),
            features: wanted,
            out: out.as_view_mut(),
            error,
        };
        gpu(gather_rows(&stream, call))
    })?;
    Ok(tensor(out, (ids.len(), width), device))
}

/// What greedy decoding takes of a sequence's logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Distance of the two largest logits; infinite where there is one.
    pub(crate) margin: f32,
    pub(crate) is_finite: bool,
}

/// The choice of each row of logits `[B, V]`; waits for the device, once.
///
/// # Errors
/// What this thread's launches found wrong with their data, a GPU that fails.
pub(crate) fn choose_tokens(logits: &Tensor) -> Result<Vec<Choice>> {
    by_format!(logits.dtype(), "logits", chosen(logits))
}

fn chosen<T: Element>(logits: &Tensor) -> Result<Vec<Choice>> {
    let (batch_size, vocabulary) = logits.dims2()?;
    let stream = cuda_device(logits)?.cuda_stream();
    let (storage, _) = logits.storage_and_layout();
    let values = view::<T>(&storage, logits)?;
    with_word(&stream, |word| {
        let choices = gpu(choose(&stream, [batch_size, vocabulary], values, word))?;
        let choices = match gpu(choices.read(&stream)) {
            Ok(choices) => choices,
            Err(error) => {
                gpu(word.reset(&stream))?;
                return Err(error);
            }
        };
        if choices.iter().any(|choice| choice.is_finite == 0) {
            gpu(word.reset(&stream))?;
        }
        Ok(choices
            .iter()
            .map(|choice| Choice {
                token: choice.token,
                margin: choice.margin,
                is_finite: choice.is_finite != 0,
            })
            .collect())
    })
}

/// Checks that all values of a dense tensor are finite; waits for the device, once.
pub(crate) fn check_finite(tensor: &Tensor, what: &'static str) -> Result<()> {
    let width = tensor.dims().last().copied().unwrap_or(1).max(1);
    if tensor.elem_count() == 0 {
        return Ok(());
    }
    let rows = tensor.reshape((tensor.elem_count() / width, width))?;
    let choices = choose_tokens(&rows)?;
    let Some(row) = choices.iter().position(|choice| !choice.is_finite) else {
        return Ok(());
    };
    let values = super::values::host_values(&rows.narrow(0, row, 1)?)?;
    let at = values.iter().position(|value| !value.is_finite());
    Err(ModelError::NotFinite {
        what,
        index: row * width + at.unwrap_or(0),
    })
}
