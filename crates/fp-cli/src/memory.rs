//! Attention in memory: an array with strides, of which only the needed parts are read.

use std::borrow::Cow;

use anyhow::{Result, ensure};
use fp_kernels::Element;
use half::{bf16, f16};

use crate::attention::Value;
use crate::dump::Precision;

/// A number type of attention in memory.
pub(crate) trait Attention: Element<Key: Value> {
    const PRECISION: Precision;
}

impl Attention for f64 {
    const PRECISION: Precision = Precision::F64;
}

impl Attention for f32 {
    const PRECISION: Precision = Precision::F32;
}

impl Attention for f16 {
    const PRECISION: Precision = Precision::F16;
}

impl Attention for bf16 {
    const PRECISION: Precision = Precision::Bf16;
}

/// Borrowed elements in one of the number types of attention in memory.
#[derive(Debug, Clone, Copy)]
pub enum Elements<'a> {
    /// 64 bits.
    F64(&'a [f64]),
    /// 32 bits.
    F32(&'a [f32]),
    /// 16 bits, IEEE half precision.
    F16(&'a [f16]),
    /// 16 bits, bfloat16.
    Bf16(&'a [bf16]),
}

impl Elements<'_> {
    /// All elements of an array of `shape` and `strides`, row-major, converted to `f64`.
    ///
    /// # Errors
    /// Strides that don't fit the shape, or lead out of the elements.
    pub fn widened(self, shape: &[usize], strides: &[usize]) -> Result<Vec<f64>> {
        fn widen<T: Copy + Into<f64>>(array: &Array<'_, T>) -> Vec<f64> {
            array.dense().iter().map(|&value| value.into()).collect()
        }
        Ok(match self {
            Elements::F64(all) => widen(&Array::new(all, shape, strides)?),
            Elements::F32(all) => widen(&Array::new(all, shape, strides)?),
            Elements::F16(all) => widen(&Array::new(all, shape, strides)?),
            Elements::Bf16(all) => widen(&Array::new(all, shape, strides)?),
        })
    }
}

/// An array with strides, counted in elements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Array<'a, T> {
    elements: &'a [T],
    shape: &'a [usize],
    strides: &'a [usize],
}

impl<'a, T: Copy> Array<'a, T> {
    /// An array of `shape` whose first element is the first of `elements`, with `strides` in
    /// elements.
    ///
    /// # Errors
    /// The numbers of strides and dimensions differ, or an index leads out of `elements`.
    pub(crate) fn new(elements: &'a [T], shape: &'a [usize], strides: &'a [usize]) -> Result<Self> {
        ensure!(
            shape.len() == strides.len(),
            "an array of shape {shape:?} has {} strides",
            strides.len()
        );
        let last = shape.iter().zip(strides).try_fold(0_usize, |last, step| {
            last.checked_add(step.0.saturating_sub(1).checked_mul(*step.1)?)
        });
        ensure!(
            shape.contains(&0) || last.is_some_and(|last| last < elements.len()),
            "an array of shape {shape:?} and strides {strides:?} needs more than {} elements",
            elements.len()
        );
        Ok(Array {
            elements,
            shape,
            strides,
        })
    }

    /// Its shape.
    pub(crate) fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// All elements, row-major; borrowed if they are contiguous.
    pub(crate) fn dense(&self) -> Cow<'a, [T]> {
        self.part(0, 0)
    }

    /// One row of `[H, S, S]`, or of slab `slab` of `[B, H, S, S]`.
    pub(crate) fn row(&self, slab: usize, head: usize, row: usize) -> Cow<'a, [T]> {
        let index = [slab, head, row];
        let num_leading = self.shape.len() - 1;
        let index = &index[index.len() - num_leading.min(3)..];
        let start = index
            .iter()
            .zip(self.strides)
            .map(|(at, step)| at * step)
            .sum();
        self.part(num_leading, start)
    }

    /// The elements of the dimensions from `dimension` on, beginning at element `start`.
    fn part(&self, dimension: usize, start: usize) -> Cow<'a, [T]> {
        let (shape, strides) = (&self.shape[dimension..], &self.strides[dimension..]);
        let len: usize = shape.iter().product();
        if is_dense(shape, strides) {
            return Cow::Borrowed(&self.elements[start..start + len]);
        }
        let mut places = vec![start];
        for (&side, &stride) in shape.iter().zip(strides) {
            places = places
                .iter()
                .flat_map(|place| (0..side).map(move |at| place + at * stride))
                .collect();
        }
        Cow::Owned(places.iter().map(|&place| self.elements[place]).collect())
    }
}

/// Whether the elements are contiguous, row-major.
fn is_dense(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    for (&side, &stride) in shape.iter().zip(strides).rev() {
        if side != 1 && stride != expected {
            return false;
        }
        expected *= side;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [f32; 24] = {
        let mut numbers = [0.0; 24];
        let mut at = 0;
        while at < 24 {
            numbers[at] = at as f32;
            at += 1;
        }
        numbers
    };

    #[test]
    fn what_lies_densely_is_borrowed() {
        let array = Array::new(&NUMBERS, &[2, 3, 4], &[12, 4, 1]).unwrap();
        assert!(matches!(array.dense(), Cow::Borrowed(all) if all == NUMBERS));
        assert!(
            matches!(array.row(0, 1, 2), Cow::Borrowed(row) if row == [20.0, 21.0, 22.0, 23.0])
        );
        let batch = Array::new(&NUMBERS, &[2, 1, 3, 4], &[12, 99, 4, 1]).unwrap();
        assert!(
            matches!(batch.row(1, 0, 0), Cow::Borrowed(row) if row == [12.0, 13.0, 14.0, 15.0])
        );
    }

    #[test]
    fn strides_are_followed() {
        // The last row of each of two heads, columns 1 and 2.
        let array = Array::new(&NUMBERS[9..], &[2, 2], &[12, 1]).unwrap();
        assert_eq!(array.dense().as_ref(), [9.0, 10.0, 21.0, 22.0]);
        // Transposed.
        let array = Array::new(&NUMBERS, &[1, 4, 6], &[0, 1, 4]).unwrap();
        assert_eq!(
            array.row(0, 0, 1).as_ref(),
            [1.0, 5.0, 9.0, 13.0, 17.0, 21.0]
        );
    }

    #[test]
    fn no_index_leads_outside() {
        assert!(Array::new(&NUMBERS, &[2, 13], &[12, 1]).is_err());
        assert!(Array::new(&NUMBERS, &[2], &[usize::MAX]).is_err());
        assert!(Array::new(&NUMBERS, &[24], &[1, 1]).is_err());
        assert!(Array::new(&NUMBERS, &[0, 99], &[1, 1]).is_ok());
    }
}
