//! Comparison of figures that are not a mean over questions: F1, the MME score, circular
//! accuracy, means of relative scores.
//!
//! Such a figure is a function of totals that are additive over images: F1 of the counts of true
//! positives, false positives and false negatives, the MME score of correct questions, correct
//! images and the numbers of both per task. A draw of images then needs only the totals.

mod drawn;

pub use drawn::{DrawnTotals, Statistics, draw_statistics};

use super::bootstrap::{Bootstrap, IntervalMethod, NoInterval, bootstrap_statistic};
use super::comparison::CompareOptions;
use super::error::{StatsError, check_finite, check_len};
use super::intervals::{Interval, IntervalKind};
use super::permutation::{PermutationMethod, label_swap_test};

/// Number of clusters in which a and b differ that a bootstrap interval requires: with 20 the
/// percentiles of an approximately Poisson count still cover 93 %, with fewer their coverage
/// decreases quickly.
pub const MIN_DIFFERING: usize = 20;

/// Quantities that are additive over clusters: `[clusters, width]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterTotals {
    width: usize,
    values: Vec<f64>,
}

impl ClusterTotals {
    /// Zero totals of `num_clusters` clusters, `width` quantities each.
    ///
    /// # Errors
    /// No clusters, or no quantities.
    pub fn zeros(num_clusters: usize, width: usize) -> Result<Self, StatsError> {
        if num_clusters == 0 || width == 0 {
            return Err(StatsError::Empty {
                what: "cluster totals",
            });
        }
        Ok(ClusterTotals {
            width,
            values: vec![0.0; num_clusters * width],
        })
    }

    /// Number of clusters.
    pub fn num_clusters(&self) -> usize {
        self.values.len() / self.width
    }

    /// `[width]`, the totals of one cluster.
    pub fn row(&self, cluster: usize) -> &[f64] {
        &self.values[cluster * self.width..][..self.width]
    }

    /// `[width]`, the totals of one cluster, mutable.
    pub fn row_mut(&mut self, cluster: usize) -> &mut [f64] {
        &mut self.values[cluster * self.width..][..self.width]
    }
}

/// Comparison of a and b by a figure that is not a mean.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StatisticComparison {
    /// Number of images.
    pub num_clusters: usize,
    /// The figure of a.
    pub value_a: f64,
    /// The figure of b.
    pub value_b: f64,
    /// `value_a` − `value_b`.
    pub difference: f64,
    /// Standard deviation of the difference over draws.
    pub standard_error: f64,
    /// Number of images whose totals differ.
    pub num_disagreeing: usize,
    /// Cluster bootstrap interval of the difference; `None` if fewer than [`MIN_DIFFERING`]
    /// images differ.
    pub interval: Option<Interval>,
    /// Kind of the interval.
    pub interval_method: IntervalKind,
    /// Why there is no interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_interval: Option<NoInterval>,
    /// Number of draws in which a figure is undefined.
    pub num_undefined_draws: usize,
    /// Two-sided p of the test that swaps labels per image.
    pub p: f64,
    /// How `p` was computed.
    pub method: PermutationMethod,
}

