//! The kernel with the vector instructions of x86.

use std::arch::x86_64::*;

use super::{PANEL, Prefetch, SumRows};

/// All 24 sums of twelve rows fit the 32 registers of 512 bits. `$fused` adds a product of
/// lanes of `a` and `b` to sums.
macro_rules! on_512_bits {
    ($rows:ident, $a:ident, $b:ident, $prefetch:ident, $sums:ident, $fused:expr) => {{
        let fused = $fused;
        let mut left = [_mm512_setzero_ps(); $rows];
        let mut right = [_mm512_setzero_ps(); $rows];
        for row in 0..$rows {
            // SAFETY: a row of sums holds 32 values.
            unsafe {
                let from = $sums.source(row);
                left[row] = _mm512_loadu_ps(from);
                right[row] = _mm512_loadu_ps(from.add(16));
            }
        }
        let mut far = $prefetch.start;
        let mut step = |a: &[f32; $rows], b: &[f32; PANEL]| {
            // SAFETY: a panel's row holds 32 values; a prefetch may be out of bounds.
            let (b_left, b_right) = unsafe {
                _mm_prefetch::<_MM_HINT_T1>(far.cast());
                far = far.wrapping_add($prefetch.bytes_per_step);
                _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(8 * PANEL).cast());
                _mm_prefetch::<_MM_HINT_T0>(b.as_ptr().wrapping_add(8 * PANEL + 16).cast());
                (
                    _mm512_loadu_ps(b.as_ptr()),
                    _mm512_loadu_ps(b.as_ptr().add(16)),
                )
            };
            for row in 0..$rows {
                let a = _mm512_set1_ps(a[row]);
                left[row] = fused(a, b_left, left[row]);
                right[row] = fused(a, b_right, right[row]);
            }
        };
        let (first, rest) = $b.split_at($rows.min($b.len()));
        for (row, (a, b)) in $a.iter().zip(first).enumerate() {
            let next = $sums.next.wrapping_add(row * $sums.next_stride);
            _mm_prefetch::<_MM_HINT_T0>(next.cast());
            _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(16).cast());
            _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(31).cast());
            step(a, b);
        }
        for (a, b) in $a[first.len()..].iter().zip(rest) {
            step(a, b);
        }
        for row in 0..$rows {
            // SAFETY: a row of sums holds 32 values.
            unsafe {
                let to = $sums.target(row);
                _mm512_storeu_ps(to, left[row]);
                _mm512_storeu_ps(to.add(16), right[row]);
            }
        }
    }};
}

/// # Safety
/// As for [`super::accumulate`].
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn avx512<const ROWS: usize>(
    a: &[[f32; ROWS]],
    b: &[[f32; PANEL]],
    prefetch: Prefetch,
    sums: SumRows,
) {
    on_512_bits!(ROWS, a, b, prefetch, sums, |a, b, sum| _mm512_fmadd_ps(
        a, b, sum
    ));
}

/// The same for pairs of `bf16` in each lane.
///
/// # Safety
/// As for [`super::accumulate`].
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn pairs<const ROWS: usize>(
    a: &[[f32; ROWS]],
    b: &[[f32; PANEL]],
    prefetch: Prefetch,
    sums: SumRows,
) {
    #[inline(always)]
    fn bf16(lanes: __m512) -> __m512bh {
        // SAFETY: both types are 64 bytes, and every bit pattern is a valid value.
        unsafe { std::mem::transmute::<__m512, __m512bh>(lanes) }
    }
    on_512_bits!(ROWS, a, b, prefetch, sums, |a, b, sum| _mm512_dpbf16_ps(
        sum,
        bf16(a),
        bf16(b)
    ));
}

/// Half a panel at a time: the sums of six rows take twelve of the 16 registers.
///
/// # Safety
/// As for [`super::accumulate`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<const ROWS: usize>(
    a: &[[f32; ROWS]],
    b: &[[f32; PANEL]],
    prefetch: Prefetch,
    sums: SumRows,
) {
    for half in 0..2 {
        let column = half * 16;
        let mut far = prefetch.start;
        let mut left = [_mm256_setzero_ps(); ROWS];
        let mut right = [_mm256_setzero_ps(); ROWS];
        for row in 0..ROWS {
            // SAFETY: `column` is 0 or 16 of 32 values.
            unsafe {
                let from = sums.source(row).add(column);
                left[row] = _mm256_loadu_ps(from);
                right[row] = _mm256_loadu_ps(from.add(8));
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
                let to = sums.target(row).add(column);
                _mm256_storeu_ps(to, left[row]);
                _mm256_storeu_ps(to.add(8), right[row]);
            }
        }
    }
}
