//! Matrices in `f64`, and operations with a fixed order of summation.

use rayon::prelude::*;

use crate::Matrix;

/// A dense matrix in `f64`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    values: Vec<f64>,
    num_columns: usize,
}

impl Dense {
    /// Values `[rows, columns]`; `None` if they don't fill whole rows.
    pub fn new(values: Vec<f64>, num_columns: usize) -> Option<Dense> {
        let is_whole = num_columns > 0 && values.len().is_multiple_of(num_columns);
        is_whole.then_some(Dense {
            values,
            num_columns,
        })
    }

    /// A matrix from rows of equal width.
    pub(crate) fn from_rows(rows: Vec<Vec<f64>>, num_columns: usize) -> Dense {
        debug_assert!(rows.iter().all(|row| row.len() == num_columns));
        Dense {
            values: rows.into_iter().flatten().collect(),
            num_columns,
        }
    }

    /// Number of rows.
    pub fn num_rows(&self) -> usize {
        self.values.len() / self.num_columns
    }

    /// Number of columns.
    pub fn num_columns(&self) -> usize {
        self.num_columns
    }

    /// One row.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.num_columns..][..self.num_columns]
    }

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.num_columns)
    }

    /// All values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// `count` rows from index `start` on.
    pub(crate) fn slice(&self, start: usize, count: usize) -> Dense {
        let width = self.num_columns;
        Dense {
            values: self.values[start * width..(start + count) * width].to_vec(),
            num_columns: width,
        }
    }

    /// Mean over rows, `[columns]`.
    pub(crate) fn column_means(&self) -> Vec<f64> {
        let count = self.num_rows() as f64;
        self.column_sums()
            .into_iter()
            .map(|sum| sum / count)
            .collect()
    }

    /// Sum over rows, `[columns]`.
    pub(crate) fn column_sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.num_columns];
        for row in self.rows() {
            add(&mut sums, row, 1.0);
        }
        sums
    }

    /// Rows divided by their norms; a zero row stays zero.
    pub(crate) fn normalized(&self) -> Dense {
        let mut values = self.values.clone();
        for row in values.chunks_exact_mut(self.num_columns) {
            let norm = dot(row, row).sqrt();
            if norm > 0.0 {
                row.iter_mut().for_each(|value| *value /= norm);
            }
        }
        Dense {
            values,
            num_columns: self.num_columns,
        }
    }

    /// Products of all rows with all rows of `other`, `[rows, other's rows]`; each is one sum in
    /// a fixed order, for any number of threads.
    pub(crate) fn products(&self, other: &Dense) -> Dense {
        let width = other.num_rows();
        let mut values = vec![0.0; self.num_rows() * width];
        values
            .par_chunks_mut(width.max(1))
            .enumerate()
            .for_each(|(index, out)| {
                let row = self.row(index);
                for (value, other) in out.iter_mut().zip(other.rows()) {
                    *value = dot(row, other);
                }
            });
        Dense {
            values,
            num_columns: width.max(1),
        }
    }
}

impl From<Matrix<'_>> for Dense {
    fn from(matrix: Matrix<'_>) -> Dense {
        Dense {
            values: matrix
                .values()
                .iter()
                .map(|&value| f64::from(value))
                .collect(),
            num_columns: matrix.num_columns(),
        }
    }
}

/// Σ a·b in eight interleaved sums that are added in pairs, followed by the remainder.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    debug_assert_eq!(a.len(), b.len());
    let mut sums = [0.0; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    let pairs = [
        sums[0] + sums[4],
        sums[1] + sums[5],
        sums[2] + sums[6],
        sums[3] + sums[7],
    ];
    (pairs[0] + pairs[2]) + (pairs[1] + pairs[3]) + rest
}

/// target += weight · row.
pub(crate) fn add(target: &mut [f64], row: &[f64], weight: f64) {
    for (target, value) in target.iter_mut().zip(row) {
        *target += weight * value;
    }
}

/// ‖a − b‖.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
    squares.sum::<f64>().sqrt()
}

/// Softmax in place.
pub(crate) fn softmax(row: &mut [f64]) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut()
        .for_each(|value| *value = (*value - largest).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|value| *value /= sum);
}
