//! Standard errors and t tests, for independent or clustered samples.
//!
//! Source of the clustered standard error: Miller, "Adding error bars to evals",
//! arXiv 2411.00640.

use super::clusters::Clusters;
use super::distribution::{student_t_quantile, student_t_two_sided};
use super::error::{StatsError, check_finite, check_len, check_open_unit};

/// Mean of `values`.
///
/// # Errors
/// An empty slice, NaN or infinity.
pub fn mean(values: &[f64]) -> Result<f64, StatsError> {
    if values.is_empty() {
        return Err(StatsError::Empty { what: "values" });
    }
    check_finite("values", values)?;
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard error of the mean if samples within a cluster are correlated: SE² = s²/n + n⁻² Σ over
/// clusters Σ_{i≠j} (x_i − x̄)(x_j − x̄). If every sample is its own cluster, this is s / √n with
/// the unbiased s².
///
/// # Errors
/// Different lengths, fewer than two clusters, NaN or infinity.
pub fn clustered_standard_error(values: &[f64], clusters: &Clusters) -> Result<f64, StatsError> {
    check_len("values", values.len(), clusters.num_samples())?;
    let mean = mean(values)?;
    check_num_clusters(clusters)?;
    let n = values.len() as f64;
    let deviations: Vec<f64> = values.iter().map(|value| value - mean).collect();
    let squares = sum_of_squares(values, mean);
    // Σ_{i≠j} in a cluster is the square of its sum minus the sum of its squares.
    let sum_squared: f64 = clusters
        .sums(&deviations)?
        .iter()
        .map(|sum| sum * sum)
        .sum();
    let variance = squares / (n * (n - 1.0)) + (sum_squared - squares) / (n * n);
    // Never negative in exact arithmetic: squares/(n(n−1)) ≥ squares/n².
    Ok(variance.max(0.0).sqrt())
}

/// A t test of mean(a) − mean(b) over paired scores.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PairedTTest {
    /// Number of pairs.
    pub n: usize,
    /// mean(a) − mean(b).
    pub difference: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Difference divided by standard error; infinite if all pairs differ by the same amount, 0
    /// if no pair differs.
    pub t: f64,
    /// Degrees of freedom: number of pairs or clusters minus one.
    pub degrees_of_freedom: f64,
    /// Two-sided p.
    pub p: f64,
}

/// Paired t test with the clustered standard error, and the number of clusters minus one as
/// degrees of freedom.
///
/// # Errors
/// Different lengths, fewer than two clusters, NaN or infinity, a confidence outside 0..1.
pub fn clustered_paired_t_test(
    a: &[f64],
    b: &[f64],
    clusters: &Clusters,
    confidence: f64,
) -> Result<PairedTTest, StatsError> {
    let differences = differences(a, b)?;
    let standard_error = clustered_standard_error(&differences, clusters)?;
    let degrees_of_freedom = (clusters.len() - 1) as f64;
    t_test(&differences, standard_error, degrees_of_freedom, confidence)
}

/// a − b, pair by pair.
///
/// # Errors
/// Different lengths, empty slices, NaN or infinity.
pub fn differences(a: &[f64], b: &[f64]) -> Result<Vec<f64>, StatsError> {
    check_len("b", b.len(), a.len())?;
    if a.is_empty() {
        return Err(StatsError::Empty { what: "a" });
    }
    check_finite("a", a)?;
    check_finite("b", b)?;
    Ok(a.iter().zip(b).map(|(a, b)| a - b).collect())
}

pub(crate) fn check_num_clusters(clusters: &Clusters) -> Result<(), StatsError> {
    if clusters.len() < 2 {
        return Err(StatsError::TooFewClusters {
            got: clusters.len(),
            needed: 2,
        });
    }
    Ok(())
}

fn t_test(
    differences: &[f64],
    standard_error: f64,
    degrees_of_freedom: f64,
    confidence: f64,
) -> Result<PairedTTest, StatsError> {
    check_open_unit("confidence", confidence)?;
    let difference = mean(differences)?;
    let half_width =
        standard_error * student_t_quantile(0.5 + 0.5 * confidence, degrees_of_freedom)?;
    let t = if difference == 0.0 {
        0.0
    } else {
        difference / standard_error
    };
    Ok(PairedTTest {
        n: differences.len(),
        difference,
        standard_error,
        low: difference - half_width,
        high: difference + half_width,
        t,
        degrees_of_freedom,
        p: student_t_two_sided(t, degrees_of_freedom)?,
    })
}

