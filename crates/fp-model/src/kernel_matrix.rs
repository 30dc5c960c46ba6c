//! Weight matrices in the forms that this project's CPU kernels take.

use std::sync::Arc;

use fp_kernels::dense::{self, HalfFormat, HalfMatrix, PackedMatrix, Start};

/// A weight matrix `[out, in]` for the CPU kernels.
#[derive(Debug, Clone)]
pub(crate) enum KernelMatrix {
    /// In `f32`, repacked.
    Packed(Arc<PackedMatrix>),
    /// In two bytes a value, as stored.
    Half {
        matrix: Arc<HalfMatrix>,
        /// Whether rows are rounded to `bf16` before they are multiplied.
        rows_in_bf16: bool,
    },
}

impl KernelMatrix {
    pub(crate) fn packed(matrix: PackedMatrix) -> KernelMatrix {
        KernelMatrix::Packed(Arc::new(matrix))
    }

    /// Rows are rounded if `round_rows` is set and the weights are `bf16`.
    pub(crate) fn half(matrix: HalfMatrix, round_rows: bool) -> KernelMatrix {
        KernelMatrix::Half {
            rows_in_bf16: round_rows && matrix.format() == HalfFormat::Bf16,
            matrix: Arc::new(matrix),
        }
    }

    pub(crate) fn num_out(&self) -> usize {
        match self {
            KernelMatrix::Packed(matrix) => matrix.num_out(),
            KernelMatrix::Half { matrix, .. } => matrix.num_out(),
        }
    }

    pub(crate) fn num_in(&self) -> usize {
        match self {
            KernelMatrix::Packed(matrix) => matrix.num_in(),
            KernelMatrix::Half { matrix, .. } => matrix.num_in(),
        }
    }

    /// The values of row `row`.
    pub(crate) fn row(&self, row: usize) -> Vec<f32> {
        match self {
            KernelMatrix::Packed(matrix) => matrix.row(row),
            KernelMatrix::Half { matrix, .. } => matrix.row(row),
        }
    }

    /// `start + x Wᵀ`.
    pub(crate) fn linear(&self, x: &[f32], num_rows: usize, start: Start<'_>) -> Vec<f32> {
        match self {
            KernelMatrix::Packed(matrix) => dense::linear(x, num_rows, &**matrix, start),
            KernelMatrix::Half {
                matrix,
                rows_in_bf16: false,
            } => dense::linear(x, num_rows, &**matrix, start),
            KernelMatrix::Half { matrix, .. } => dense::linear_bf16(x, num_rows, matrix, start),
        }
    }
}
