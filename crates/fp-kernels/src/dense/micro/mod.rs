//! The innermost matrix kernel: one block of rows times one panel of columns.
//!
//! Computes `acc[r][j] += Σ_k a[k][r] · b[k][j]` for up to
//! [`Level::block_rows`] rows and [`PANEL`] columns. `a` is `[k, rows]` and `b`
//! `[k, PANEL]`, both contiguous, so the loop walks two pointers; the sums stay
//! in registers over the whole of `k`.
//!
//! On processors that multiply pairs of `bf16`, a lane of `a` and of `b` may hold two of them
//! instead of an `f32`: see [`accumulate_pairs`].

#[cfg(target_arch = "x86_64")]
mod x86;

use super::level::{BASELINE_FUSED, Level, multiply_add};

/// Columns of one panel.
pub(crate) const PANEL: usize = 32;

/// Largest number of rows in a block at any level.
pub(crate) const MAX_BLOCK_ROWS: usize = 12;

/// The start of sums that begin with zero.
pub(crate) static ZEROS: [f32; PANEL] = [0.0; PANEL];

/// Sums of one block: `[rows][PANEL]`, the first `rows` in use.
pub(crate) type Sums = [[f32; PANEL]; MAX_BLOCK_ROWS];

/// Data to prefetch while a block is computed, for a later block: an address that advances by a
/// number of bytes with each `k`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefetch {
    start: *const u8,
    bytes_per_step: usize,
}

impl Prefetch {
    /// No prefetch.
    pub(crate) fn nothing() -> Prefetch {
        static HERE: u8 = 0;
        Prefetch {
            start: &raw const HERE,
            bytes_per_step: 0,
        }
    }

    /// Part `part` of `parts` equal parts of `values`, spread over `steps` steps.
    pub(crate) fn part_of<T>(values: &[T], part: usize, parts: usize, steps: usize) -> Prefetch {
        let bytes = size_of_val(values) / parts.max(1);
        Prefetch {
            start: values.as_ptr().cast::<u8>().wrapping_add(part * bytes),
            bytes_per_step: bytes.div_ceil(steps.max(1)),
        }
    }

    /// Memory from `start` on in address order, one value of type `T` per step.
    pub(super) fn sequential<T>(start: *const T) -> Prefetch {
        Prefetch {
            start: start.cast(),
            bytes_per_step: size_of::<T>(),
        }
    }

    /// The address after `steps` steps. It may be outside of any allocation: it may be
    /// prefetched, but not read.
    pub(super) fn at(self, steps: usize) -> *const i8 {
        self.start.wrapping_add(steps * self.bytes_per_step).cast()
    }
}

/// Where a kernel takes the sums of a block from and where it puts them: rows of [`PANEL`] values,
/// each `stride` values after the one before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SumRows {
    pub(crate) from: *const f32,
    /// Zero if all rows start with the same sums.
    pub(crate) from_stride: usize,
    pub(crate) to: *mut f32,
    pub(crate) to_stride: usize,
    /// Sums that the thread will need next, to be prefetched: an address that may be outside of
    /// any allocation.
    pub(crate) next: *const f32,
    pub(crate) next_stride: usize,
}

impl SumRows {
    /// Sums in a buffer, with nothing to prefetch.
    pub(crate) fn in_place(sums: &mut Sums) -> SumRows {
        let to = sums.as_mut_ptr().cast::<f32>();
        SumRows {
            from: to,
            from_stride: PANEL,
            to,
            to_stride: PANEL,
            next: to,
            next_stride: 0,
        }
    }

    /// The same rows, where a kernel has put its sums.
    pub(crate) fn continued(self) -> SumRows {
        SumRows {
            from: self.to,
            from_stride: self.to_stride,
            ..self
        }
    }

    /// # Safety
    /// There is a row `row` to read.
    #[inline(always)]
    unsafe fn source(self, row: usize) -> *const f32 {
        // SAFETY: within the rows, by the caller's guarantee.
        unsafe { self.from.add(row * self.from_stride) }
    }

    /// # Safety
    /// There is a row `row` to write.
    #[inline(always)]
    unsafe fn target(self, row: usize) -> *mut f32 {
        // SAFETY: as above.
        unsafe { self.to.add(row * self.to_stride) }
    }
}

