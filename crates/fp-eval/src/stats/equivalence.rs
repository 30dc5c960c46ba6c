//! "As good as" needs its own test: a large p value of a difference is no evidence
//! of equality. The margin is declared beforehand.

use super::distribution::{student_t_quantile, student_t_tail};
use super::error::{StatsError, check_non_negative, check_open_unit};

/// Two one-sided tests (Schuirmann 1987): is the difference within ±margin?
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Equivalence {
    /// The margin, in the unit of the scores.
    pub margin: f64,
    /// Level of either test.
    pub alpha: f64,
    /// p of "the difference is −margin or less".
    pub p_lower: f64,
    /// p of "the difference is margin or more".
    pub p_upper: f64,
    /// The larger of both.
    pub p: f64,
    /// Lower end of the 1 − 2α interval, which lies within ±margin exactly when both tests reject.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// p < α.
    pub is_equivalent: bool,
}

/// One one-sided test: is a worse than b by less than the margin?
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct NonInferiority {
    /// The margin, in the unit of the scores.
    pub margin: f64,
    /// Level of the test.
    pub alpha: f64,
    /// p of "a is worse by the margin or more".
    pub p: f64,
    /// Lower bound of the difference at 1 − α.
    pub low: f64,
    /// p < α.
    pub is_non_inferior: bool,
}

/// Tests whether `difference`, known to ±`standard_error`, lies within ±`margin`.
/// Degrees of freedom: clusters less one for a clustered standard error.
///
/// # Errors
/// A margin that is not positive, a negative standard error, α outside 0..1, NaN.
pub fn equivalence(
    difference: f64,
    standard_error: f64,
    degrees_of_freedom: f64,
    margin: f64,
    alpha: f64,
) -> Result<Equivalence, StatsError> {
    let non_inferior = non_inferiority(
        difference,
        standard_error,
        degrees_of_freedom,
        margin,
        alpha,
    )?;
    let p_upper = tail_p(margin - difference, standard_error, degrees_of_freedom)?;
    let p = non_inferior.p.max(p_upper);
    Ok(Equivalence {
        margin,
        alpha,
        p_lower: non_inferior.p,
        p_upper,
        p,
        low: non_inferior.low,
        high: 2.0 * difference - non_inferior.low,
        is_equivalent: p < alpha,
    })
}

/// Tests whether `difference` = mean(a) − mean(b) lies above −`margin`.
///
/// # Errors
/// As [`equivalence`].
pub fn non_inferiority(
    difference: f64,
    standard_error: f64,
    degrees_of_freedom: f64,
    margin: f64,
    alpha: f64,
) -> Result<NonInferiority, StatsError> {
    super::error::check_finite("difference", &[difference])?;
    check_non_negative("standard error", standard_error)?;
    check_non_negative("margin", margin)?;
    check_open_unit("alpha", alpha)?;
    if margin == 0.0 {
        return Err(StatsError::OutOfRange {
            name: "margin",
            value: margin,
            expected: "a positive number: no data show that a difference is exactly 0",
        });
    }
    let p = tail_p(difference + margin, standard_error, degrees_of_freedom)?;
    let quantile = student_t_quantile(1.0 - alpha, degrees_of_freedom)?;
    Ok(NonInferiority {
        margin,
        alpha,
        p,
        low: difference - quantile * standard_error,
        is_non_inferior: p < alpha,
    })
}

/// P(T ≥ distance / standard error); without any spread the distance's sign decides.
fn tail_p(distance: f64, standard_error: f64, degrees_of_freedom: f64) -> Result<f64, StatsError> {
    let t = match (standard_error == 0.0, distance > 0.0) {
        (true, true) => f64::INFINITY,
        (true, false) => f64::NEG_INFINITY,
        _ => distance / standard_error,
    };
    student_t_tail(t, degrees_of_freedom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_degrees_of_freedom_by_hand() {
        // P(T ≥ t) = ½ − t / (2√(2 + t²)); distances 3 and 1 over SE 1.
        let tail = |t: f64| 0.5 - t / (2.0 * (2.0 + t * t).sqrt());
        let result = equivalence(1.0, 1.0, 2.0, 2.0, 0.05).unwrap();
        assert!((result.p_lower - tail(3.0)).abs() < 1e-13);
        assert!((result.p_upper - tail(1.0)).abs() < 1e-13);
        assert_eq!(result.p, result.p_upper);
        assert!(!result.is_equivalent);
        // Not worse by 2: p = .0477 is enough alone.
        assert!(
            non_inferiority(1.0, 1.0, 2.0, 2.0, 0.05)
                .unwrap()
                .is_non_inferior
        );
    }

    #[test]
    fn without_spread_the_difference_decides() {
        assert!(
            equivalence(0.004, 0.0, 9.0, 0.005, 0.05)
                .unwrap()
                .is_equivalent
        );
        let outside = equivalence(0.006, 0.0, 9.0, 0.005, 0.05).unwrap();
        assert_eq!((outside.p, outside.is_equivalent), (1.0, false));
        let at_the_margin = equivalence(0.005, 0.0, 9.0, 0.005, 0.05).unwrap();
        assert!(!at_the_margin.is_equivalent);
    }

    #[test]
    fn impossible_settings_are_errors() {
        for (difference, error, freedom, margin, alpha) in [
            (f64::NAN, 1.0, 2.0, 1.0, 0.05),
            (0.0, -1.0, 2.0, 1.0, 0.05),
            (0.0, 1.0, 0.0, 1.0, 0.05),
            (0.0, 1.0, 2.0, 0.0, 0.05),
            (0.0, 1.0, 2.0, -1.0, 0.05),
            (0.0, 1.0, 2.0, 1.0, 0.0),
        ] {
            assert!(equivalence(difference, error, freedom, margin, alpha).is_err());
        }
    }

    proptest! {
        #[test]
        fn equivalent_exactly_where_the_interval_fits(
            difference in -1.0_f64..1.0, error in 0.01_f64..1.0, freedom in 1_u32..500,
        ) {
            let result = equivalence(difference, error, f64::from(freedom), 0.5, 0.05).unwrap();
            // Rounding decides where they touch.
            prop_assume!((result.p - 0.05).abs() > 1e-9);
            prop_assert_eq!(result.is_equivalent, -0.5 < result.low && result.high < 0.5);
        }
    }
}
