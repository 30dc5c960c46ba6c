//! Keys and values in a cache's storage format.

use std::borrow::Cow;
use std::ops::Range;

use half::bf16;

/// Keys or values of a cache.
#[derive(Debug, Clone, Copy)]
pub enum Cached<'a> {
    /// 32-bit values.
    F32(&'a [f32]),
    /// Rounded to their upper half; read as the same numbers in `f32`.
    Bf16(&'a [bf16]),
}

impl<'a> Cached<'a> {
    /// Number of values.
    pub fn len(self) -> usize {
        match self {
            Cached::F32(values) => values.len(),
            Cached::Bf16(values) => values.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A range of the values in `f32`, borrowed if they are stored as `f32`.
    pub(super) fn widened(self, range: Range<usize>) -> Cow<'a, [f32]> {
        match self {
            Cached::F32(values) => Cow::Borrowed(&values[range]),
            Cached::Bf16(values) => {
                let wide = |value: &bf16| f32::from_bits(u32::from(value.to_bits()) << 16);
                Cow::Owned(values[range].iter().map(wide).collect())
            }
        }
    }
}
