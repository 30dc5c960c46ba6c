//! Attention that lies in memory: an array with strides, of which only what is needed is read.

use std::borrow::Cow;

use fp_kernels::Element;
use half::slice::HalfBitsSliceExt;
use half::vec::HalfBitsVecExt;
use half::{bf16, f16};
use ndarray::{ArrayViewD, Axis};

use crate::attention::Value;
use crate::dump::Precision;

/// A number type of attention in memory.
pub(crate) trait Attention: Element<Key: Value> {
    const PRECISION: Precision;

    /// The type of an element in memory: the number, or its bits.
    type Stored: Copy;

    /// Elements in memory as numbers, without a copy.
    fn numbers(stored: Cow<'_, [Self::Stored]>) -> Cow<'_, [Self]>;
}

macro_rules! stored_as_numbers {
    ($($number:ty: $precision:ident),+) => {$(
        impl Attention for $number {
            const PRECISION: Precision = Precision::$precision;
            type Stored = Self;

            fn numbers(stored: Cow<'_, [Self]>) -> Cow<'_, [Self]> {
                stored
            }
        }
    )+};
}

stored_as_numbers!(f64: F64, f32: F32, f16: F16);

impl Attention for bf16 {
    const PRECISION: Precision = Precision::Bf16;
    type Stored = u16;

    fn numbers(stored: Cow<'_, [u16]>) -> Cow<'_, [bf16]> {
        match stored {
            Cow::Borrowed(bits) => Cow::Borrowed(bits.reinterpret_cast()),
            Cow::Owned(bits) => Cow::Owned(bits.reinterpret_into()),
        }
    }
}

/// A borrowed array in one of the number types of attention in memory, with any strides.
#[derive(Debug, Clone)]
pub enum Elements<'a> {
    /// 64 bits.
    F64(ArrayViewD<'a, f64>),
    /// 32 bits.
    F32(ArrayViewD<'a, f32>),
    /// 16 bits, IEEE half precision.
    F16(ArrayViewD<'a, f16>),
    /// 16 bits, bfloat16, as integers: `ndarray` has no type for them.
    Bf16(ArrayViewD<'a, u16>),
}

impl Elements<'_> {
    /// The sides of the array.
    pub fn shape(&self) -> &[usize] {
        match self {
            Elements::F64(all) => all.shape(),
            Elements::F32(all) => all.shape(),
            Elements::F16(all) => all.shape(),
            Elements::Bf16(all) => all.shape(),
        }
    }

    /// All elements, row-major, as `f64`.
    pub fn widened(&self) -> Vec<f64> {
        fn widen<T: Attention + Into<f64>>(view: &ArrayViewD<'_, T::Stored>) -> Vec<f64> {
            let values = Array::<T>::new(view.clone()).dense();
            values.iter().map(|&value| value.into()).collect()
        }
        match self {
            Elements::F64(all) => widen::<f64>(all),
            Elements::F32(all) => widen::<f32>(all),
            Elements::F16(all) => widen::<f16>(all),
            Elements::Bf16(all) => widen::<bf16>(all),
        }
    }
}

/// An array of attention.
pub(crate) struct Array<'a, T: Attention> {
    view: ArrayViewD<'a, T::Stored>,
}

impl<'a, T: Attention> Array<'a, T> {
    pub(crate) fn new(view: ArrayViewD<'a, T::Stored>) -> Self {
        Array { view }
    }

    /// Its sides.
    pub(crate) fn shape(&self) -> &[usize] {
        self.view.shape()
    }

    /// All elements, row-major: where they lie, if they lie so.
    pub(crate) fn dense(&self) -> Cow<'a, [T]> {
        T::numbers(in_order(&self.view))
    }

    /// One row of `[H, S, S]`, or of slab `slab` of `[B, H, S, S]`.
    pub(crate) fn row(&self, slab: usize, head: usize, row: usize) -> Cow<'a, [T]> {
        let index = [slab, head, row];
        let num_leading = self.view.ndim() - 1;
        let mut view = self.view.clone();
        for &at in &index[index.len() - num_leading.min(3)..] {
            view = view.index_axis_move(Axis(0), at);
        }
        T::numbers(in_order(&view))
    }
}

/// Elements row-major: where they lie, if they follow each other so without gaps.
fn in_order<'a, T: Copy>(view: &ArrayViewD<'a, T>) -> Cow<'a, [T]> {
    match view.to_slice() {
        Some(elements) => Cow::Borrowed(elements),
        None => {
            let mut elements = Vec::with_capacity(view.len());
            view.iter().for_each(|&element| elements.push(element));
            Cow::Owned(elements)
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayView, IxDyn, ShapeBuilder};

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

    fn array<'a>(numbers: &'a [f32], shape: &[usize], strides: &[usize]) -> Array<'a, f32> {
        let layout = IxDyn(shape).strides(IxDyn(strides));
        Array::new(ArrayView::from_shape(layout, numbers).unwrap())
    }

    #[test]
    fn what_lies_densely_is_borrowed() {
        let cube = array(&NUMBERS, &[2, 3, 4], &[12, 4, 1]);
        assert!(matches!(cube.dense(), Cow::Borrowed(all) if all == NUMBERS));
        assert!(matches!(cube.row(0, 1, 2), Cow::Borrowed(row) if row == [20.0, 21.0, 22.0, 23.0]));
        let batch = array(&NUMBERS, &[2, 1, 3, 4], &[12, 99, 4, 1]);
        assert!(
            matches!(batch.row(1, 0, 0), Cow::Borrowed(row) if row == [12.0, 13.0, 14.0, 15.0])
        );
    }

    #[test]
    fn strides_are_followed() {
        // The last row of each of two heads, columns 1 and 2.
        let last = array(&NUMBERS[9..], &[2, 2], &[12, 1]);
        assert_eq!(last.dense().as_ref(), [9.0, 10.0, 21.0, 22.0]);
        let turned = array(&NUMBERS, &[1, 4, 6], &[24, 1, 4]);
        assert_eq!(
            turned.row(0, 0, 1).as_ref(),
            [1.0, 5.0, 9.0, 13.0, 17.0, 21.0]
        );
        // One row, repeated.
        let row = ArrayView::from(&NUMBERS[..3]);
        let repeated = Array::<f32>::new(row.broadcast(IxDyn(&[2, 3])).unwrap());
        assert_eq!(repeated.dense().as_ref(), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
        assert!(array(&NUMBERS, &[0, 3], &[3, 1]).dense().is_empty());
    }

    #[test]
    fn bits_are_numbers_where_they_lie() {
        let bits = [0.5_f32, 0.25, 3.0, -1.0].map(|value| bf16::from_f32(value).to_bits());
        let view = ArrayView::from_shape(IxDyn(&[2, 2]), &bits).unwrap();
        let array = Array::<bf16>::new(view.clone());
        let there = std::ptr::from_ref(&bits[0]).addr();
        assert!(matches!(array.dense(), Cow::Borrowed(all) if all.as_ptr().addr() == there));
        assert_eq!(
            Elements::Bf16(view.clone()).widened(),
            [0.5, 0.25, 3.0, -1.0]
        );
        assert_eq!(
            Elements::Bf16(view.reversed_axes()).widened(),
            [0.5, 3.0, 0.25, -1.0]
        );
    }
}
