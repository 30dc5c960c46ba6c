//! Matrices in the form that the place of computation wants.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use fp_kernels::dense::{self, PackedMatrix, Start};

use crate::error::Result;
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
                Ok(match &self.bias {
                    Some(bias) => y.broadcast_add(bias)?,
                    None => y,
                })
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
            Weight::Dense(_) => Ok((residual + self.forward(x)?)?),
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
}
