//! Multiplies one row by a panel of two-byte weights as stored, for decoding, whose time should
//! be that of reading the weights.
//!
//! Transposing a part of a panel into a buffer and multiplying from there, as for blocks of rows,
//! costs more than the reading for a single row. Here a tile of 32 inputs is transposed in
//! registers and multiplied immediately. The 16 outputs of a register are 16 chains of fused
//! multiply-adds over the inputs from first to last, in the order of all other paths, so that the
//! bits are the same.

use super::gemm::Terms;
use super::halves::HalfFormat;
use super::level::Level;
use super::micro::{PANEL, Prefetch};
use super::turn::Rows;

/// Whether [`accumulate`] is implemented for this instruction set.
pub(super) fn is_for(level: Level) -> bool {
    match level {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => true,
        _ => false,
    }
}

/// The row, and how it is multiplied.
pub(super) struct OneRow<'a> {
    /// An instruction set for which [`is_for`] is true.
    pub(super) level: Level,
    /// What a lane of `x` holds, and the order of terms.
    pub(super) terms: Terms,
    /// Format of the weights.
    pub(super) format: HalfFormat,
    /// `[steps]`, the lanes of the row.
    pub(super) x: &'a [f32],
}

impl OneRow<'_> {
    /// `sums[j] += Σ_k x[k] · rows[j][k]`, with a step of `prefetch` for each weight.
    ///
    /// # Panics
    /// If the level isn't one that [`is_for`] names, or the rows differ in length from each other
    /// or from `x`.
    pub(super) fn accumulate(&self, rows: &Rows<'_>, prefetch: Prefetch, sums: &mut [f32; PANEL]) {
        let (num_in, x) = (rows[0].len(), self.x);
        assert!(is_for(self.level) && rows.iter().all(|row| row.len() == num_in));
        assert_eq!(x.len(), self.terms.num_steps(num_in));
        assert!(self.terms == Terms::Single || self.format == HalfFormat::Bf16);
        assert!(
            self.terms != Terms::Pairs || Level::has_pairs(),
            "no AVX512_BF16"
        );
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level was detected on this machine, and all rows are equally long.
        unsafe {
            match (self.terms, self.format) {
                (Terms::Single, HalfFormat::Bf16) => x86::single::<false>(x, rows, prefetch, sums),
                (Terms::Single, HalfFormat::F16) => x86::single::<true>(x, rows, prefetch, sums),
                (Terms::Swapped, _) => x86::swapped(x, rows, prefetch, sums),
                (Terms::Pairs, _) => x86::pairs(x, rows, prefetch, sums),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (prefetch, sums);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::halves::HalfFormat;
    use super::super::level::multiply_add;
    use super::super::turn::{Half, STEP, format_of, turned_16, widened};
    use super::{PANEL, Prefetch, Rows};

    /// Iterates over the tiles of a panel: `$term(sum, pair, lanes)` adds the terms of pair
    /// `pair` of the row.
    macro_rules! by_tiles {
        ($rows:ident, $prefetch:ident, $sums:ident, $term:expr) => {{
            let num_tiles = $rows[0].len() / STEP;
            // SAFETY: 32 sums.
            let mut halves = unsafe {
                [
                    _mm512_loadu_ps($sums.as_ptr()),
                    _mm512_loadu_ps($sums.as_ptr().add(16)),
                ]
            };
            for tile in 0..num_tiles {
                let far = |row: usize| $prefetch.at((tile * PANEL + row) * STEP);
                for half in 0..2 {
                    let turned = turned_16!($rows, half * 16, tile * STEP, far);
                    let mut sum = halves[half];
                    for (pair, lanes) in turned.into_iter().enumerate() {
                        sum = $term(sum, tile * (STEP / 2) + pair, lanes);
                    }
                    halves[half] = sum;
                }
            }
            // SAFETY: as above.
            unsafe {
                _mm512_storeu_ps($sums.as_mut_ptr(), halves[0]);
                _mm512_storeu_ps($sums.as_mut_ptr().add(16), halves[1]);
            }
            num_tiles * STEP
        }};
    }

    /// # Safety
    /// All rows are as long as `x`.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn single<const F16: bool>(
        x: &[f32],
        rows: &Rows<'_>,
        prefetch: Prefetch,
        sums: &mut [f32; PANEL],
    ) {
        let pairs = x.as_chunks::<2>().0;
        let done = by_tiles!(rows, prefetch, sums, |sum, pair: usize, lanes| {
            let [first, second] = pairs[pair];
            let [low, high] = widened::<F16>(lanes);
            let sum = _mm512_fmadd_ps(_mm512_set1_ps(first), low, sum);
            _mm512_fmadd_ps(_mm512_set1_ps(second), high, sum)
        });
        let format = format_of(F16);
        for (sum, row) in sums.iter_mut().zip(rows) {
            for (&value, &x) in row[done..].iter().zip(&x[done..]) {
                *sum = multiply_add::<true>(x, format.widen(value), *sum);
            }
        }
    }

    /// # Safety
    /// All rows are as long as `x`, or one value shorter than an even `x`.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn swapped(
        x: &[f32],
        rows: &Rows<'_>,
        prefetch: Prefetch,
        sums: &mut [f32; PANEL],
    ) {
        let pairs = x.as_chunks::<2>().0;
        let done = by_tiles!(rows, prefetch, sums, |sum, pair: usize, lanes| {
            let [second, first] = pairs[pair];
            let [low, high] = widened::<false>(lanes);
            let sum = _mm512_fmadd_ps(_mm512_set1_ps(second), high, sum);
            _mm512_fmadd_ps(_mm512_set1_ps(first), low, sum)
        });
        for (sum, row) in sums.iter_mut().zip(rows) {
            for (stored, [second, first]) in row[done..].chunks(2).zip(&pairs[done / 2..]) {
                let last = stored.get(1).copied().unwrap_or_default();
                *sum = multiply_add::<true>(*second, HalfFormat::Bf16.widen(last), *sum);
                *sum = multiply_add::<true>(*first, HalfFormat::Bf16.widen(stored[0]), *sum);
            }
        }
    }

    /// # Safety
    /// Rows have two values for each lane of `x`, or one fewer in total.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn pairs(
        x: &[f32],
        rows: &Rows<'_>,
        prefetch: Prefetch,
        sums: &mut [f32; PANEL],
    ) {
        #[inline(always)]
        fn bf16(lanes: __m512i) -> __m512bh {
            // SAFETY: both types are 64 bytes, and every bit pattern is a valid value.
            unsafe { std::mem::transmute::<__m512i, __m512bh>(lanes) }
        }
        let lane = |pair: usize| _mm512_set1_epi32(x[pair].to_bits().cast_signed());
        let done = by_tiles!(rows, prefetch, sums, |sum, pair: usize, lanes| {
            _mm512_dpbf16_ps(sum, bf16(lane(pair)), bf16(lanes))
        });
        for pair in done / 2..x.len() {
            let mut lanes = [0_u32; PANEL];
            for (lane, row) in lanes.iter_mut().zip(rows) {
                let stored: &[Half] = &row[2 * pair..];
                let second = stored.get(1).copied().unwrap_or_default();
                let [low, high] = [stored[0], second].map(u16::from_le_bytes);
                *lane = u32::from(low) | u32::from(high) << 16;
            }
            for half in [0, 16] {
                // SAFETY: half of 32 lanes, and of the 32 sums.
                unsafe {
                    let sum = _mm512_loadu_ps(sums.as_ptr().add(half));
                    let weights = _mm512_loadu_si512(lanes.as_ptr().add(half).cast());
                    let sum = _mm512_dpbf16_ps(sum, bf16(lane(pair)), bf16(weights));
                    _mm512_storeu_ps(sums.as_mut_ptr().add(half), sum);
                }
            }
        }
    }
}
