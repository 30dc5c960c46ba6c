//! Linear layers and embeddings, with matrices in the form that the device requires.

use candle_core::{Device, Tensor};
use fp_kernels::dense::{self, Start};

use crate::config::Activation;
use crate::error::Result;
use crate::kernel_matrix::KernelMatrix;
#[cfg(feature = "cuda")]
use crate::llama::Row;
use crate::ops::{self, with_values};

/// A linear layer: `x [T, in] → x Wᵀ + b [T, out]`.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
}

#[derive(Debug, Clone)]
enum Weight {
    /// For this project's CPU kernels.
    Kernels(KernelMatrix),
    /// `[out, in]`, for the tensor library.
    Dense(Tensor),
}

impl Linear {
    pub(crate) fn kernels(weight: KernelMatrix, bias: Option<Tensor>) -> Linear {
        Linear {
            weight: Weight::Kernels(weight),
            bias,
        }
    }

    pub(crate) fn dense(weight: Tensor, bias: Option<Tensor>) -> Linear {
        Linear {
            weight: Weight::Dense(weight),
            bias,
        }
    }

    /// `x Wᵀ + b`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.weight {
            Weight::Kernels(weight) => {
                let values = self.product(x, weight, None)?;
                into_rows(values, weight.num_out())
            }
            Weight::Dense(weight) => {
                let y = x.matmul(&weight.t()?)?;
                match &self.bias {
                    Some(bias) => ops::add_bias(&y, bias),
                    None => Ok(y),
                }
            }
        }
    }

    /// `activation(x Wᵀ + b)`.
    pub(crate) fn activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match &self.weight {
            Weight::Kernels(weight) => {
                let values = self.product(x, weight, None)?;
                into_rows(ops::activate_values(activation)(values), weight.num_out())
            }
            Weight::Dense(weight) => {
                let y = x.matmul(&weight.t()?)?;
                ops::activate(&y, self.bias.as_ref(), activation)
            }
        }
    }

    /// `silu(gate) · up` of `x Wᵀ + b [T, 2 · width]`, gates in the first half.
    pub(crate) fn gated(&self, x: &Tensor, width: usize) -> Result<Tensor> {
        match &self.weight {
            Weight::Kernels(weight) => {
                let values = self.product(x, weight, None)?;
                into_rows(dense::gated_silu(&values, width), width)
            }
            Weight::Dense(weight) => {
                let y = x.matmul(&weight.t()?)?;
                ops::gated_silu(&y, self.bias.as_ref(), width)
            }
        }
    }

    /// `residual + x Wᵀ + b`.
    pub(crate) fn forward_onto(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        match &self.weight {
            Weight::Kernels(weight) => {
                let values = self.product(x, weight, Some(residual))?;
                into_rows(values, weight.num_out())
            }
            Weight::Dense(_) => ops::add(residual, &self.forward(x)?),
        }
    }

    /// `finish(x Wᵀ + b)`, with `finish` working in place on CPU values; `None` if this layer isn't
    /// in the CPU kernels' form.
    pub(crate) fn forward_then(
        &self,
        x: &Tensor,
        finish: impl FnOnce(Vec<f32>) -> Vec<f32>,
        out_width: usize,
    ) -> Result<Option<Tensor>> {
        match &self.weight {
            Weight::Kernels(weight) => {
                let values = finish(self.product(x, weight, None)?);
                into_rows(values, out_width).map(Some)
            }
            Weight::Dense(_) => Ok(None),
        }
    }

    fn product(
        &self,
        x: &Tensor,
        weight: &KernelMatrix,
        residual: Option<&Tensor>,
    ) -> Result<Vec<f32>> {
        let num_rows = x.dim(0)?;
        with_values(x, |x| match (&self.bias, residual) {
            (None, None) => Ok(weight.linear(x, num_rows, Start::Zero)),
            (Some(bias), None) => with_values(bias, |bias| {
                Ok(weight.linear(x, num_rows, Start::Bias(bias)))
            }),
            (None, Some(residual)) => with_values(residual, |residual| {
                Ok(weight.linear(x, num_rows, Start::Residual(residual)))
            }),
            (Some(bias), Some(residual)) => with_values(bias, |bias| {
                with_values(residual, |residual| {
                    let start = Start::BiasAndResidual(bias, residual);
                    Ok(weight.linear(x, num_rows, start))
                })
            }),
        })
    }

    fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        match &self.weight {
            Weight::Kernels(weight) => kernel_rows(weight, ids),
            Weight::Dense(weight) => ops::gather_ids(weight, ids),
        }
    }
}

/// The rows `ids` of a matrix, `[ids, in]`.
fn kernel_rows(matrix: &KernelMatrix, ids: &[u32]) -> Result<Tensor> {
    let values = ids.iter().flat_map(|&id| matrix.row(id as usize)).collect();
    into_rows(values, matrix.num_in())
}

/// A `[_, width]` tensor of CPU values.
pub(crate) fn into_rows(values: Vec<f32>, width: usize) -> Result<Tensor> {
    let num_rows = values.len() / width.max(1);
    Ok(Tensor::from_vec(values, (num_rows, width), &Device::Cpu)?)
}

/// A table of token embeddings.
#[derive(Debug, Clone)]
pub(crate) enum Embedding {
    /// A table of its own, `[vocab, D]`.
    Table(Tensor),
    /// The same in two bytes a value, as stored.
    Stored(KernelMatrix),
    /// The output layer's matrix.
    Tied(Linear),
}

impl Embedding {
    /// The rows `ids`, `[ids, D]`; the ids must be in range.
    pub(crate) fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        match self {
            Embedding::Table(table) => ops::gather_ids(table, ids),
            Embedding::Stored(table) => kernel_rows(table, ids),
            Embedding::Tied(head) => head.rows(ids),
        }
    }

    /// Like [`Embedding::rows`] on a GPU, with rows of `features [F, D]` in between, in one launch.
    #[cfg(feature = "cuda")]
    pub(crate) fn rows_with(&self, rows: &[Row], features: &Tensor) -> Result<Tensor> {
        let table = match self {
            Embedding::Table(table) => table,
            Embedding::Tied(Linear {
                weight: Weight::Dense(table),
                ..
            }) => table,
            Embedding::Stored(_) | Embedding::Tied(_) => {
                return Err(crate::error::ModelError::InputValue {
                    what: "the device of the embeddings",
                    found: "the CPU".to_owned(),
                    expected: "a GPU".to_owned(),
                });
            }
        };
        let num_rows = table.dim(0)?;
        let ids = rows.iter().map(|row| match *row {
            Row::Token(id) => id,
            Row::Feature(index) => (num_rows + index) as u32,
        });
        let ids: Vec<u32> = ids.collect();
        crate::gpu::rows_of_both(table, features, &ids)
    }
}
