//! A mean with its interval, over samples clustered by image.

use fp_stats::{Clusters, IntervalKind, clustered_score_interval, clustered_standard_error, mean};
use serde::Serialize;

use crate::error::ReportError;

/// A mean over samples, 0 to 1, with its clustered interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// Number of samples.
    pub n: usize,
    /// Number of images.
    pub num_images: usize,
    /// The mean; `None` without samples.
    pub mean: Option<f64>,
    /// Standard error with samples clustered by image; `None` with fewer than two images.
    pub standard_error: Option<f64>,
    /// Bounds of the clustered score interval, within 0 to 1; `None` with fewer than two images.
    pub interval: Option<[f64; 2]>,
    /// Method of the interval; `None` where there is none.
    pub interval_method: Option<IntervalKind>,
}

impl Estimate {
    /// Estimates the mean of `values` from 0 to 1, each with its image in `clusters`.
    pub(crate) fn new(
        values: &[f64],
        clusters: &[usize],
        confidence: f64,
    ) -> Result<Estimate, ReportError> {
        if values.is_empty() {
            return Ok(Estimate {
                n: 0,
                num_images: 0,
                mean: None,
                standard_error: None,
                interval: None,
                interval_method: None,
            });
        }
        let clusters = Clusters::new(clusters)?;
        let mut estimate = Estimate {
            n: values.len(),
            num_images: clusters.len(),
            mean: Some(mean(values)?),
            standard_error: None,
            interval: None,
            interval_method: None,
        };
        if clusters.len() < 2 {
            return Ok(estimate);
        }
        estimate.standard_error = Some(clustered_standard_error(values, &clusters)?);
        let interval = clustered_score_interval(values, &clusters, confidence)?;
        estimate.interval = Some([interval.low, interval.high]);
        estimate.interval_method = Some(IntervalKind::ClusteredScore);
        Ok(estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // SE² = 7/48, one degree of freedom: two images carry hardly any information.
        let estimate = Estimate::new(&[1.0, 1.0, 0.0, 0.0], &[0, 0, 1, 1], 0.9).unwrap();
        assert_eq!((estimate.n, estimate.num_images), (4, 2));
        assert_eq!(estimate.mean, Some(0.5));
        assert_eq!(estimate.interval_method, Some(IntervalKind::ClusteredScore));
        assert!((estimate.standard_error.unwrap() - (7.0_f64 / 48.0).sqrt()).abs() < 1e-15);
        let [low, high] = estimate.interval.unwrap();
        assert!(low < 0.05 && high > 0.95, "{low} {high}");
    }

    #[test]
    fn no_spread_is_not_no_doubt() {
        let estimate = Estimate::new(&[1.0; 20], &(0..20).collect::<Vec<_>>(), 0.95).unwrap();
        let [low, high] = estimate.interval.unwrap();
        // If at least 14 % were wrong, 20 right answers of 20 would have a probability below 5 %.
        assert!(low > 0.75 && low < 0.86 && high == 1.0, "{low} {high}");
        assert_eq!(Estimate::new(&[], &[], 0.95).unwrap().mean, None);
        let one_image = Estimate::new(&[1.0, 0.0], &[3, 3], 0.95).unwrap();
        assert_eq!((one_image.mean, one_image.interval), (Some(0.5), None));
        assert_eq!(one_image.interval_method, None);
    }
}
