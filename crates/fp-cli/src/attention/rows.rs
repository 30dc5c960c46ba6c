//! Query rows over whole sequences; only the image's part is kept.

use anyhow::{Context, Result, bail};
use fp_scoring::TokenLayout;

use super::values::{check_values, sum_of};
use super::{QueryRows, Slab, Value};
use crate::dump::{Dump, Tensor, Values};
use crate::memory::{Array, Attention};

/// Query rows of one slab.
#[derive(Debug)]
pub(crate) struct ImageRows {
    /// `[H, Q, N]`.
    pub(crate) values: Values,
    /// Sums of the rows over the whole sequence.
    pub(crate) row_sums: RowSums,
}

/// Whether whole rows sum to 1, as they do after a softmax.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowSums {
    num_rows: usize,
    /// Number of rows whose distance from 1 exceeds the precision's rounding.
    num_off: usize,
    /// The sum farthest from 1; `place` names its row.
    worst: f64,
    place: String,
}

impl Default for RowSums {
    fn default() -> Self {
        RowSums {
            num_rows: 0,
            num_off: 0,
            worst: 1.0,
            place: String::new(),
        }
    }
}

impl RowSums {
    /// Adds the row sums of another slab.
    pub(crate) fn merge(&mut self, other: &RowSums) {
        self.num_rows += other.num_rows;
        self.num_off += other.num_off;
        if (other.worst - 1.0).abs() > (self.worst - 1.0).abs() {
            (self.worst, self.place) = (other.worst, other.place.clone());
        }
    }

    /// Warning about rows that don't look like a softmax's.
    pub(crate) fn warning(&self) -> Option<String> {
        (self.num_off > 0).then(|| {
            format!(
                "{} of {} attention rows don't sum to 1 (furthest off: {}, of {}); is this attention after the softmax?",
                self.num_off, self.num_rows, self.worst, self.place
            )
        })
    }

    fn add(&mut self, sum: f64, tolerance: f64, place: impl FnOnce() -> String) {
        self.num_rows += 1;
        self.num_off += usize::from((sum - 1.0).abs() > tolerance);
        if (sum - 1.0).abs() > (self.worst - 1.0).abs() {
            (self.worst, self.place) = (sum, place());
        }
    }
}

/// The rows over whole sequences in one tensor.
pub(crate) struct Squares<'a> {
    pub(crate) tensor: &'a Tensor,
    pub(crate) num_heads: usize,
    pub(crate) layout: TokenLayout,
    /// Positions of its rows.
    pub(crate) rows: &'a QueryRows,
}

impl Squares<'_> {
    /// Index of the tensor's row at `position`.
    ///
    /// # Errors
    /// A position without a row.
    pub(crate) fn row_of(&self, position: usize) -> Result<usize> {
        self.rows.index_of(position).with_context(|| {
            format!(
                "tensor `{}` has no row of position {position}; it has those of {}",
                self.tensor.name, self.rows
            )
        })
    }

    /// Reads the query rows of one slab at `positions`, ascending. Each whole row is checked; only
    /// its image part is returned.
    pub(crate) fn read(
        &self,
        dump: &mut Dump,
        slab: Slab,
        positions: &[usize],
    ) -> Result<ImageRows> {
        let (tensor, sequence) = (self.tensor, self.layout.sequence_len());
        let capacity = self.num_heads * positions.len() * self.layout.num_image;
        let mut values = tensor.precision.empty(capacity);
        let mut row_sums = RowSums::default();
        for head in 0..self.num_heads {
            // Consecutive rows are contiguous in the file.
            for run in positions.chunk_by(|a, b| a + 1 == *b) {
                let before = (slab.index * self.num_heads + head) * self.rows.len();
                let first = before + self.row_of(run[0])?;
                let whole = dump.read(tensor, first * sequence, run.len() * sequence)?;
                let mut taken = self.taken(slab, head, &mut row_sums);
                match (&mut values, &whole) {
                    (Values::F64(values), Values::F64(whole)) => taken.take(run, whole, values)?,
                    (Values::F32(values), Values::F32(whole)) => taken.take(run, whole, values)?,
                    // All values of a tensor have one precision.
                    _ => bail!("tensor `{}` changed its precision", tensor.name),
                }
            }
        }
        Ok(ImageRows { values, row_sums })
    }

    /// As [`Squares::read`], from an array in memory: `[H, Q, N]`.
    pub(crate) fn of_array<T: Attention>(
        &self,
        array: &Array<'_, T>,
        slab: Slab,
        positions: &[usize],
        row_sums: &mut RowSums,
    ) -> Result<Vec<T::Key>> {
        let capacity = self.num_heads * positions.len() * self.layout.num_image;
        let mut values = Vec::with_capacity(capacity);
        for head in 0..self.num_heads {
            let mut taken = self.taken(slab, head, &mut *row_sums);
            for &position in positions {
                let whole = array.row(slab.index, head, self.row_of(position)?);
                taken.take(&[position], &T::to_keys(&whole), &mut values)?;
            }
        }
        Ok(values)
    }

    fn taken<'a>(&'a self, slab: Slab, head: usize, row_sums: &'a mut RowSums) -> Taken<'a> {
        Taken {
            tensor: self.tensor,
            layout: &self.layout,
            place: format!("{}head {head}", slab.place()),
            row_sums,
        }
    }
}

/// Collects the image's part of whole rows of one head.
struct Taken<'a> {
    tensor: &'a Tensor,
    layout: &'a TokenLayout,
    /// Position of the rows, for errors.
    place: String,
    row_sums: &'a mut RowSums,
}

impl Taken<'_> {
    fn take<T: Value>(&mut self, rows: &[usize], whole: &[T], values: &mut Vec<T>) -> Result<()> {
        let sequence = self.layout.sequence_len();
        for (row, whole) in rows.iter().zip(whole.chunks_exact(sequence)) {
            check_values(whole).with_context(|| {
                format!("{}, row {row} of tensor `{}`", self.place, self.tensor.name)
            })?;
            let sum = sum_of(whole);
            let tolerance = self.tensor.precision.row_sum_tolerance();
            let place = || format!("{}, row {row}", self.place);
            self.row_sums.add(sum, tolerance, place);
            values.extend_from_slice(&whole[self.layout.image_range()]);
        }
        Ok(())
    }
}
