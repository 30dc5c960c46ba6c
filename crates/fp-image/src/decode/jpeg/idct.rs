//! The inverse cosine transform in integers, after Loeffler, Ligtenberg and Moschytz (1989):
//! eleven multiplications per line and 13 fractional bits, of which two are kept after the first
//! pass. This is the "accurate" method, and its rounding is in practice part of the format.

use rayon::prelude::*;

use super::coefficients::Component;

const FRACTION: u32 = 13;
const KEPT: u32 = 2;

/// Row-major position in the block of the i-th coefficient in the file.
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// `x`, not negative, with 13 fractional bits, rounded.
const fn fixed(x: f64) -> i32 {
    (x * (1 << FRACTION) as f64 + 0.5) as i32
}

/// Samples of all stored blocks, row by row.
pub(super) fn inverse(component: &Component, table: &[u16; 64]) -> Vec<u8> {
    let stride = 8 * component.blocks_per_row;
    let mut samples = vec![0_u8; 64 * component.blocks_per_row * component.block_rows];
    samples
        .par_chunks_exact_mut(8 * stride)
        .zip(
            component
                .coefficients
                .par_chunks_exact(64 * component.blocks_per_row),
        )
        .for_each(|(rows, blocks)| {
            for (at, coefficients) in blocks.chunks_exact(64).enumerate() {
                block(coefficients, table, &mut rows[8 * at..], stride);
            }
        });
    samples
}

fn block(coefficients: &[i16], table: &[u16; 64], out: &mut [u8], stride: usize) {
    let mut work = [0_i32; 64];
    for ((&at, &value), &step) in ZIGZAG.iter().zip(coefficients).zip(table) {
        work[at] = i32::from(value).wrapping_mul(i32::from(step));
    }
    for column in 0..8 {
        let line: [i32; 8] = std::array::from_fn(|row| work[8 * row + column]);
        // Most columns of a photograph are constant.
        if line[1..] == [0; 7] {
            let flat = line[0] << KEPT;
            (0..8).for_each(|row| work[8 * row + column] = flat);
            continue;
        }
        let line = transform(line, FRACTION - KEPT);
        (0..8).for_each(|row| work[8 * row + column] = line[row]);
    }
    for (row, line) in work.chunks_exact(8).enumerate() {
        let line = std::array::from_fn(|i| line[i]);
        // The samples of a block are an eighth of the sum over its coefficients.
        let line = transform(line, FRACTION + KEPT + 3);
        for (sample, value) in out[row * stride..].iter_mut().zip(line) {
            *sample = value.saturating_add(128).clamp(0, 255) as u8;
        }
    }
}

/// Transforms eight coefficients to eight samples, rounded after `shift` bits. Sums wrap: only a
/// damaged file comes near the end of the range, and its pixels are arbitrary.
fn transform(input: [i32; 8], shift: u32) -> [i32; 8] {
    let times = |a: i32, b: f64| a.wrapping_mul(fixed(b));
    let add = i32::wrapping_add;
    let sub = i32::wrapping_sub;

    let rotated = times(add(input[2], input[6]), 0.541_196_1);
    let low = sub(rotated, times(input[6], 1.847_759_065));
    let high = add(rotated, times(input[2], 0.765_366_865));
    let sum = add(input[0], input[4]) << FRACTION;
    let difference = sub(input[0], input[4]) << FRACTION;
    let even = [
        add(sum, high),
        add(difference, low),
        sub(difference, low),
        sub(sum, high),
    ];

    let [a, b, c, d] = [input[7], input[5], input[3], input[1]];
    let turned = times(add(add(a, c), add(b, d)), 1.175_875_602);
    let ad = times(add(a, d), 0.899_976_223);
    let bc = times(add(b, c), 2.562_915_447);
    let ac = sub(turned, times(add(a, c), 1.961_570_560));
    let bd = sub(turned, times(add(b, d), 0.390_180_644));
    let odd = [
        add(times(d, 1.501_321_110), sub(bd, ad)),
        add(times(c, 3.072_711_026), sub(ac, bc)),
        add(times(b, 2.053_119_869), sub(bd, bc)),
        add(times(a, 0.298_631_336), sub(ac, ad)),
    ];

    let half = 1 << (shift - 1);
    let round = |x: i32| add(x, half) >> shift;
    std::array::from_fn(|i| {
        if i < 4 {
            round(add(even[i], odd[i]))
        } else {
            round(sub(even[7 - i], odd[7 - i]))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zigzag_visits_every_position_once() {
        let mut seen = ZIGZAG;
        seen.sort_unstable();
        assert!(seen.iter().enumerate().all(|(i, &at)| i == at));
    }

    #[test]
    fn constants_are_rounded() {
        assert_eq!(fixed(0.541_196_1), 4433);
        assert_eq!(fixed(3.072_711_026), 25172);
    }

    #[test]
    fn equals_the_cosine_sum_within_a_step() {
        let mut state = 7_u32;
        for _ in 0..50 {
            let mut coefficients = [0_i16; 64];
            for value in &mut coefficients {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *value = ((state >> 24) as i16 - 128) / 8;
            }
            let mut samples = [0_u8; 64];
            block(&coefficients, &[3; 64], &mut samples, 8);
            for (at, &sample) in samples.iter().enumerate() {
                let (y, x) = (at / 8, at % 8);
                let mut exact = 0.0;
                for (&position, &value) in ZIGZAG.iter().zip(&coefficients) {
                    let (v, u) = (position / 8, position % 8);
                    let scale = |k| if k == 0 { 0.125_f64.sqrt() } else { 0.5 };
                    let wave = |k: usize, n: usize| {
                        (std::f64::consts::PI / 16.0 * (2 * n + 1) as f64 * k as f64).cos()
                    };
                    exact += f64::from(value) * 3.0 * scale(v) * scale(u) * wave(v, y) * wave(u, x);
                }
                let exact = (exact + 128.0).clamp(0.0, 255.0);
                assert!(
                    (f64::from(sample) - exact).abs() <= 1.0,
                    "{sample} against {exact}"
                );
            }
        }
    }
}
