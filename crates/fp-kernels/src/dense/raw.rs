//! Output buffers that several threads fill in disjoint pieces.

/// A new `[rows, cols]` buffer being filled by several threads.
///
/// A matrix kernel writes blocks of columns, which no safe split of a row-major
/// slice can express; this holds the one pointer that they share.
pub(crate) struct Sheet {
    data: *mut f32,
    rows: usize,
    cols: usize,
}

// SAFETY: the pointer is used only through `segment`, whose callers promise
// that segments in use at the same time don't overlap.
unsafe impl Send for Sheet {}
// SAFETY: as above.
unsafe impl Sync for Sheet {}

impl Sheet {
    /// `len` columns of `row` from `col` on.
    ///
    /// # Safety
    /// No other segment in use overlaps this one.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // disjointness is the caller's promise
    pub(crate) unsafe fn segment(&self, row: usize, col: usize, len: usize) -> &mut [f32] {
        assert!(row < self.rows && col + len <= self.cols);
        // SAFETY: in bounds by the assertion; unaliased by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.cols + col), len) }
    }
}

/// Runs `fill` on `out`, which is `[rows, cols]`.
pub(crate) fn fill_sheet(out: &mut [f32], rows: usize, cols: usize, fill: impl FnOnce(&Sheet)) {
    assert_eq!(out.len(), rows * cols);
    fill(&Sheet {
        data: out.as_mut_ptr(),
        rows,
        cols,
    });
}