fn sum_of_squares(values: &[f64], mean: f64) -> f64 {
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Standard error of the mean for independent samples: s / √n with the unbiased s².
    fn standard_error(values: &[f64]) -> f64 {
        let n = values.len() as f64;
        let mean = mean(values).unwrap();
        (sum_of_squares(values, mean) / (n * (n - 1.0))).sqrt()
    }

    fn paired_t_test(a: &[f64], b: &[f64], confidence: f64) -> Result<PairedTTest, StatsError> {
        let clusters = Clusters::singletons(a.len()).unwrap();
        clustered_paired_t_test(a, b, &clusters, confidence)
    }

    #[test]
    fn standard_errors_by_hand() {
        // x̄ = ½, squares sum to 1: s² = 1/3, SE = √(1/12).
        let values = [1.0, 1.0, 0.0, 0.0];
        let alone = standard_error(&values);
        assert!((alone - (1.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        // Two images with two equal answers each: plus (1/16)·(½ + ½) = 1/12 + 1/16.
        let pairs = Clusters::new(&[5, 5, 9, 9]).unwrap();
        let clustered = clustered_standard_error(&values, &pairs).unwrap();
        assert!((clustered - (7.0_f64 / 48.0).sqrt()).abs() < 1e-15);
        // Answers that cancel within an image: 1/12 − 1/16.
        let mixed = Clusters::new(&[5, 9, 5, 9]).unwrap();
        let clustered = clustered_standard_error(&values, &mixed).unwrap();
        assert!((clustered - (1.0_f64 / 48.0).sqrt()).abs() < 1e-15);
    }

    #[test]
    fn t_tests_by_hand() {
        // Differences 1, 0, 1, 2: mean 1, s² = 2/3, SE² = 1/6, t = √6.
        let test = paired_t_test(&[1.0, 0.0, 1.0, 2.0], &[0.0; 4], 0.95).unwrap();
        assert!((test.t - 6.0_f64.sqrt()).abs() < 1e-14);
        // Three degrees of freedom: P = 1 − (2/π)(θ + sin θ cos θ), tan θ = t/√3.
        let angle = (test.t / 3.0_f64.sqrt()).atan();
        let p = 1.0 - 2.0 / std::f64::consts::PI * (angle + angle.sin() * angle.cos());
        assert!((test.p - p).abs() < 1e-13);
        assert!((test.low + test.high - 2.0).abs() < 1e-13);

        let alike = paired_t_test(&[1.0; 3], &[1.0; 3], 0.95).unwrap();
        assert_eq!(
            (alike.t, alike.p, alike.low, alike.high),
            (0.0, 1.0, 0.0, 0.0)
        );
        let apart = paired_t_test(&[1.0; 3], &[0.0; 3], 0.95).unwrap();
        assert_eq!((apart.t, apart.p), (f64::INFINITY, 0.0));
    }

    #[test]
    fn what_cannot_be_tested_is_an_error() {
        let one = Clusters::new(&[3, 3]).unwrap();
        assert!(matches!(
            clustered_standard_error(&[1.0, 0.0], &one),
            Err(StatsError::TooFewClusters { got: 1, needed: 2 })
        ));
        assert!(mean(&[]).is_err());
        assert!(differences(&[1.0], &[]).is_err());
        assert!(differences(&[f64::INFINITY], &[0.0]).is_err());
        assert!(paired_t_test(&[1.0, 0.0], &[0.0, 0.0], 1.0).is_err());
    }

    proptest! {
        #[test]
        fn clusters_of_one_change_nothing(values in proptest::collection::vec(0.0_f64..1.0, 2..40)) {
            let alone = standard_error(&values);
            let singletons = Clusters::singletons(values.len()).unwrap();
            let clustered = clustered_standard_error(&values, &singletons).unwrap();
            prop_assert!((alone - clustered).abs() < 1e-12);
        }

        #[test]
        fn equals_the_double_sum(
            samples in proptest::collection::vec((0.0_f64..1.0, 0_usize..5), 2..40),
        ) {
            let values: Vec<f64> = samples.iter().map(|s| s.0).collect();
            let labels: Vec<usize> = samples.iter().map(|s| s.1).collect();
            let clusters = Clusters::new(&labels).unwrap();
            prop_assume!(clusters.len() > 1);
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let mut variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n * (n - 1.0));
            for i in 0..values.len() {
                for j in 0..values.len() {
                    if i != j && labels[i] == labels[j] {
                        variance += (values[i] - mean) * (values[j] - mean) / (n * n);
                    }
                }
            }
            let got = clustered_standard_error(&values, &clusters).unwrap();
            prop_assert!((got * got - variance).abs() < 1e-12);
        }
    }
}
