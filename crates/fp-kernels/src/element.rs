//! Number types of attention.

use std::borrow::Cow;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

/// A type in which rows are read and sorted: `f32`, or `f64` if rows were combined in `f64` and
/// rounding them to `f32` would lose information.
pub trait Key: Copy + PartialOrd + Send + Sync + Default + 'static {
    /// The value as `f64`, exact.
    fn widen(self) -> f64;

    /// Values with their type at run time.
    fn keys(values: &[Self]) -> Keys<'_>;
}

/// Values of one of the types of [`Key`].
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// Values in `f32`.
    F32(&'a [f32]),
    /// Values in `f64`.
    F64(&'a [f64]),
}

impl Key for f32 {
    fn keys(values: &[f32]) -> Keys<'_> {
        Keys::F32(values)
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        f64::from(self)
    }
}

impl Key for f64 {
    fn keys(values: &[f64]) -> Keys<'_> {
        Keys::F64(values)
    }

    #[inline(always)]
    fn widen(self) -> f64 {
        self
    }
}

/// A storage type of attention. Every conversion is exact, so `f16` and `bf16` input gives the
/// same results as the same values in `f32`.
pub trait Element: Copy + Send + Sync + 'static {
    /// The type that values are read as.
    type Key: Key + Element<Key = Self::Key>;

    /// The values as keys, borrowed where no conversion is needed.
    fn to_keys(values: &[Self]) -> Cow<'_, [Self::Key]>;
}

impl Element for f32 {
    type Key = f32;
    fn to_keys(values: &[f32]) -> Cow<'_, [f32]> {
        Cow::Borrowed(values)
    }
}

impl Element for f64 {
    type Key = f64;
    fn to_keys(values: &[f64]) -> Cow<'_, [f64]> {
        Cow::Borrowed(values)
    }
}

impl Element for f16 {
    type Key = f32;
    fn to_keys(values: &[f16]) -> Cow<'_, [f32]> {
        let mut keys = vec![0.0; values.len()];
        values.convert_to_f32_slice(&mut keys);
        Cow::Owned(keys)
    }
}

impl Element for bf16 {
    type Key = f32;
    fn to_keys(values: &[bf16]) -> Cow<'_, [f32]> {
        let mut keys = vec![0.0; values.len()];
        values.convert_to_f32_slice(&mut keys);
        Cow::Owned(keys)
    }
}
