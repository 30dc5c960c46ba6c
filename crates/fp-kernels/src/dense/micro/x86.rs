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

/// # Safety
/// As for [`super::accumulate`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<const ROWS: usize>(
    a: &[[f32; ROWS]],
    b: &[[f32; PANEL]],
    prefetch: Prefetch,
    sums: SumRows,
) {
    // SAFETY: the caller guarantees the sums; the columns are those of a panel.
    unsafe {
        if ROWS <= 3 {
            columns_avx2::<ROWS, 4>(a, b, 0, prefetch, sums);
        } else {
            columns_avx2::<ROWS, 2>(a, b, 0, prefetch, sums);
            columns_avx2::<ROWS, 2>(a, b, 16, Prefetch::nothing(), sums);
        }
    }
}

/// `REGISTERS` times eight columns from `column` on, so that the sums take twelve of the 16
/// registers at most: all columns of three rows, or half of the columns of six.
///
/// # Safety
/// As for [`super::accumulate`]; the columns are within a panel.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn columns_avx2<const ROWS: usize, const REGISTERS: usize>(
    a: &[[f32; ROWS]],
    b: &[[f32; PANEL]],
    column: usize,
    prefetch: Prefetch,
    sums: SumRows,
) {
    let mut block = [[_mm256_setzero_ps(); REGISTERS]; ROWS];
    for (row, block) in block.iter_mut().enumerate() {
        for (index, sum) in block.iter_mut().enumerate() {
            // SAFETY: the columns are within a row of sums.
            *sum = unsafe { _mm256_loadu_ps(sums.source(row).add(column + 8 * index)) };
        }
    }
    let mut far = prefetch.start;
    let mut step = |a: &[f32; ROWS], b: &[f32; PANEL]| {
        let mut values = [_mm256_setzero_ps(); REGISTERS];
        // SAFETY: the columns are within a panel's row; a prefetch may be out of bounds.
        unsafe {
            _mm_prefetch::<_MM_HINT_T1>(far.cast());
            far = far.wrapping_add(prefetch.bytes_per_step);
            for (index, value) in values.iter_mut().enumerate() {
                let from = b.as_ptr().add(column + 8 * index);
                if index % 2 == 0 {
                    _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(8 * PANEL).cast());
                }
                *value = _mm256_loadu_ps(from);
            }
        }
        for (block, &a) in block.iter_mut().zip(a) {
            let a = _mm256_set1_ps(a);
            for (sum, &value) in block.iter_mut().zip(&values) {
                *sum = _mm256_fmadd_ps(a, value, *sum);
            }
        }
    };
    let (first, rest) = b.split_at(ROWS.min(b.len()));
    for (row, (a, b)) in a.iter().zip(first).enumerate() {
        let next = sums.next.wrapping_add(row * sums.next_stride + column);
        _mm_prefetch::<_MM_HINT_T0>(next.cast());
        _mm_prefetch::<_MM_HINT_T0>(next.wrapping_add(8 * REGISTERS - 1).cast());
        step(a, b);
    }
    for (a, b) in a[first.len()..].iter().zip(rest) {
        step(a, b);
    }
    for (row, block) in block.iter().enumerate() {
        for (index, &sum) in block.iter().enumerate() {
            // SAFETY: as above.
            unsafe { _mm256_storeu_ps(sums.target(row).add(column + 8 * index), sum) };
        }
    }
}
