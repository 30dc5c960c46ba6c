//! Matrices in the form that the place of computation wants.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use fp_kernels::dense::{self, PackedMatrix, Start};

use crate::config::Activation;
use crate::error::Result;
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
    Packed(Arc<PackedMatrix>),
    /// `[out, in]`, for the tensor library.
    Dense(Tensor),
}

impl Linear {
    pub(crate) fn packed(weight: Arc<PackedMatrix>, bias: Option<Tensor>) -> Linear {
        Linear {
            weight: Weight::Packed(weight),
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
            Weight::Packed(weight) => {
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
            Weight::Packed(weight) => {
                let values = self.product(x, weight, None)?;
                into_rows(ops::activate_values(activation)(values), weight.num_out())
            }
            Weight::Dense(weight) => {
                let y = x.matmul(&weight.t()?)?;
                ops::activate(&y, self.bias.as_ref(), activation)
            }
        }
    }

    /// `silu(gate) · up` of `x Wᵀ + b [T, 2 · width]`, gates first.
    pub(crate) fn gated(&self, x: &Tensor, width: usize) -> Result<Tensor> {
        match &self.weight {
            Weight::Packed(weight) => {
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
            Weight::Packed(weight) => {
                let values = self.product(x, weight, Some(residual))?;
                into_rows(values, weight.num_out())
            }
            Weight::Dense(_) => ops::add(residual, &self.forward(x)?),
        }
    }

    /// `finish(x Wᵀ + b)` where `finish` works on the CPU's values in place;
    /// `None` where this layer isn't in the CPU kernels' form.
    pub(crate) fn forward_then(
        &self,
        x: &Tensor,
        finish: impl FnOnce(Vec<f32>) -> Vec<f32>,
        out_width: usize,
    ) -> Result<Option<Tensor>> {
        match &self.weight {
            Weight::Packed(weight) => {
                let values = finish(self.product(x, weight, None)?);
                into_rows(values, out_width).map(Some)
            }
            Weight::Dense(_) => Ok(None),
        }
    }

    fn product(
        &self,
        x: &Tensor,
        weight: &PackedMatrix,
        residual: Option<&Tensor>,
    ) -> Result<Vec<f32>> {
        let num_rows = x.dim(0)?;
        with_values(x, |x| match (&self.bias, residual) {
            (None, None) => Ok(dense::linear(x, num_rows, weight, Start::Zero)),
            (Some(bias), None) => with_values(bias, |bias| {
                Ok(dense::linear(x, num_rows, weight, Start::Bias(bias)))
            }),
            (None, Some(residual)) => with_values(residual, |residual| {
                Ok(dense::linear(
                    x,
                    num_rows,
                    weight,
                    Start::Residual(residual),
                ))
            }),
            (Some(bias), Some(residual)) => with_values(bias, |bias| {
                with_values(residual, |residual| {
                    Ok(dense::linear(
                        x,
                        num_rows,
                        weight,
                        Start::BiasAndResidual(bias, residual),
                    ))
                })
            }),
        })
    }

    fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        match &self.weight {
            Weight::Packed(weight) => {
                let values = ids.iter().flat_map(|&id| weight.row(id as usize)).collect();
                into_rows(values, weight.num_in())
            }
            Weight::Dense(weight) => ops::gather_ids(weight, ids),
        }
    }
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
    /// The output layer's matrix.
    Tied(Linear),
}

impl Embedding {
    /// The rows of `ids`, `[ids, D]`; ids are known to be inside the table.
    pub(crate) fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        match self {
            Embedding::Table(table) => ops::gather_ids(table, ids),
            Embedding::Tied(head) => head.rows(ids),
        }
    }

    /// As [`Embedding::rows`] on a GPU, rows of `features [F, D]` among them, in one launch.
    #[cfg(feature = "cuda")]
    pub(crate) fn rows_with(&self, rows: &[Row], features: &Tensor) -> Result<Tensor> {
        let table = match self {
            Embedding::Table(table) => table,
            Embedding::Tied(Linear {
                weight: Weight::Dense(table),
                ..
            }) => table,
            Embedding::Tied(_) => {
                return Err(crate::error::ModelError::InputValue {
                    what: "the place of the embeddings",
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