macro_rules! by_rows {
    ($rows:ident, $a:ident, $b:ident, $prefetch:ident, $sums:ident, $kernel:path: $($n:literal)*) => {
        match $rows {
            // SAFETY: the level was detected on this machine; the caller guarantees the sums.
            $($n => unsafe { $kernel($a.as_chunks::<$n>().0, $b, $prefetch, $sums) },)*
            _ => unreachable!("blocks hold at most `Level::block_rows` rows"),
        }
    };
}

/// `out[r] = Σ_k a[k][r] · b[k]` for `r < rows`, where rows of `out` are `stride` values apart.
///
/// # Panics
/// If `out` or `a` is too short, or rows of `out` overlap.
#[inline]
pub(crate) fn product(
    level: Level,
    rows: usize,
    a: &[f32],
    b: &[[f32; PANEL]],
    out: &mut [f32],
    stride: usize,
) {
    assert!(stride >= PANEL && out.len() >= (rows - 1) * stride + PANEL);
    let to = out.as_mut_ptr();
    let sums = SumRows {
        from: ZEROS.as_ptr(),
        from_stride: 0,
        to,
        to_stride: stride,
        next: to,
        next_stride: 0,
    };
    // SAFETY: `out` has `rows` rows, and nothing else borrows it.
    unsafe { accumulate(level, rows, a, b, Prefetch::nothing(), sums) }
}

/// `sums[r] += Σ_k a[k][r] · b[k]` for `r < rows`, with a prefetch in the meantime.
///
/// # Safety
/// `sums` has `rows` rows to read and to write, which no other thread accesses.
#[inline]
pub(crate) unsafe fn accumulate(
    level: Level,
    rows: usize,
    a: &[f32],
    b: &[[f32; PANEL]],
    prefetch: Prefetch,
    sums: SumRows,
) {
    assert!(a.len() == rows * b.len());
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            by_rows!(rows, a, b, prefetch, sums, x86::avx512: 1 2 3 4 5 6 7 8 9 10 11 12);
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => by_rows!(rows, a, b, prefetch, sums, x86::avx2: 1 2 3 4 5 6),
        Level::Portable => by_rows!(rows, a, b, prefetch, sums, portable: 1 2 3 4),
    }
}

/// `sums[r] += Σ_k a₁[k][r] · b₁[k] + a₀[k][r] · b₀[k]`, where each lane of `a` and `b` holds two
/// `bf16`, index 0 in the lower half. Uses `vdpbf16ps` and has its rounding.
///
/// # Panics
/// On a processor without that instruction.
///
/// # Safety
/// As for [`accumulate`].
#[inline]
pub(crate) unsafe fn accumulate_pairs(
    rows: usize,
    a: &[f32],
    b: &[[f32; PANEL]],
    prefetch: Prefetch,
    sums: SumRows,
) {
    assert!(a.len() == rows * b.len());
    assert!(Level::has_pairs(), "no AVX512_BF16");
    #[cfg(target_arch = "x86_64")]
    {
        by_rows!(rows, a, b, prefetch, sums, x86::pairs: 1 2 3 4 5 6 7 8 9 10 11 12);
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (prefetch, sums);
    }
}

/// The kernel in plain Rust, one quarter of a panel at a time. Prefetches nothing.
///
/// # Safety
/// As for [`accumulate`].
unsafe fn portable<const ROWS: usize>(
    a: &[[f32; ROWS]],
    b: &[[f32; PANEL]],
    _: Prefetch,
    sums: SumRows,
) {
    const WIDTH: usize = 8;
    for part in 0..PANEL / WIDTH {
        let columns = part * WIDTH..(part + 1) * WIDTH;
        let mut block = [[0.0_f32; WIDTH]; ROWS];
        for (row, block) in block.iter_mut().enumerate() {
            // SAFETY: a row of sums holds 32 values; they may have any alignment of an `f32`.
            *block = unsafe {
                sums.source(row)
                    .add(columns.start)
                    .cast::<[f32; WIDTH]>()
                    .read()
            };
        }
        for (a, b) in a.iter().zip(b) {
            let b: &[f32] = &b[columns.clone()];
            for (block, &a) in block.iter_mut().zip(a) {
                for (sum, &b) in block.iter_mut().zip(b) {
                    *sum = multiply_add::<BASELINE_FUSED>(a, b, *sum);
                }
            }
        }
        for (row, block) in block.into_iter().enumerate() {
            // SAFETY: as above.
            let to = unsafe { sums.target(row).add(columns.start) };
            // SAFETY: as above.
            unsafe { to.cast::<[f32; WIDTH]>().write(block) };
        }
    }
}
