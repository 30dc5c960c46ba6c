//! The left operand of the matrix kernel: rows side by side.

use std::mem::MaybeUninit;

use super::level::Level;
#[cfg(target_arch = "x86_64")]
use super::turn::transposed_16;

/// Transposes `rows [rows][steps]` to `out [steps][rows]`, and fills all of it.
///
/// # Panics
/// If the rows differ in length, or `out` has another number of values.
pub(super) fn interleave(level: Level, rows: &[&[f32]], out: &mut [MaybeUninit<f32>]) {
    let (count, num_steps) = (rows.len(), rows.first().map_or(0, |row| row.len()));
    assert!(rows.iter().all(|row| row.len() == num_steps));
    assert_eq!(out.len(), count * num_steps);
    let done = match level {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the level was detected on this machine; `out` has room for all rows, which have
        // the same length.
        Level::Avx512 if count <= x86::TILE => unsafe { x86::interleave(rows, out) },
        _ => 0,
    };
    for (lane, values) in rows.iter().enumerate() {
        let slots = out[done * count..].chunks_exact_mut(count);
        for (slot, &value) in slots.zip(&values[done..]) {
            slot[lane].write(value);
        }
    }
}

/// As [`interleave`], over values that are there already.
pub(super) fn interleave_over(level: Level, rows: &[&[f32]], out: &mut [f32]) {
    let (data, len) = (out.as_mut_ptr().cast(), out.len());
    // SAFETY: the same memory; only values are written to it, so all of it stays initialized.
    interleave(level, rows, unsafe {
        std::slice::from_raw_parts_mut(data, len)
    });
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{MaybeUninit, transposed_16};

    /// Steps that are transposed at a time, and the largest number of rows.
    pub(super) const TILE: usize = 16;

    /// Transposes whole tiles, and returns the number of steps in them.
    ///
    /// # Safety
    /// All rows have the same length, there are 1 to [`TILE`], and `out` has room for them.
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn interleave(rows: &[&[f32]], out: &mut [MaybeUninit<f32>]) -> usize {
        let Some(first) = rows.first() else { return 0 };
        let (count, num_tiles) = (rows.len(), first.len() / TILE);
        let lanes = __mmask16::MAX >> (TILE - count);
        for tile in 0..num_tiles {
            let mut values = [_mm512_setzero_si512(); TILE];
            for (values, row) in values.iter_mut().zip(rows) {
                // SAFETY: the tile is within the row.
                *values = unsafe { _mm512_loadu_si512(row.as_ptr().add(tile * TILE).cast()) };
            }
            for (step, values) in transposed_16!(values).into_iter().enumerate() {
                let slot = (tile * TILE + step) * count;
                // SAFETY: `count` lanes are written, for which there is room.
                unsafe {
                    _mm512_mask_storeu_epi32(out.as_mut_ptr().add(slot).cast(), lanes, values);
                }
            }
        }
        num_tiles * TILE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_plain_transposition() {
        for count in 0..=17 {
            for num_steps in [0, 1, 15, 16, 37, 64] {
                let x: Vec<f32> = (0..count * num_steps).map(|index| index as f32).collect();
                let rows: Vec<&[f32]> = (0..count)
                    .map(|row| &x[row * num_steps..][..num_steps])
                    .collect();
                for level in Level::available() {
                    let mut out = vec![f32::NAN; x.len()];
                    interleave_over(level, &rows, &mut out);
                    for (index, &got) in out.iter().enumerate() {
                        let (step, row) = (index / count, index % count);
                        assert_eq!(got, rows[row][step], "{level:?} {count} {num_steps}");
                    }
                }
            }
        }
    }
}
