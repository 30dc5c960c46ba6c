//! Distribution functions for the tests of this crate, accurate to about twelve digits.

use super::error::{StatsError, check_open_unit};

/// Φ(z), the standard normal distribution function.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Φ⁻¹(p): −∞ at 0, ∞ at 1, NaN outside.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        // 1 − p is exact here, and small probabilities have more significant digits.
        return -normal_quantile(1.0 - p);
    }
    if p <= 0.0 || p.is_nan() {
        return if p == 0.0 {
            f64::NEG_INFINITY
        } else {
            f64::NAN
        };
    }
    // Abramowitz & Stegun 26.2.23 is accurate to 4.5e-4; Newton's method on ln Φ, which is
    // concave, doubles the number of digits each time.
    let t = (-2.0 * p.ln()).sqrt();
    let numerator = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let denominator = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut z = numerator / denominator - t;
    for _ in 0..4 {
        let below = normal_cdf(z);
        let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        z -= (below / p).ln() * below / density;
    }
    z
}

/// P(T ≥ t) for Student's t with `degrees_of_freedom`; t may be infinite.
///
/// # Errors
/// Degrees of freedom that are not positive, or a NaN.
pub(crate) fn student_t_tail(t: f64, degrees_of_freedom: f64) -> Result<f64, StatsError> {
    if !(degrees_of_freedom > 0.0 && degrees_of_freedom.is_finite()) {
        return Err(StatsError::OutOfRange {
            name: "degrees of freedom",
            value: degrees_of_freedom,
            expected: "a positive number",
        });
    }
    if t.is_nan() {
        return Err(StatsError::OutOfRange {
            name: "t",
            value: t,
            expected: "a number",
        });
    }
    let upper = 0.5 * two_sided(t, degrees_of_freedom);
    Ok(if t >= 0.0 { upper } else { 1.0 - upper })
}

/// P(|T| ≥ |t|) for Student's t with `degrees_of_freedom`.
///
/// # Errors
/// As [`student_t_tail`].
pub(crate) fn student_t_two_sided(t: f64, degrees_of_freedom: f64) -> Result<f64, StatsError> {
    Ok(2.0 * student_t_tail(t.abs(), degrees_of_freedom)?)
}

/// The `p` quantile of Student's t with `degrees_of_freedom`.
///
/// # Errors
/// p outside 0..1, or degrees of freedom that are not positive.
pub(crate) fn student_t_quantile(p: f64, degrees_of_freedom: f64) -> Result<f64, StatsError> {
    check_open_unit("probability", p)?;
    let tail = p.min(1.0 - p);
    // The tail decreases monotonically: double the bracket until it contains p, then bisect to
    // the last bit.
    let (mut low, mut high) = (0.0, 1.0);
    while student_t_tail(high, degrees_of_freedom)? > tail {
        (low, high) = (high, 2.0 * high);
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return Ok(if p < 0.5 { -middle } else { middle });
        }
        if student_t_tail(middle, degrees_of_freedom)? > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// P(|T| ≥ |t|) = I_x(ν/2, ½) with x = ν / (ν + t²).
fn two_sided(t: f64, nu: f64) -> f64 {
    let square = t * t;
    if square.is_infinite() {
        return 0.0;
    }
    if square == 0.0 {
        return 1.0;
    }
    let (x, rest) = (nu / (nu + square), square / (nu + square));
    let (a, b) = (0.5 * nu, 0.5);
    // x^a (1 − x)^b / B(a, b); ln x is computed by ln(1 + t²/ν), which is accurate near x = 1.
    let log_beta = libm::lgamma(b) - log_gamma_half_step(a);
    let front = (b * rest.ln() - a * (square / nu).ln_1p() - log_beta).exp();
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, rest) / b
    }
}

