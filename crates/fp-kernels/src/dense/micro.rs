//! The innermost matrix kernel: one block of rows times one panel of columns.
//!
//! Computes `acc[r][j] += Σ_k a[k][r] · b[k][j]` for up to
//! [`Level::block_rows`] rows and [`PANEL`] columns. `a` is `[k, rows]` and `b`
//! `[k, PANEL]`, both contiguous, so the loop walks two pointers; the sums stay
//! in registers over the whole of `k`.
//!
//! On processors that multiply pairs of `bf16`, a lane of `a` and of `b` may hold two of them
//! instead of an `f32`: see [`accumulate_pairs`].

use super::level::{BASELINE_FUSED, Level, multiply_add};

/// Columns of one panel.
pub(crate) const PANEL: usize = 32;

/// Largest number of rows in a block at any level.
pub(crate) const MAX_BLOCK_ROWS: usize = 12;

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

macro_rules! by_rows {
    ($rows:ident, $a:ident, $b:ident, $prefetch:ident, $sums:ident, $kernel:path: $($n:literal)*) => {
        match $rows {
            // SAFETY: the level was detected on this machine.
            $($n => unsafe { $kernel($a.as_chunks::<$n>().0, $b, $prefetch, $sums) },)*
            _ => unreachable!("blocks hold at most `Level::block_rows` rows"),
        }
    };
}

/// `sums[r] += Σ_k a[k][r] · b[k]` for `r < rows`.
#[inline]
pub(crate) fn accumulate(
    level: Level,
    rows: usize,
    a: &[f32],
    b: &[[f32; PANEL]],
    sums: &mut Sums,
) {
    accumulate_prefetching(level, rows, a, b, Prefetch::nothing(), sums);
}

/// As [`accumulate`], with a prefetch in the meantime.
#[inline]
pub(crate) fn accumulate_prefetching(
    level: Level,
    rows: usize,
    a: &[f32],
    b: &[[f32; PANEL]],
    prefetch: Prefetch,
    sums: &mut Sums,
) {
    assert!(a.len() == rows * b.len());
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => {
            by_rows!(rows, a, b, prefetch, sums, x86::avx512: 1 2 3 4 5 6 7 8 9 10 11 12);
        }
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => by_rows!(rows, a, b, prefetch, sums, x86::avx2: 1 2 3 4 5 6),
        Level::Portable => match rows {
            1 => portable::<1>(a.as_chunks().0, b, sums),
            2 => portable::<2>(a.as_chunks().0, b, sums),
            3 => portable::<3>(a.as_chunks().0, b, sums),
            4 => portable::<4>(a.as_chunks().0, b, sums),
            _ => unreachable!("blocks hold at most `Level::block_rows` rows"),
        },
    }
}