/// Compares a figure of a with that of b; `statistic` gets the totals over images, `[width]`, and
/// returns `None` if the figure is undefined.
///
/// # Errors
/// Totals of different shapes, NaN, fewer than two clusters, too few draws, a figure
/// undefined on the data or in more than half of the draws.
pub fn compare_statistic(
    a: &ClusterTotals,
    b: &ClusterTotals,
    options: &CompareOptions,
    statistic: impl Fn(&[f64]) -> Option<f64>,
) -> Result<StatisticComparison, StatsError> {
    check_len("totals of b", b.values.len(), a.values.len())?;
    check_len("width of b", b.width, a.width)?;
    check_finite("totals of a", &a.values)?;
    check_finite("totals of b", &b.values)?;
    let mut totals = vec![0.0; a.width];
    let mut of_draw = |rows: &ClusterTotals, counts: &[u32]| {
        totals.fill(0.0);
        for (row, &count) in rows.values.chunks_exact(rows.width).zip(counts) {
            if count > 0 {
                add_scaled(&mut totals, row, f64::from(count));
            }
        }
        statistic(&totals)
    };
    let all = vec![1; a.num_clusters()];
    let value_a = of_draw(a, &all).ok_or(StatsError::UndefinedStatistic)?;
    let value_b = of_draw(b, &all).ok_or(StatsError::UndefinedStatistic)?;
    let Bootstrap {
        observed,
        interval,
        standard_error,
        num_undefined,
    } = bootstrap_statistic(a.num_clusters(), &options.bootstrap(), |counts| {
        Some(of_draw(a, counts)? - of_draw(b, counts)?)
    })?;

    let informative: Vec<usize> = (0..a.num_clusters())
        .filter(|&cluster| a.row(cluster) != b.row(cluster))
        .collect();
    let sum = |rows: &ClusterTotals| {
        let mut totals = vec![0.0; rows.width];
        rows.values
            .chunks_exact(rows.width)
            .for_each(|row| add_scaled(&mut totals, row, 1.0));
        totals
    };
    let (sum_a, sum_b) = (sum(a), sum(b));
    let test = label_swap_test(informative.len(), &options.permutation(), |swapped| {
        let (mut totals_a, mut totals_b) = (sum_a.clone(), sum_b.clone());
        for (&cluster, _) in informative.iter().zip(swapped).filter(|(_, swap)| **swap) {
            for (column, (of_a, of_b)) in a.row(cluster).iter().zip(b.row(cluster)).enumerate() {
                totals_a[column] += of_b - of_a;
                totals_b[column] += of_a - of_b;
            }
        }
        Some(statistic(&totals_a)? - statistic(&totals_b)?)
    })?;
    Ok(StatisticComparison {
        num_clusters: a.num_clusters(),
        num_disagreeing: informative.len(),
        value_a,
        value_b,
        difference: observed,
        standard_error,
        interval: None,
        interval_method: interval_kind(options),
        no_interval: None,
        num_undefined_draws: num_undefined,
        p: test.p,
        method: test.method,
    }
    .with_interval(interval))
}

fn interval_kind(options: &CompareOptions) -> IntervalKind {
    match options.interval_method {
        IntervalMethod::Percentile => IntervalKind::BootstrapPercentile,
        IntervalMethod::Bca => IntervalKind::BootstrapBca,
    }
}

impl StatisticComparison {
    /// Adds the interval of its draws, or the reason why there is none.
    fn with_interval(self, interval: Option<Interval>) -> StatisticComparison {
        let no_interval = if self.num_disagreeing < MIN_DIFFERING {
            Some(NoInterval::TooFewDiffer {
                got: self.num_disagreeing,
                needed: MIN_DIFFERING,
            })
        } else {
            interval.is_none().then_some(NoInterval::AllDrawsAlike)
        };
        StatisticComparison {
            interval: interval.filter(|_| no_interval.is_none()),
            no_interval,
            ..self
        }
    }
}

