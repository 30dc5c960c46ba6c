//! Errors in an operation's arguments, found before any work.

/// An argument that an operation can't be run with.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A buffer's length contradicts its shape.
    #[error("{op}: {tensor} has {got} values, its shape {shape:?} needs {expected}")]
    ShapeMismatch {
        /// Operation that was called.
        op: &'static str,
        /// Argument at fault.
        tensor: &'static str,
        /// Shape as given by the caller.
        shape: Vec<usize>,
        /// Number of values that the shape needs.
        expected: usize,
        /// Number of values found.
        got: usize,
    },
    /// A dimension that must be at least one is zero.
    #[error("{op}: {tensor} of shape {shape:?} is empty; every dimension must be at least 1")]
    EmptyShape {
        /// Operation that was called.
        op: &'static str,
        /// Argument at fault.
        tensor: &'static str,
        /// Shape as given by the caller.
        shape: Vec<usize>,
    },
    /// An attention value that no softmax produces: NaN, infinite or negative.
    #[error(
        "row {row} holds {value} at position {position}; attention after a softmax is finite and not negative"
    )]
    InvalidAttention {
        /// Row in the flat `[rows, N]` input.
        row: usize,
        /// Position in the row.
        position: usize,
        /// The value found.
        value: f64,
    },
    /// An index outside the dimension it selects from.
    #[error("{op}: index {index} is outside 0..{len}")]
    IndexOutOfRange {
        /// Operation that was called.
        op: &'static str,
        /// The index.
        index: usize,
        /// Length of the dimension.
        len: usize,
    },
    /// A count of zero, or above the number of elements.
    #[error("{op}: can't keep {count} of {len}; must be between 1 and {len}")]
    CountOutOfRange {
        /// Operation that was called.
        op: &'static str,
        /// Number requested.
        count: usize,
        /// Number of elements.
        len: usize,
    },
}

/// Checks that `values` fills `shape` and that no dimension is zero.
pub(crate) fn check_shape(
    op: &'static str,
    tensor: &'static str,
    shape: &[usize],
    got: usize,
) -> Result<(), KernelError> {
    if shape.contains(&0) {
        return Err(KernelError::EmptyShape {
            op,
            tensor,
            shape: shape.to_vec(),
        });
    }
    let expected = shape
        .iter()
        .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
        .unwrap_or(usize::MAX);
    if expected != got {
        return Err(KernelError::ShapeMismatch {
            op,
            tensor,
            shape: shape.to_vec(),
            expected,
            got,
        });
    }
    Ok(())
}
