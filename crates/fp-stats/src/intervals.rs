//! Intervals of a single figure: a proportion, or a mean over clusters.

use super::clustered::{clustered_standard_error, mean};
use super::clusters::Clusters;
use super::distribution::{normal_quantile, student_t_quantile};
use super::error::{StatsError, check_open_unit};

/// How an interval came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntervalKind {
    /// Clustered score interval, which holds where few samples differ; see
    /// [`crate::ClusteredDifference`].
    ClusteredScore,
    /// Quantiles of cluster bootstrap draws.
    BootstrapPercentile,
    /// The same, corrected for bias and acceleration.
    BootstrapBca,
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How sure, such as 0.95.
    pub confidence: f64,
}

impl Interval {
    /// Whether `value` lies within, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }
}

/// Wilson's score interval of a proportion, which stays within 0..1 and has width
/// even when none or all succeed. Wilson 1927.
///
/// # Errors
/// No trials, more successes than trials, a confidence outside 0..1.
pub fn wilson_interval(
    successes: u64,
    trials: u64,
    confidence: f64,
) -> Result<Interval, StatsError> {
    check_open_unit("confidence", confidence)?;
    if trials == 0 {
        return Err(StatsError::Empty { what: "trials" });
    }
    if successes > trials {
        return Err(StatsError::OutOfRange {
            name: "successes",
            value: successes as f64,
            expected: "at most the number of trials",
        });
    }
    let (n, p) = (trials as f64, successes as f64 / trials as f64);
    let z = normal_quantile(0.5 + 0.5 * confidence);
    let z_squared = z * z;
    let centre = (p + z_squared / (2.0 * n)) / (1.0 + z_squared / n);
    let spread = (p * (1.0 - p) / n + z_squared / (4.0 * n * n)).sqrt();
    let half_width = z / (1.0 + z_squared / n) * spread;
    Ok(Interval {
        // Exactly 0 and 1 at the ends, where rounding would leave a remainder.
        low: if successes == 0 {
            0.0
        } else {
            centre - half_width
        },
        high: if successes == trials {
            1.0
        } else {
            centre + half_width
        },
        confidence,
    })
}

/// Interval of a mean whose samples come in clusters: Student's t with the clustered
/// standard error and clusters less one as degrees of freedom.
///
/// # Errors
/// Different lengths, fewer than two clusters, NaN, a confidence outside 0..1.
pub fn clustered_mean_interval(
    values: &[f64],
    clusters: &Clusters,
    confidence: f64,
) -> Result<Interval, StatsError> {
    check_open_unit("confidence", confidence)?;
    let mean = mean(values)?;
    let error = clustered_standard_error(values, clusters)?;
    let half_width =
        error * student_t_quantile(0.5 + 0.5 * confidence, (clusters.len() - 1) as f64)?;
    Ok(Interval {
        low: mean - half_width,
        high: mean + half_width,
        confidence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wilson_by_hand() {
        // z² = 3.841459: n = 10, p = ½: centre ½, half width
        // 1.959964 / 1.3841459 · √(0.025 + 0.00960365) = 0.26340…
        let interval = wilson_interval(5, 10, 0.95).unwrap();
        assert!((interval.low - 0.236_593).abs() < 1e-6, "{interval:?}");
        assert!((interval.high - 0.763_407).abs() < 1e-6, "{interval:?}");
        // None of n: 0 to z²/(n + z²).
        let none = wilson_interval(0, 10, 0.95).unwrap();
        assert_eq!(none.low, 0.0);
        assert!((none.high - 3.841_459 / 13.841_459).abs() < 1e-7);
        assert_eq!(wilson_interval(10, 10, 0.95).unwrap().high, 1.0);
    }

    #[test]
    fn clustered_by_hand() {
        // SE² = 7/48 (see the standard error's test), one degree of freedom:
        // t at 90 % is tan(0.45π) = 6.3138.
        let clusters = Clusters::new(&[0, 0, 1, 1]).unwrap();
        let interval = clustered_mean_interval(&[1.0, 1.0, 0.0, 0.0], &clusters, 0.9).unwrap();
        let half_width = (7.0_f64 / 48.0).sqrt() * (0.45 * std::f64::consts::PI).tan();
        assert!((interval.high - 0.5 - half_width).abs() < 1e-12);
        assert!(interval.contains(0.5));
    }

    #[test]
    fn impossible_counts_are_errors() {
        assert!(wilson_interval(0, 0, 0.95).is_err());
        assert!(wilson_interval(2, 1, 0.95).is_err());
        assert!(wilson_interval(1, 2, 0.0).is_err());
        let clusters = Clusters::new(&[0]).unwrap();
        assert!(clustered_mean_interval(&[1.0], &clusters, 0.95).is_err());
    }

    proptest! {
        #[test]
        fn wilson_holds_the_proportion(trials in 1_u64..1000, share in 0.0_f64..=1.0) {
            let successes = (trials as f64 * share) as u64;
            let interval = wilson_interval(successes, trials, 0.95).unwrap();
            prop_assert!(interval.contains(successes as f64 / trials as f64));
            prop_assert!(interval.low >= 0.0 && interval.high <= 1.0);
        }
    }
}
