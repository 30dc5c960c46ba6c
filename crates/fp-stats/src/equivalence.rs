//! Tests for equivalence: a large p value of a difference is no evidence of equality. The margin
//! is declared in advance.

use super::clustered_score::ClusteredDifference;
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
    /// The larger of the two.
    pub p: f64,
    /// Lower end of the 1 − 2α interval, which lies within ±margin exactly if both tests reject.
    pub low: f64,
    /// Its upper end.
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

/// Tests whether a difference lies within ±`margin`, by the tails of the score statistic that
/// also gives its interval.
///
/// # Errors
/// A margin that is not positive, α outside 0..½, NaN.
pub fn equivalence(
    difference: &ClusteredDifference,
    margin: f64,
    alpha: f64,
) -> Result<Equivalence, StatsError> {
    let non_inferior = non_inferiority(difference, margin, alpha)?;
    let p_upper = difference.p_at_least(margin)?;
    let p = non_inferior.p.max(p_upper);
    let interval = difference.bounds(alpha)?;
    Ok(Equivalence {
        margin,
        alpha,
        p_lower: non_inferior.p,
        p_upper,
        p,
        low: interval.low,
        high: interval.high,
        is_equivalent: p < alpha,
    })
}

/// Tests whether a difference mean(a) − mean(b) lies above −`margin`.
///
/// # Errors
/// As [`equivalence`].
pub fn non_inferiority(
    difference: &ClusteredDifference,
    margin: f64,
    alpha: f64,
) -> Result<NonInferiority, StatsError> {
    check_non_negative("margin", margin)?;
    check_open_unit("alpha", alpha)?;
    if margin == 0.0 {
        return Err(StatsError::OutOfRange {
            name: "margin",
            value: margin,
            expected: "a positive number: data can't show that a difference is exactly 0",
        });
    }
    if alpha >= 0.5 {
        return Err(StatsError::OutOfRange {
            name: "alpha",
            value: alpha,
            expected: "a number below 0.5",
        });
    }
    let p = difference.p_at_most(-margin)?;
    Ok(NonInferiority {
        margin,
        alpha,
        p,
        low: difference.bounds(alpha)?.low,
        is_non_inferior: p < alpha,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// n pairs, each on its own image, of which b favour a and c favour b.
    fn pairs(n: u32, b: u32, c: u32) -> ClusteredDifference {
        let total = f64::from(n);
        ClusteredDifference {
            difference: (f64::from(b) - f64::from(c)) / total,
            disagreement: f64::from(b + c) / total,
            step: 1.0 / total,
            lump: 1.0 / total,
            degrees_of_freedom: total - 1.0,
        }
    }

    #[test]
    fn agreement_is_evidence_by_its_amount() {
        // Without any disagreement among n, a difference of 3/n or more has a probability of at
        // most 5 %: 0.5 points need about 600 images, far more than 12.
        for (n, is_equivalent) in [(12, false), (399, false), (500, false), (800, true)] {
            let result = equivalence(&pairs(n, 0, 0), 0.005, 0.05).unwrap();
            assert_eq!(result.is_equivalent, is_equivalent, "{n}: {result:?}");
            assert!(result.p > 0.0 && result.low == -result.high);
        }
        let few = equivalence(&pairs(12, 0, 0), 0.005, 0.05).unwrap();
        assert!(few.p > 0.4, "{few:?}");
    }

    #[test]
    fn a_difference_beyond_the_margin_is_never_equivalent() {
        let outside = equivalence(&pairs(2000, 20, 0), 0.005, 0.05).unwrap();
        assert!(outside.p > 0.9 && !outside.is_equivalent, "{outside:?}");
        // It is not worse, however.
        let better = non_inferiority(&pairs(2000, 20, 0), 0.005, 0.05).unwrap();
        assert!(better.is_non_inferior, "{better:?}");
    }

    #[test]
    fn impossible_settings_are_errors() {
        for (margin, alpha) in [
            (0.0, 0.05),
            (-1.0, 0.05),
            (f64::NAN, 0.05),
            (1.0, 0.0),
            (1.0, 0.5),
        ] {
            assert!(equivalence(&pairs(100, 3, 2), margin, alpha).is_err());
        }
    }

    proptest! {
        #[test]
        fn equivalent_exactly_where_the_interval_fits(
            n in 40_u32..3000, b in 0_u32..20, c in 0_u32..20, margin in 0.001_f64..0.2,
        ) {
            let result = equivalence(&pairs(n, b, c), margin, 0.05).unwrap();
            // At the boundary, rounding decides.
            prop_assume!((result.p - 0.05).abs() > 1e-9);
            let fits = -margin < result.low && result.high < margin;
            prop_assert_eq!(result.is_equivalent, fits, "{:?}", result);
        }
    }
}
