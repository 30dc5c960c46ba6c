//! Elementary functions in `f32` that the compiler can vectorise.

use super::level::multiply_add;

/// Accumulators per reduction.
pub(crate) const LANES: usize = 16;

/// Sum of the lanes by a fixed tree.
#[inline(always)]
fn tree_sum(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Σ x.
#[inline(always)]
pub(crate) fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] += chunk[lane];
        }
    }
    for (lane, x) in rest.iter().enumerate() {
        lanes[lane] += x;
    }
    tree_sum(lanes)
}

/// Σ x · y.
#[inline(always)]
pub(crate) fn dot<const FUSED: bool>(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (x_chunks, x_rest) = x.as_chunks::<LANES>();
    let (y_chunks, y_rest) = y.as_chunks::<LANES>();
    for (x, y) in x_chunks.iter().zip(y_chunks) {
        for lane in 0..LANES {
            lanes[lane] = multiply_add::<FUSED>(x[lane], y[lane], lanes[lane]);
        }
    }
    for (lane, (&x, &y)) in x_rest.iter().zip(y_rest).enumerate() {
        lanes[lane] = multiply_add::<FUSED>(x, y, lanes[lane]);
    }
    tree_sum(lanes)
}

/// Largest value; −∞ for an empty slice.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = if chunk[lane] > lanes[lane] {
                chunk[lane]
            } else {
                lanes[lane]
            };
        }
    }
    for (lane, &x) in rest.iter().enumerate() {
        lanes[lane] = if x > lanes[lane] { x } else { lanes[lane] };
    }
    lanes
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a })
}

/// e^x within 2 units in the last place; below −87 it stays at e^−87, above 88
/// at e^88. NaN stays NaN.
///
/// x = n ln 2 + r with |r| ≤ ½ ln 2, then the Taylor polynomial of degree 7.
#[inline(always)]
pub(crate) fn exp<const FUSED: bool>(x: f32) -> f32 {
    const LN2_HI: f32 = 0.693_359_4; // ten significant bits, so that n · LN2_HI is exact
    const LN2_LO: f32 = -2.121_944_4e-4;
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = multiply_add::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = multiply_add::<FUSED>(-n, LN2_HI, x);
    let r = multiply_add::<FUSED>(-n, LN2_LO, r);
    let mut series = 1.0 / 5040.0;
    series = multiply_add::<FUSED>(series, r, 1.0 / 720.0);
    series = multiply_add::<FUSED>(series, r, 1.0 / 120.0);
    series = multiply_add::<FUSED>(series, r, 1.0 / 24.0);
    series = multiply_add::<FUSED>(series, r, 1.0 / 6.0);
    series = multiply_add::<FUSED>(series, r, 0.5);
    series = multiply_add::<FUSED>(series, r, 1.0);
    series = multiply_add::<FUSED>(series, r, 1.0);
    // The low bits of `shifted` hold n in two's complement.
    let scale = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    series * scale
}

/// 1 − erf(x) for x ≥ 0 with a relative error below 2e-7.
///
/// The complementary error function as t · exp(−x² + P(t)), t = 1/(1 + x/2),
/// with the Chebyshev fit P of Numerical Recipes (section 6.2).
#[inline(always)]
fn erfc_nonnegative<const FUSED: bool>(x: f32) -> f32 {
    let t = 1.0 / (1.0 + 0.5 * x);
    let mut series = 0.170_872_77;
    series = multiply_add::<FUSED>(series, t, -0.822_152_23);
    series = multiply_add::<FUSED>(series, t, 1.488_515_9);
    series = multiply_add::<FUSED>(series, t, -1.135_204);
    series = multiply_add::<FUSED>(series, t, 0.278_868_1);
    series = multiply_add::<FUSED>(series, t, -0.186_288_06);
    series = multiply_add::<FUSED>(series, t, 0.096_784_18);
    series = multiply_add::<FUSED>(series, t, 0.374_091_96);
    series = multiply_add::<FUSED>(series, t, 1.000_023_7);
    series = multiply_add::<FUSED>(series, t, -1.265_512_2);
    t * exp::<FUSED>(multiply_add::<FUSED>(-x, x, series))
}

/// x · Φ(x), Φ the normal distribution function.
#[inline(always)]
pub(crate) fn gelu<const FUSED: bool>(x: f32) -> f32 {
    let tail = 0.5 * erfc_nonnegative::<FUSED>(x.abs() * std::f32::consts::FRAC_1_SQRT_2);
    x * if x < 0.0 { tail } else { 1.0 - tail }
}

/// x · ½ (1 + tanh(√(2/π) (x + 0.044715 x³))), computed as x times the sigmoid of twice the
/// argument of tanh.
#[inline(always)]
pub(crate) fn gelu_tanh<const FUSED: bool>(x: f32) -> f32 {
    const TWICE_ROOT: f32 = 1.595_769; // 2 √(2/π)
    let cubic = multiply_add::<FUSED>(0.044_715 * x, x, 1.0);
    x / (1.0 + exp::<FUSED>(-TWICE_ROOT * x * cubic))
}

/// x / (1 + e^(−slope · x)).
#[inline(always)]
pub(crate) fn sigmoid_gate<const FUSED: bool>(x: f32, slope: f32) -> f32 {
    x / (1.0 + exp::<FUSED>(-slope * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_close_everywhere() {
        for step in -8700..=8800 {
            let x = step as f32 / 100.0;
            let expected = f64::from(x).exp();
            for got in [exp::<true>(x), exp::<false>(x)] {
                assert!(
                    (f64::from(got) / expected - 1.0).abs() < 2.5e-7,
                    "{x}: {got} {expected}"
                );
            }
        }
        assert!(exp::<true>(f32::NAN).is_nan());
        assert!(exp::<true>(f32::NEG_INFINITY) < 1e-37);
        assert_eq!(exp::<true>(0.0), 1.0);
    }

    #[test]
    fn gelu_matches_tabulated_values() {
        for (x, expected) in [
            (0.0_f32, 0.0_f64),
            (1.0, 0.841_344_746_068_543),
            (-1.0, -0.158_655_253_931_457),
            (2.0, 1.954_499_736_103_642),
            (-3.0, -0.004_049_694_094_885_21),
            (0.1, 0.053_982_783_727_702_9),
        ] {
            let got = f64::from(gelu::<true>(x));
            assert!((got - expected).abs() < 3e-7, "{x}: {got} {expected}");
        }
    }

    #[test]
    fn gelu_tanh_is_the_formula() {
        for step in -1000..=1000 {
            let x = f64::from(step) / 100.0;
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            let expected = 0.5 * x * (1.0 + inner.tanh());
            for got in [gelu_tanh::<true>(x as f32), gelu_tanh::<false>(x as f32)] {
                let got = f64::from(got);
                assert!((got - expected).abs() < 2e-6, "{x}: {got} {expected}");
            }
        }
    }

    #[test]
    fn reductions_cover_every_element() {
        for len in 0..40_u16 {
            let values: Vec<f32> = (1..=len).map(f32::from).collect();
            let n = f32::from(len);
            assert_eq!(sum(&values), n * (n + 1.0) / 2.0);
            assert_eq!(
                dot::<true>(&values, &values),
                n * (n + 1.0) * (2.0 * n + 1.0) / 6.0
            );
            assert_eq!(max(&values), if len == 0 { f32::NEG_INFINITY } else { n });
        }
    }
}