/// `sums[r] += Σ_k a₁[k][r] · b₁[k] + a₀[k][r] · b₀[k]`, where each lane of `a` and `b` holds two
/// `bf16`, index 0 in the lower half. Uses `vdpbf16ps` and has its rounding.
///
/// # Panics
/// On a processor without that instruction.
#[inline]
pub(crate) fn accumulate_pairs(
    rows: usize,
    a: &[f32],
    b: &[[f32; PANEL]],
    prefetch: Prefetch,
    sums: &mut Sums,
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

/// The kernel in plain Rust, one quarter of a panel at a time.
fn portable<const ROWS: usize>(a: &[[f32; ROWS]], b: &[[f32; PANEL]], sums: &mut Sums) {
    const WIDTH: usize = 8;
    for part in 0..PANEL / WIDTH {
        let columns = part * WIDTH..(part + 1) * WIDTH;
        let mut block = [[0.0_f32; WIDTH]; ROWS];
        for (block, sums) in block.iter_mut().zip(sums.iter()) {
            block.copy_from_slice(&sums[columns.clone()]);
        }
        for (a, b) in a.iter().zip(b) {
            let b: &[f32] = &b[columns.clone()];
            for (block, &a) in block.iter_mut().zip(a) {
                for (sum, &b) in block.iter_mut().zip(b) {
                    *sum = multiply_add::<BASELINE_FUSED>(a, b, *sum);
                }
            }
        }
        for (block, sums) in block.iter().zip(sums.iter_mut()) {
            sums[columns.clone()].copy_from_slice(block);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{PANEL, Prefetch, Sums};

    /// All 24 sums of twelve rows fit the 32 registers of 512 bits.
    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512<const ROWS: usize>(
        a: &[[f32; ROWS]],
        b: &[[f32; PANEL]],
        prefetch: Prefetch,
        sums: &mut Sums,
    ) {
        let mut left = [_mm512_setzero_ps(); ROWS];
        let mut right = [_mm512_setzero_ps(); ROWS];
        for row in 0..ROWS {
            // SAFETY: a row of sums holds 32 values.
            unsafe {
                left[row] = _mm512_loadu_ps(sums[row].as_ptr());
                right[row] = _mm512_loadu_ps(sums[row].as_ptr().add(16));
            }
        }
        let mut far = prefetch.start;
        for (a, b) in a.iter().zip(b) {
            // SAFETY: a panel's row holds 32 values; a prefetch may be out of bounds.
            let (b_left, b_right) = unsafe {
                _mm_prefetch::<_MM_HINT_T1>(far.cast());
                far = far.wrapping_add(prefetch.bytes_per_step);
                _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(8 * PANEL).cast());
                _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(8 * PANEL + 16).cast());
                (
                    _mm512_loadu_ps(b.as_ptr()),
                    _mm512_loadu_ps(b.as_ptr().add(16)),
                )
            };
            for row in 0..ROWS {
                let a = _mm512_set1_ps(a[row]);
                left[row] = _mm512_fmadd_ps(a, b_left, left[row]);
                right[row] = _mm512_fmadd_ps(a, b_right, right[row]);
            }
        }
        for row in 0..ROWS {
            // SAFETY: a row of sums holds 32 values.
            unsafe {
                _mm512_storeu_ps(sums[row].as_mut_ptr(), left[row]);
                _mm512_storeu_ps(sums[row].as_mut_ptr().add(16), right[row]);
            }
        }
    }

    /// The same for pairs of `bf16` in each lane.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) fn pairs<const ROWS: usize>(
        a: &[[f32; ROWS]],
        b: &[[f32; PANEL]],
        prefetch: Prefetch,
        sums: &mut Sums,
    ) {
        #[inline(always)]
        fn bf16(lanes: __m512) -> __m512bh {
            // SAFETY: both types are 64 bytes, and every bit pattern is a valid value.
            unsafe { std::mem::transmute::<__m512, __m512bh>(lanes) }
        }
        let mut left = [_mm512_setzero_ps(); ROWS];
        let mut right = [_mm512_setzero_ps(); ROWS];
        for row in 0..ROWS {
            // SAFETY: a row of sums holds 32 values.
            unsafe {
                left[row] = _mm512_loadu_ps(sums[row].as_ptr());
                right[row] = _mm512_loadu_ps(sums[row].as_ptr().add(16));
            }
        }
        let mut far = prefetch.start;
        for (a, b) in a.iter().zip(b) {
            // SAFETY: a panel's row holds 32 values; a prefetch may be out of bounds.
            let (b_left, b_right) = unsafe {
                _mm_prefetch::<_MM_HINT_T1>(far.cast());
                far = far.wrapping_add(prefetch.bytes_per_step);
                _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(8 * PANEL).cast());
                _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(8 * PANEL + 16).cast());
                (
                    _mm512_loadu_ps(b.as_ptr()),
                    _mm512_loadu_ps(b.as_ptr().add(16)),
                )
            };
            for row in 0..ROWS {
                let a = bf16(_mm512_set1_ps(a[row]));
                left[row] = _mm512_dpbf16_ps(left[row], a, bf16(b_left));
                right[row] = _mm512_dpbf16_ps(right[row], a, bf16(b_right));
            }
        }
        for row in 0..ROWS {
            // SAFETY: a row of sums holds 32 values.
            unsafe {
                _mm512_storeu_ps(sums[row].as_mut_ptr(), left[row]);
                _mm512_storeu_ps(sums[row].as_mut_ptr().add(16), right[row]);
            }
        }
    }

    /// Half a panel at a time: the sums of six rows take twelve of the 16 registers.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2<const ROWS: usize>(
        a: &[[f32; ROWS]],
        b: &[[f32; PANEL]],
        prefetch: Prefetch,
        sums: &mut Sums,
    ) {
        for half in 0..2 {
            let column = half * 16;
            let mut far = prefetch.start;
            let mut left = [_mm256_setzero_ps(); ROWS];
            let mut right = [_mm256_setzero_ps(); ROWS];
            for row in 0..ROWS {
                // SAFETY: `column` is 0 or 16 of 32 values.
                unsafe {
                    left[row] = _mm256_loadu_ps(sums[row].as_ptr().add(column));
                    right[row] = _mm256_loadu_ps(sums[row].as_ptr().add(column + 8));
                }
            }
            for (a, b) in a.iter().zip(b) {
                // SAFETY: as above; a prefetch may be out of bounds.
                let (b_left, b_right) = unsafe {
                    if half == 0 {
                        _mm_prefetch::<_MM_HINT_T1>(far.cast());
                        far = far.wrapping_add(prefetch.bytes_per_step);
                    }
                    (
                        _mm256_loadu_ps(b.as_ptr().add(column)),
                        _mm256_loadu_ps(b.as_ptr().add(column + 8)),
                    )
                };
                for row in 0..ROWS {
                    let a = _mm256_set1_ps(a[row]);
                    left[row] = _mm256_fmadd_ps(a, b_left, left[row]);
                    right[row] = _mm256_fmadd_ps(a, b_right, right[row]);
                }
            }
            for row in 0..ROWS {
                // SAFETY: as above.
                unsafe {
                    _mm256_storeu_ps(sums[row].as_mut_ptr().add(column), left[row]);
                    _mm256_storeu_ps(sums[row].as_mut_ptr().add(column + 8), right[row]);
                }
            }
        }
    }
}
