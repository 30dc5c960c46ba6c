//! Elementary functions and reductions that the compiler can turn into vectors.
//!
//! Everything here is branch-free and fixed in its order of operations, so a
//! loop over it vectorises and gives the same bits at every vector width.

/// Accumulators per reduction; a multiple of every vector width in use.
pub(crate) const LANES: usize = 8;

/// Sum of the lanes by a fixed tree.
#[inline(always)]
pub(crate) fn tree_sum(lanes: [f64; LANES]) -> f64 {
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]))
        + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Σ values in [`LANES`] interleaved accumulators.
#[inline(always)]
pub(crate) fn sum(values: &[f64]) -> f64 {
    sum_of(values, |x| x)
}

/// Σ f(x) in [`LANES`] interleaved accumulators.
#[inline(always)]
pub(crate) fn sum_of(values: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += f(chunk[lane]);
        }
    }
    for (lane, &x) in rest.iter().enumerate() {
        lanes[lane] += f(x);
    }
    tree_sum(lanes)
}

/// The smallest and the largest value; (∞, −∞) for an empty slice. NaN is ignored.
#[inline(always)]
pub(crate) fn extremes(values: &[f64]) -> (f64, f64) {
    let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            min[lane] = if chunk[lane] < min[lane] {
                chunk[lane]
            } else {
                min[lane]
            };
            max[lane] = if chunk[lane] > max[lane] {
                chunk[lane]
            } else {
                max[lane]
            };
        }
    }
    let smaller = |a: f64, b: f64| if b < a { b } else { a };
    let larger = |a: f64, b: f64| if b > a { b } else { a };
    let rest = || rest.iter().copied();
    (
        min.into_iter().chain(rest()).fold(f64::INFINITY, smaller),
        max.into_iter()
            .chain(rest())
            .fold(f64::NEG_INFINITY, larger),
    )
}

/// Σ x·y in [`LANES`] interleaved accumulators.
#[inline(always)]
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (y_chunks, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for lane in 0..LANES {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    for (lane, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
        lanes[lane] += x * y;
    }
    tree_sum(lanes)
}

const LN2_HI: f64 = 6.931_471_803_691_238e-1; // 33 significant bits, so that k·LN2_HI is exact
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;

/// 2⁵² + 2¹¹: adding an integer of up to eleven bits leaves it in the last bits.
const INTEGER_BIAS: f64 = 4_503_599_627_370_496.0 + 2048.0;

/// Natural logarithm of a positive normal `x`, within 2 units in the last place.
/// For 0 it returns some finite number, so that `0 · ln(0)` is 0.
///
/// x = m · 2^k with m in [√½, √2); ln m = 2 artanh s with s = (m − 1)/(m + 1),
/// whose series in s² ≤ 0.0295 needs eleven terms.
#[inline(always)]
pub(crate) fn ln(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let bits = x.to_bits();
    let offset = bits.wrapping_sub(SQRT_HALF);
    let exponent = offset & 0xfff0_0000_0000_0000;
    let m = f64::from_bits(bits.wrapping_sub(exponent));
    // The exponent as a float without a 64-bit integer conversion, which AVX2 lacks.
    let biased = (exponent >> 52).wrapping_add(2048) & 0xfff;
    let k = f64::from_bits(0x4330_0000_0000_0000 | biased) - INTEGER_BIAS;
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut series = 1.0 / 21.0;
    series = series * z + 1.0 / 19.0;
    series = series * z + 1.0 / 17.0;
    series = series * z + 1.0 / 15.0;
    series = series * z + 1.0 / 13.0;
    series = series * z + 1.0 / 11.0;
    series = series * z + 1.0 / 9.0;
    series = series * z + 1.0 / 7.0;
    series = series * z + 1.0 / 5.0;
    series = series * z + 1.0 / 3.0;
    let s2 = 2.0 * s;
    k * LN2_HI + (s2 + (s2 * z * series + k * LN2_LO))
}

/// e^x for x ≤ 0, within 2 units in the last place; below −700 it stays at e^−700.
///
/// x = n ln 2 + r with |r| ≤ ½ ln 2, then the Taylor polynomial of degree 13.
#[inline(always)]
pub(crate) fn exp_nonpositive(x: f64) -> f64 {
    const ROUND: f64 = 6_755_399_441_055_744.0; // 1.5 · 2⁵²: adding it rounds to an integer
    let x = if x < -700.0 { -700.0 } else { x };
    let shifted = x * std::f64::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN2_HI) - n * LN2_LO;
    let mut series = 1.0 / 6_227_020_800.0;
    series = series * r + 1.0 / 479_001_600.0;
    series = series * r + 1.0 / 39_916_800.0;
    series = series * r + 1.0 / 3_628_800.0;
    series = series * r + 1.0 / 362_880.0;
    series = series * r + 1.0 / 40_320.0;
    series = series * r + 1.0 / 5_040.0;
    series = series * r + 1.0 / 720.0;
    series = series * r + 1.0 / 120.0;
    series = series * r + 1.0 / 24.0;
    series = series * r + 1.0 / 6.0;
    series = series * r + 0.5;
    series = series * r + 1.0;
    series = series * r + 1.0;
    // The low bits of `shifted` hold n in two's complement.
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    series * scale
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ulps(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    proptest! {
        #[test]
        fn logarithm_is_within_two_units(mantissa in 1.0f64..2.0, exponent in -1000i32..1000) {
            let x = mantissa * 2f64.powi(exponent);
            prop_assert!(ulps(ln(x), x.ln()) <= 2 || (ln(x) - x.ln()).abs() < 3e-17, "{x}: {} {}", ln(x), x.ln());
        }

        #[test]
        fn exponential_is_within_two_units(x in -690.0f64..=0.0) {
            prop_assert!(ulps(exp_nonpositive(x), x.exp()) <= 2, "{x}");
        }

        #[test]
        fn exponential_near_zero(x in -1e-3f64..=0.0) {
            prop_assert!(ulps(exp_nonpositive(x), x.exp()) <= 2, "{x}");
        }
    }

    #[test]
    fn edges() {
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(0.0 * ln(0.0), 0.0);
        assert_eq!(exp_nonpositive(0.0), 1.0);
        assert!(exp_nonpositive(-1e300) < 1e-300);
    }

    #[test]
    fn reductions_cover_every_element() {
        for len in 0..40 {
            let values: Vec<f64> = (1..=len).map(f64::from).collect();
            let n = f64::from(len);
            assert_eq!(sum(&values), n * (n + 1.0) / 2.0);
            let expected = if len == 0 {
                (f64::INFINITY, f64::NEG_INFINITY)
            } else {
                (1.0, n)
            };
            assert_eq!(extremes(&values), expected);
            assert_eq!(dot(&values, &values), n * (n + 1.0) * (2.0 * n + 1.0) / 6.0);
        }
    }
}
