//! Output buffers that several threads fill in disjoint pieces.

use super::micro::PANEL;

/// A `[rows, cols]` buffer being filled by several threads.
///
/// A matrix kernel writes blocks of columns, which no safe split of a row-major
/// slice can express; this holds the one pointer that they share.
pub(crate) struct OutputMatrix {
    data: *mut f32,
    rows: usize,
    cols: usize,
}

// SAFETY: the pointer is used only through `write` and `read`, whose callers
// promise that no two threads touch the same piece.
unsafe impl Send for OutputMatrix {}
// SAFETY: as above.
unsafe impl Sync for OutputMatrix {}

impl OutputMatrix {
    #[inline(always)]
    fn at(&self, row: usize, col: usize, len: usize) -> *mut f32 {
        assert!(row < self.rows && len <= self.cols && col <= self.cols - len);
        self.data.wrapping_add(row * self.cols + col)
    }

    /// Writes `values` to `row` from `col` on.
    ///
    /// # Safety
    /// No other thread uses this piece.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, row: usize, col: usize, values: &[f32]) {
        let target = self.at(row, col, values.len());
        // SAFETY: in bounds by the check, unshared by the caller's promise. Most
        // pieces are a panel wide, and a copy of fixed length needs no call.
        unsafe {
            match values.len() {
                PANEL => target.copy_from_nonoverlapping(values.as_ptr(), PANEL),
                len => target.copy_from_nonoverlapping(values.as_ptr(), len),
            }
        }
    }

    /// Reads what was written at `row` from `col` on.
    ///
    /// # Safety
    /// It was written, and no other thread uses this piece.
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

/// A new `[rows, cols]` buffer that `fill` fills.
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
    // SAFETY: room for `len` was reserved, and the caller promises that all of it is written.
    unsafe { out.set_len(len) };
    out
}

/// A new `[rows, cols]` buffer that is zero where `fill` doesn't write.
pub(crate) fn zeroed(rows: usize, cols: usize, fill: impl FnOnce(&OutputMatrix)) -> Vec<f32> {
    let mut out = vec![0.0; rows * cols];
    fill(&OutputMatrix {
        data: out.as_mut_ptr(),
        rows,
        cols,
    });
    out
}