fn add_scaled(totals: &mut [f64], row: &[f64], count: f64) {
    for (total, value) in totals.iter_mut().zip(row) {
        *total += count * value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clusters, PairedComparison, bootstrap_mean, compare_paired};

    /// Sum and number of samples per cluster: the mean as a statistic of totals.
    fn sums_and_sizes(scores: &[f64], labels: &[usize], num_clusters: usize) -> ClusterTotals {
        let mut totals = ClusterTotals::zeros(num_clusters, 2).unwrap();
        for (score, &label) in scores.iter().zip(labels) {
            totals.row_mut(label)[0] += score;
            totals.row_mut(label)[1] += 1.0;
        }
        totals
    }

    /// a and b on `num_clusters` images of six questions each, compared directly and by totals.
    fn both_ways(num_clusters: usize) -> (Vec<f64>, PairedComparison, StatisticComparison) {
        let n = 6 * num_clusters;
        let labels: Vec<usize> = (0..n).map(|i| i / 6).collect();
        let a: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i % 3 > 0))).collect();
        let b: Vec<f64> = (0..n).map(|i| f64::from(u8::from(i % 7 > 3))).collect();
        let options = CompareOptions::default();
        let by_totals = compare_statistic(
            &sums_and_sizes(&a, &labels, num_clusters),
            &sums_and_sizes(&b, &labels, num_clusters),
            &options,
            |totals| Some(totals[0] / totals[1]),
        );
        let direct = compare_paired(&a, &b, &labels, &options);
        let differences = a.iter().zip(&b).map(|(a, b)| a - b).collect();
        (differences, direct.unwrap(), by_totals.unwrap())
    }

    #[test]
    fn a_mean_by_totals_is_the_mean_by_samples() {
        let (_, direct, by_totals) = both_ways(10);
        assert!((by_totals.difference - direct.difference).abs() < 1e-15);
        assert_eq!((by_totals.p, by_totals.method), (direct.p, direct.method));
        // Ten images are too few to bootstrap.
        assert_eq!(by_totals.interval, None);

        let (differences, direct, by_totals) = both_ways(30);
        let clusters = Clusters::new(&(0..180).map(|i| i / 6).collect::<Vec<_>>()).unwrap();
        let options = CompareOptions::default().bootstrap();
        let drawn = bootstrap_mean(&differences, &clusters, &options).unwrap();
        let (interval, drawn) = (by_totals.interval.unwrap(), drawn.interval.unwrap());
        assert!((interval.low - drawn.low).abs() < 1e-12);
        assert!((interval.high - drawn.high).abs() < 1e-12);
        // The interval of means is wider, since it does not trust answers that cancel on an
        // image.
        assert!(direct.interval.low < interval.low && interval.high < direct.interval.high);
    }

    #[test]
    fn f1_by_hand() {
        // Per image: true positives, false positives, false negatives.
        let mut a = ClusterTotals::zeros(3, 3).unwrap();
        let mut b = ClusterTotals::zeros(3, 3).unwrap();
        a.row_mut(0).copy_from_slice(&[3.0, 1.0, 0.0]);
        a.row_mut(1).copy_from_slice(&[2.0, 0.0, 1.0]);
        a.row_mut(2).copy_from_slice(&[1.0, 0.0, 0.0]);
        b.row_mut(0).copy_from_slice(&[2.0, 1.0, 1.0]);
        b.row_mut(1).copy_from_slice(&[1.0, 2.0, 2.0]);
        b.row_mut(2).copy_from_slice(&[1.0, 0.0, 0.0]);
        let f1 = |t: &[f64]| {
            let denominator = 2.0 * t[0] + t[1] + t[2];
            (denominator > 0.0).then(|| 2.0 * t[0] / denominator)
        };
        let result = compare_statistic(&a, &b, &CompareOptions::default(), f1).unwrap();
        assert!((result.value_a - 12.0 / 14.0).abs() < 1e-15);
        assert!((result.value_b - 8.0 / 14.0).abs() < 1e-15);
        // Two informative images: swapping both or none is as extreme, swapping one is not.
        assert_eq!(
            (result.p, result.method),
            (0.5, PermutationMethod::ExactEnumeration)
        );
        let reason = NoInterval::TooFewDiffer { got: 2, needed: 20 };
        assert_eq!((result.interval, result.no_interval), (None, Some(reason)));
    }

    #[test]
    fn shapes_have_to_agree() {
        let a = ClusterTotals::zeros(2, 3).unwrap();
        let options = CompareOptions::default();
        for (clusters, width) in [(3, 2), (2, 2)] {
            let b = ClusterTotals::zeros(clusters, width).unwrap();
            assert!(compare_statistic(&a, &b, &options, |_| Some(0.0)).is_err());
        }
        assert!(ClusterTotals::zeros(0, 1).is_err());
        assert_eq!(
            compare_statistic(&a, &a, &options, |_| None),
            Err(StatsError::UndefinedStatistic)
        );
    }
}
