//! Transposes rows of two-byte weights to the panels that the matrix kernel reads.
//!
//! A part of a panel is transposed from `[32 outputs][inputs]` to `[inputs][32 outputs]` in
//! registers. Each value is widened to `f32` (exact), or two consecutive values of a row stay
//! side by side in one lane, for the instruction that multiplies pairs.

pub(super) use super::halves::Half;
use super::halves::HalfFormat;
use super::level::Level;
use super::micro::{PANEL, Prefetch};

/// Rows of one panel in their storage format.
pub(super) type Rows<'a> = [&'a [Half]; PANEL];

/// Columns per step of the widest kernel. All slices of a product but the last consist of whole
/// steps, so that aligned rows are read in whole cache lines.
pub(super) const STEP: usize = 32;

/// Widens inputs `first..first + out.len()` of `rows` into `out[input][output]`, and prefetches
/// as many values as it reads: one step of `prefetch` for each value.
pub(super) fn widen(
    level: Level,
    format: HalfFormat,
    rows: &Rows<'_>,
    first: usize,
    prefetch: Prefetch,
    out: &mut [[f32; PANEL]],
) {
    assert!(rows.iter().all(|row| row.len() >= first + out.len()));
    match level {
        Level::Portable => widen_portable(format, rows, first, out),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level was detected on this machine; all rows extend at least to the end of
        // `out`.
        Level::Avx2 => unsafe {
            match format {
                HalfFormat::Bf16 => x86::widen_avx2::<false>(rows, first, prefetch, out),
                HalfFormat::F16 => x86::widen_avx2::<true>(rows, first, prefetch, out),
            }
        },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Level::Avx512 => unsafe {
            match format {
                HalfFormat::Bf16 => x86::widen_avx512::<false>(rows, first, prefetch, out),
                HalfFormat::F16 => x86::widen_avx512::<true>(rows, first, prefetch, out),
            }
        },
    }
}

/// Writes pairs of inputs from index `2 · first` on to `out[pair][output]`, the first of a pair
/// in the lower half of a lane; inputs beyond a row's end are zero. Prefetches as in [`widen`].
#[cfg(target_arch = "x86_64")]
pub(super) fn pair_up(rows: &Rows<'_>, first: usize, prefetch: Prefetch, out: &mut [[f32; PANEL]]) {
    let num_in = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == num_in));
    let end = num_in.min(2 * (first + out.len()));
    assert_eq!((end - 2 * first).div_ceil(2), out.len());
    // SAFETY: only called on machines that multiply pairs, which have AVX-512; all rows extend to
    // the end of `out`, except for the second value of a last pair.
    unsafe { x86::pairs_avx512(rows, 2 * first, end, prefetch, out) };
}