/// ln Γ(a + ½) − ln Γ(a), by its series where the difference would cancel.
/// Source: DLMF 5.11.13, Γ(a + ½)/Γ(a) ~ √a (1 − 1/(8a) + 1/(128a²) + 5/(1024a³) − …).
fn log_gamma_half_step(a: f64) -> f64 {
    if a < 100.0 {
        return libm::lgamma(a + 0.5) - libm::lgamma(a);
    }
    let x = 1.0 / a;
    let terms = [-21.0 / 32768.0, 5.0 / 1024.0, 1.0 / 128.0, -0.125];
    let series = terms.iter().fold(0.0, |sum, term| (sum + term) * x);
    0.5 * a.ln() + series.ln_1p()
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
/// Source: DLMF 8.17.22; it converges fast for x < (a + 1)/(a + b + 2).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const MAX_TERMS: u32 = 10_000;
    let away_from_zero = |value: f64| {
        if value.abs() < 1e-300 { 1e-300 } else { value }
    };
    let (mut c, mut d) = (1.0, 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..MAX_TERMS {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for coefficient in [even, odd] {
            d = 1.0 / away_from_zero(1.0 + coefficient * d);
            c = away_from_zero(1.0 + coefficient / c);
            change = c * d;
            fraction *= change;
        }
        if (change - 1.0).abs() < 1e-16 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_close(got: f64, expected: f64) {
        assert!(
            (got - expected).abs() <= 2e-13 * expected.abs(),
            "{got} instead of {expected}"
        );
    }

    #[test]
    fn normal_values_from_tables() {
        check_close(normal_cdf(0.0), 0.5);
        check_close(normal_quantile(0.975), 1.959_963_984_540_054);
        check_close(normal_quantile(0.8), 0.841_621_233_572_914_2);
        check_close(normal_quantile(1e-12), -7.034_483_825_301_132);
        check_close(normal_cdf(-1.959_963_984_540_054), 0.025);
        assert!(normal_quantile(0.5).abs() < 1e-15);
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
        assert!(normal_quantile(1.5).is_nan() && normal_quantile(f64::NAN).is_nan());
    }

    #[test]
    fn student_t_in_closed_form() {
        // One degree of freedom is Cauchy: P(T ≥ 1) = 1/4, quantile tan(π(p − ½)).
        check_close(student_t_tail(1.0, 1.0).unwrap(), 0.25);
        check_close(student_t_tail(-1.0, 1.0).unwrap(), 0.75);
        check_close(student_t_quantile(0.75, 1.0).unwrap(), 1.0);
        // Two: P(T ≥ t) = ½ − t / (2√(2 + t²)).
        let t: f64 = 1.7;
        let tail = 0.5 - t / (2.0 * (2.0 + t * t).sqrt());
        check_close(student_t_two_sided(-t, 2.0).unwrap(), 2.0 * tail);
        check_close(student_t_quantile(tail, 2.0).unwrap(), -t);
        check_close(
            student_t_quantile(0.975, 30.0).unwrap(),
            2.042_272_456_301_238,
        );
        assert_eq!(student_t_tail(f64::INFINITY, 3.0), Ok(0.0));
        assert_eq!(student_t_tail(f64::NEG_INFINITY, 3.0), Ok(1.0));
    }

    #[test]
    fn impossible_parameters_are_errors() {
        assert!(student_t_tail(1.0, 0.0).is_err());
        assert!(student_t_tail(f64::NAN, 3.0).is_err());
        assert!(student_t_quantile(1.0, 3.0).is_err());
        assert!(student_t_quantile(0.5, f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn quantiles_invert_distribution_functions(p in 1e-9_f64..1.0, freedom in 1_u32..5000) {
            prop_assert!((normal_cdf(normal_quantile(p)) - p).abs() < 1e-14);
            let freedom = f64::from(freedom);
            let t = student_t_quantile(p, freedom).unwrap();
            prop_assert!((1.0 - student_t_tail(t, freedom).unwrap() - p).abs() < 1e-11);
        }

        #[test]
        fn many_degrees_of_freedom_are_nearly_normal(t in -6.0_f64..6.0) {
            let tail = student_t_tail(t, 1e9).unwrap();
            prop_assert!((tail - normal_cdf(-t)).abs() < 1e-8);
        }
    }
}
