//! Memory for the right operand of the matrix kernel.

use std::ops::{Deref, DerefMut};

use super::micro::PANEL;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Rows of panels, `[len][PANEL]`, of which the first begins at a cache line. A row is two lines,
/// and without this each load of half a row would touch two of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panels {
    values: Vec<f32>,
    /// Index of the first value. In a clone it is no more the beginning of a line, at the cost of
    /// some speed.
    start: usize,
}

impl Panels {
    /// `len` rows of zeros.
    pub(crate) fn zeros(len: usize) -> Panels {
        let slack = LINE / size_of::<f32>() - 1;
        let mut values = vec![0.0; len * PANEL + slack];
        let start = values.as_ptr().align_offset(LINE).min(slack);
        values.truncate(start + len * PANEL);
        Panels { values, start }
    }
}

impl Deref for Panels {
    type Target = [[f32; PANEL]];

    #[inline]
    fn deref(&self) -> &Self::Target {
        self.values[self.start..].as_chunks().0
    }
}

impl DerefMut for Panels {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.values[self.start..].as_chunks_mut().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_at_a_cache_line_and_are_zero() {
        for len in [0, 1, 3, 1000] {
            let mut panels = Panels::zeros(len);
            assert_eq!(panels.len(), len);
            assert!(panels.iter().flatten().all(|&value| value == 0.0));
            assert!(len == 0 || panels.as_ptr().addr().is_multiple_of(LINE));
            panels.iter_mut().for_each(|row| row.fill(1.0));
            assert!(panels.clone().iter().flatten().all(|&value| value == 1.0));
        }
    }
}
