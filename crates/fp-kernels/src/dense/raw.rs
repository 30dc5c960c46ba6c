//! Output buffers that several threads fill in disjoint parts.

use std::ops::Range;

use super::micro::PANEL;

/// A `[rows, cols]` buffer that several threads fill.
///
/// A matrix kernel writes blocks of columns, which no safe split of a row-major slice can
/// express; this type holds the pointer that the threads share.
pub(crate) struct OutputMatrix {
    data: *mut f32,
    rows: usize,
    cols: usize,
}

// SAFETY: the pointer is used only in `unsafe` code, whose callers guarantee that no
// two threads access the same elements.
unsafe impl Send for OutputMatrix {}
// SAFETY: as above.
unsafe impl Sync for OutputMatrix {}

impl OutputMatrix {
    /// Address of the first of `rows`, each of which has `len` values from `col` on.
    ///
    /// # Panics
    /// If they are out of bounds, or there are none.
    #[inline(always)]
    pub(crate) fn rows(&self, rows: Range<usize>, col: usize, len: usize) -> *mut f32 {
        self.at(rows.end - 1, col, len);
        self.at(rows.start, col, len)
    }

    #[inline(always)]
    fn at(&self, row: usize, col: usize, len: usize) -> *mut f32 {
        assert!(row < self.rows && len <= self.cols && col <= self.cols - len);
        self.data.wrapping_add(row * self.cols + col)
    }

    /// Address of the first value.
    #[inline(always)]
    pub(crate) fn data(&self) -> *const f32 {
        self.data
    }

    /// Writes `values` to `row`, starting at `col`.
    ///
    /// # Safety
    /// No other thread accesses these elements.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, row: usize, col: usize, values: &[f32]) {
        let target = self.at(row, col, values.len());
        // SAFETY: in bounds by the check, and not shared by the caller's guarantee. Most writes
        // are a panel wide, and a copy of fixed length needs no call.
        unsafe {
            match values.len() {
                PANEL => target.copy_from_nonoverlapping(values.as_ptr(), PANEL),
                len => target.copy_from_nonoverlapping(values.as_ptr(), len),
            }
        }
    }

    /// Reads elements of `row`, starting at `col`, that were written before.
    ///
    /// # Safety
    /// They were written, and no other thread accesses them.
    #[inline(always)]
    pub(crate) unsafe fn read(&self, row: usize, col: usize, values: &mut [f32]) {
        let source = self.at(row, col, values.len());
        // SAFETY: as in `write`.
        unsafe {
            match values.len() {
                PANEL => values.as_mut_ptr().copy_from_nonoverlapping(source, PANEL),
                len => values.as_mut_ptr().copy_from_nonoverlapping(source, len),
            }
        }
    }
}

/// Allocates a `[rows, cols]` buffer and lets `fill` write it.
///
/// # Safety
/// `fill` writes every element.
pub(crate) unsafe fn filled(
    rows: usize,
    cols: usize,
    fill: impl FnOnce(&OutputMatrix),
) -> Vec<f32> {
    let len = rows * cols;
    let mut out: Vec<f32> = Vec::with_capacity(len);
    fill(&OutputMatrix {
        data: out.as_mut_ptr(),
        rows,
        cols,
    });
    // SAFETY: the capacity is at least `len`, and the caller guarantees that all of it is
    // written.
    unsafe { out.set_len(len) };
    out
}

/// Allocates a `[rows, cols]` buffer that is zero wherever `fill` doesn't write.
pub(crate) fn zeroed(rows: usize, cols: usize, fill: impl FnOnce(&OutputMatrix)) -> Vec<f32> {
    let mut out = vec![0.0; rows * cols];
    fill(&OutputMatrix {
        data: out.as_mut_ptr(),
        rows,
        cols,
    });
    out
}
