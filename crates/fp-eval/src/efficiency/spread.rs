//! Median and spread of repeated measurements.

use fp_stats::quantile;
use serde::{Deserialize, Serialize};

/// Median, tenth and ninetieth percentile of repeated measurements.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The middle value.
    pub median: f64,
    /// 10th percentile.
    pub p10: f64,
    /// 90th percentile.
    pub p90: f64,
    /// Number of measurements.
    pub n: usize,
}

impl Spread {
    /// For values in any order; percentiles are interpolated linearly. `None` without values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut ascending: Vec<f64> = values.into_iter().collect();
        ascending.sort_by(f64::total_cmp);
        (!ascending.is_empty()).then(|| Spread {
            median: quantile(&ascending, 0.5),
            p10: quantile(&ascending, 0.1),
            p90: quantile(&ascending, 0.9),
            n: ascending.len(),
        })
    }

    /// Width from p10 to p90, as a share of the median.
    pub fn relative_width(&self) -> f64 {
        (self.p90 - self.p10) / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_by_hand() {
        assert_eq!(Spread::of([]), None);
        let one = Spread::of([3.0]).unwrap();
        assert_eq!((one.median, one.p10, one.p90, one.n), (3.0, 3.0, 3.0, 1));
        // 0, 10, …, 100: each decile is one of the values.
        let spread = Spread::of((0..=10).rev().map(|i| 10.0 * f64::from(i))).unwrap();
        assert_eq!((spread.median, spread.p10, spread.p90), (50.0, 10.0, 90.0));
        assert_eq!(spread.relative_width(), 1.6);
        // Interpolated: positions 1.5, 0.3 and 2.7 in 1, 2, 4, 8.
        let spread = Spread::of([8.0, 1.0, 4.0, 2.0]).unwrap();
        assert_eq!(spread.median, 3.0);
        assert!((spread.p10 - 1.3).abs() < 1e-12 && (spread.p90 - 6.8).abs() < 1e-12);
    }
}
