//! The residual stream of a run through layers: one buffer to which norms add as they read it, so
//! that no addition needs a launch of its own.

use candle_core::{CudaDevice, Tensor};
use cudarc::driver::CudaSlice;

use super::cuda_device;
use super::gather::{Columns, rows_of};
use super::rows::{NormWeights, add_and_norm, add_to, norm_of};
use super::values::{Element, copy_of, tensor};
use crate::error::Result;

/// The residual stream `[T, D]`, and the output of the last matrix product, not added yet.
pub(crate) struct Residual<'a, T> {
    device: &'a CudaDevice,
    values: CudaSlice<T>,
    add: Option<Tensor>,
    dims: (usize, usize),
}

impl<'a, T: Element> Residual<'a, T> {
    /// Copies hidden states `[T, D]` into a new residual stream.
    pub(crate) fn of(hidden: &'a Tensor) -> Result<Residual<'a, T>> {
        Ok(Residual {
            device: cuda_device(hidden)?,
            values: copy_of::<T>(hidden)?,
            add: None,
            dims: hidden.dims2()?,
        })
    }

    /// Sets rows `[T, D]` that the next norm adds before it reads.
    pub(crate) fn add(&mut self, rows: Tensor) {
        debug_assert!(self.add.is_none(), "a norm stands between additions");
        self.add = Some(rows);
    }

    /// The norm of the residual stream after pending rows are added.
    pub(crate) fn normed(&mut self, weights: NormWeights<'_>) -> Result<Tensor> {
        let num_rows = self.dims.0;
        match self.add.take() {
            None => norm_of(self.device, &self.values, num_rows, weights),
            Some(add) => add_and_norm(self.device, &mut self.values, &add, num_rows, weights),
        }
    }

    /// Keeps only some rows. No rows may be pending: call it after a norm.
    pub(crate) fn keep(self, rows: &[u32]) -> Result<Residual<'a, T>> {
        debug_assert!(self.add.is_none(), "rows are chosen behind a norm");
        let all = tensor(self.values, self.dims, self.device);
        Ok(Residual {
            values: copy_of(&rows_of(Columns::all(&all)?, rows)?)?,
            dims: (rows.len(), self.dims.1),
            ..self
        })
    }

    /// The sum of everything, `[T, D]`.
    pub(crate) fn finish(mut self) -> Result<Tensor> {
        if let Some(add) = &self.add {
            add_to(self.device, &mut self.values, add, self.dims.0)?;
        }
        Ok(tensor(self.values, self.dims, self.device))
    }
}