/// As [`widen`], without prefetching.
fn widen_portable(format: HalfFormat, rows: &Rows<'_>, first: usize, out: &mut [[f32; PANEL]]) {
    for (lane, row) in rows.iter().enumerate() {
        for (slot, &value) in out.iter_mut().zip(&row[first..]) {
            slot[lane] = format.widen(value);
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{format_of, transposed_16, turned_16, widened};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::super::halves::{Half, HalfFormat};
    use super::{PANEL, Prefetch, Rows, STEP, widen_portable};

    /// Transposes 16 registers of 16 lanes of 32 bits. A macro, since a function would return its
    /// registers through memory.
    macro_rules! transposed_16 {
        ($rows:ident) => {{
            let r: [__m512i; 16] = $rows;
            // Two rows at a time, then four; 128-bit lane `l` holds columns 4l..4l + 4.
            let mut u = [_mm512_setzero_si512(); 16];
            for quad in 0..4 {
                let q = 4 * quad;
                let a = _mm512_unpacklo_epi32(r[q], r[q + 1]);
                let b = _mm512_unpackhi_epi32(r[q], r[q + 1]);
                let c = _mm512_unpacklo_epi32(r[q + 2], r[q + 3]);
                let d = _mm512_unpackhi_epi32(r[q + 2], r[q + 3]);
                u[q] = _mm512_unpacklo_epi64(a, c);
                u[q + 1] = _mm512_unpackhi_epi64(a, c);
                u[q + 2] = _mm512_unpacklo_epi64(b, d);
                u[q + 3] = _mm512_unpackhi_epi64(b, d);
            }
            let mut out = [_mm512_setzero_si512(); 16];
            for c in 0..4 {
                let even = _mm512_shuffle_i32x4::<0x88>(u[c], u[4 + c]);
                let odd = _mm512_shuffle_i32x4::<0xdd>(u[c], u[4 + c]);
                let even_after = _mm512_shuffle_i32x4::<0x88>(u[8 + c], u[12 + c]);
                let odd_after = _mm512_shuffle_i32x4::<0xdd>(u[8 + c], u[12 + c]);
                out[c] = _mm512_shuffle_i32x4::<0x88>(even, even_after);
                out[4 + c] = _mm512_shuffle_i32x4::<0x88>(odd, odd_after);
                out[8 + c] = _mm512_shuffle_i32x4::<0xdd>(even, even_after);
                out[12 + c] = _mm512_shuffle_i32x4::<0xdd>(odd, odd_after);
            }
            out
        }};
    }
    pub(in crate::dense) use transposed_16;

    /// Transposed pairs of values of 16 rows, from index `start` on: register `p` holds pair `p`
    /// of each row.
    macro_rules! turned_16 {
        ($rows:expr, $lane:expr, $start:expr, $far:expr) => {{
            let mut r = [_mm512_setzero_si512(); 16];
            for (index, r) in r.iter_mut().enumerate() {
                let row: &[Half] = $rows[$lane + index];
                let far: *const i8 = $far($lane + index);
                // SAFETY: 32 values are 64 bytes, and the caller checked that all rows extend
                // that far; a prefetch may be out of bounds.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T1>(far);
                    *r = _mm512_loadu_si512(row.as_ptr().add($start).cast());
                }
            }
            $crate::dense::turn::transposed_16!(r)
        }};
    }
    pub(in crate::dense) use turned_16;

    /// Both values of each lane, widened to `f32`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(in crate::dense) fn widened<const F16: bool>(lanes: __m512i) -> [__m512; 2] {
        if F16 {
            let low = _mm512_cvtepi32_epi16(lanes);
            let high = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(lanes));
            [_mm512_cvtph_ps(low), _mm512_cvtph_ps(high)]
        } else {
            let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
            [
                _mm512_castsi512_ps(_mm512_slli_epi32::<16>(lanes)),
                _mm512_castsi512_ps(_mm512_and_si512(lanes, upper)),
            ]
        }
    }

    pub(in crate::dense) fn format_of(is_f16: bool) -> HalfFormat {
        if is_f16 {
            HalfFormat::F16
        } else {
            HalfFormat::Bf16
        }
    }

    /// # Safety
    /// All rows extend at least to `first + out.len()`.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn widen_avx512<const F16: bool>(
        rows: &Rows<'_>,
        first: usize,
        prefetch: Prefetch,
        out: &mut [[f32; PANEL]],
    ) {
        let (tiles, rest) = out.as_chunks_mut::<STEP>();
        let num_wide = tiles.len() * STEP;
        for (tile, slots) in tiles.iter_mut().enumerate() {
            let far = |row: usize| prefetch.at((tile * PANEL + row) * STEP);
            for half in 0..2 {
                let turned = turned_16!(rows, half * 16, first + tile * STEP, far);
                let slots = slots.as_chunks_mut::<2>().0;
                for ([slot, next], lanes) in slots.iter_mut().zip(turned) {
                    let [value, value_after] = widened::<F16>(lanes);
                    // SAFETY: half of the 32 values of a slot.
                    unsafe {
                        _mm512_storeu_ps(slot.as_mut_ptr().add(half * 16), value);
                        _mm512_storeu_ps(next.as_mut_ptr().add(half * 16), value_after);
                    }
                }
            }
        }
        widen_portable(format_of(F16), rows, first + num_wide, rest);
    }

    /// # Safety
    /// All rows extend at least to `end`, `first` is even, and `out` has a slot for each pair in
    /// between.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn pairs_avx512(
        rows: &Rows<'_>,
        first: usize,
        end: usize,
        prefetch: Prefetch,
        out: &mut [[f32; PANEL]],
    ) {
        let num_tiles = (end - first) / STEP;
        let (wide, rest) = out.split_at_mut(num_tiles * STEP / 2);
        let tiles = wide.as_chunks_mut::<{ STEP / 2 }>().0;
        for (tile, slots) in tiles.iter_mut().enumerate() {
            let far = |row: usize| prefetch.at((tile * PANEL + row) * STEP);
            for half in 0..2 {
                let turned = turned_16!(rows, half * 16, first + tile * STEP, far);
                for (slot, lanes) in slots.iter_mut().zip(turned) {
                    let lanes = _mm512_castsi512_ps(lanes);
                    // SAFETY: half of the 32 values of a slot.
                    unsafe { _mm512_storeu_ps(slot.as_mut_ptr().add(half * 16), lanes) };
                }
            }
        }
        for (lane, row) in rows.iter().enumerate() {
            let values = &row[first + num_tiles * STEP..end];
            for (slot, pair) in rest.iter_mut().zip(values.chunks(2)) {
                let second = pair.get(1).copied().unwrap_or_default();
                let bits = [pair[0][0], pair[0][1], second[0], second[1]];
                slot[lane] = f32::from_bits(u32::from_le_bytes(bits));
            }
        }
    }

    /// # Safety
    /// All rows extend at least to `first + out.len()`.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn widen_avx2<const F16: bool>(
        rows: &Rows<'_>,
        first: usize,
        prefetch: Prefetch,
        out: &mut [[f32; PANEL]],
    ) {
        let (tiles, rest) = out.as_chunks_mut::<{ STEP / 2 }>();
        let num_wide = tiles.len() * STEP / 2;
        for (tile, slots) in tiles.iter_mut().enumerate() {
            for quarter in 0..4 {
                let lane = quarter * 8;
                let far = prefetch.at((tile * PANEL + lane) * STEP / 2);
                let turned = turned_8(rows, lane, first + tile * STEP / 2, far);
                let slots = slots.as_chunks_mut::<2>().0;
                for ([slot, next], lanes) in slots.iter_mut().zip(turned) {
                    let (value, value_after) = if F16 {
                        let low = _mm256_and_si256(lanes, _mm256_set1_epi32(0xffff));
                        let high = _mm256_srli_epi32::<16>(lanes);
                        // Packing leaves four values of each register per 128-bit lane; the
                        // permutation restores their order, eight of each.
                        let both = _mm256_packus_epi32(low, high);
                        let both = _mm256_permute4x64_epi64::<0b11_01_10_00>(both);
                        (
                            _mm256_cvtph_ps(_mm256_castsi256_si128(both)),
                            _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(both)),
                        )
                    } else {
                        let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
                        (
                            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(lanes)),
                            _mm256_castsi256_ps(_mm256_and_si256(lanes, upper)),
                        )
                    };
                    // SAFETY: a quarter of the 32 values of a slot.
                    unsafe {
                        _mm256_storeu_ps(slot.as_mut_ptr().add(lane), value);
                        _mm256_storeu_ps(next.as_mut_ptr().add(lane), value_after);
                    }
                }
            }
        }
        widen_portable(format_of(F16), rows, first + num_wide, rest);
    }

    /// As `turned_16`, for 8 rows and 8 pairs. Prefetches the four cache lines from `far` on, as
    /// many bytes as it reads.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn turned_8(rows: &Rows<'_>, lane: usize, start: usize, far: *const i8) -> [__m256i; 8] {
        let mut r = [_mm256_setzero_si256(); 8];
        for (index, r) in r.iter_mut().enumerate() {
            let values: &[Half] = &rows[lane + index][start..start + STEP / 2];
            // SAFETY: 16 values are 32 bytes; a prefetch may be out of bounds.
            unsafe {
                if index % 2 == 0 {
                    _mm_prefetch::<_MM_HINT_T1>(far.wrapping_add(index * STEP));
                }
                *r = _mm256_loadu_si256(values.as_ptr().cast());
            }
        }
        let mut u = [_mm256_setzero_si256(); 8];
        for quad in 0..2 {
            let q = 4 * quad;
            let a = _mm256_unpacklo_epi32(r[q], r[q + 1]);
            let b = _mm256_unpackhi_epi32(r[q], r[q + 1]);
            let c = _mm256_unpacklo_epi32(r[q + 2], r[q + 3]);
            let d = _mm256_unpackhi_epi32(r[q + 2], r[q + 3]);
            u[q] = _mm256_unpacklo_epi64(a, c);
            u[q + 1] = _mm256_unpackhi_epi64(a, c);
            u[q + 2] = _mm256_unpacklo_epi64(b, d);
            u[q + 3] = _mm256_unpackhi_epi64(b, d);
        }
        let mut out = [_mm256_setzero_si256(); 8];
        for c in 0..4 {
            out[c] = _mm256_permute2x128_si256::<0x20>(u[c], u[4 + c]);
            out[4 + c] = _mm256_permute2x128_si256::<0x31>(u[c], u[4 + c]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    /// Rows with all bit patterns of finite numbers, in a mixed order.
    fn rows(format: HalfFormat, len: usize) -> Vec<Vec<Half>> {
        let mut bits = 0_u16;
        (0..PANEL)
            .map(|_| {
                (0..len)
                    .map(|_| {
                        loop {
                            bits = bits.wrapping_mul(25_173).wrapping_add(13_849);
                            let bytes = bits.to_le_bytes();
                            if format.widen(bytes).is_finite() {
                                break bytes;
                            }
                        }
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn every_level_widens_exactly_at_every_length() {
        for level in Level::available() {
            for format in [HalfFormat::Bf16, HalfFormat::F16] {
                for (first, len) in [(0, 1), (3, 31), (0, 32), (5, 33), (32, 64), (1, 2047)] {
                    let rows = rows(format, first + len);
                    let rows: Rows<'_> = std::array::from_fn(|lane| rows[lane].as_slice());
                    let mut out = vec![[f32::NAN; PANEL]; len];
                    widen(level, format, &rows, first, Prefetch::nothing(), &mut out);
                    for (input, slot) in out.iter().enumerate() {
                        for (lane, &got) in slot.iter().enumerate() {
                            let stored = rows[lane][first + input];
                            let expected = match format {
                                HalfFormat::Bf16 => bf16::from_le_bytes(stored).to_f32(),
                                HalfFormat::F16 => f16::from_le_bytes(stored).to_f32(),
                            };
                            assert_eq!(got.to_bits(), expected.to_bits(), "{level:?} {input}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn pairs_stand_side_by_side() {
        if !Level::available().contains(&Level::Avx512) {
            println!("skipped: this processor has no AVX-512");
            return;
        }
        for (first, len) in [(0, 1), (0, 31), (1, 64), (16, 97), (0, 128)] {
            let num_in = 2 * first + len;
            let rows = rows(HalfFormat::Bf16, num_in);
            let rows: Rows<'_> = std::array::from_fn(|lane| rows[lane].as_slice());
            let mut out = vec![[f32::NAN; PANEL]; len.div_ceil(2)];
            pair_up(&rows, first, Prefetch::nothing(), &mut out);
            for (pair, slot) in out.iter().enumerate() {
                for (lane, &got) in slot.iter().enumerate() {
                    let at = |index: usize| rows[lane].get(index).copied().unwrap_or_default();
                    let (low, high) = (at(2 * (first + pair)), at(2 * (first + pair) + 1));
                    let bits = u32::from_le_bytes([low[0], low[1], high[0], high[1]]);
                    assert_eq!(got.to_bits(), bits, "{pair} {lane}");
                }
            }
        }
    }
}
