//! Dense matrices that selectors read.

/// A dense matrix, row-major.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    num_columns: usize,
}

impl<'a> Matrix<'a> {
    /// Values `[rows, columns]`; `None` if they don't fill whole rows.
    pub fn new(values: &'a [f32], num_columns: usize) -> Option<Matrix<'a>> {
        let is_whole = num_columns > 0 && values.len().is_multiple_of(num_columns);
        is_whole.then_some(Matrix {
            values,
            num_columns,
        })
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.values.len() / self.num_columns
    }

    /// Number of columns.
    pub fn num_columns(&self) -> usize {
        self.num_columns
    }

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &'a [f32]> {
        self.values.chunks_exact(self.num_columns)
    }

    /// All values.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }
}
