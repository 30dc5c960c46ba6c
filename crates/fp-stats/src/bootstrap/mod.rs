//! The cluster bootstrap: images are drawn with replacement, both strategies are computed on the
//! same draw, and the spread of their difference gives its interval.
//!
//! Source: Efron & Tibshirani, "An introduction to the bootstrap", 1993, chapters 13
//! (percentile) and 14 (BCa: bias-corrected and accelerated).
//!
//! Draws can only repeat observed values. If the statistic is the same in all draws, the
//! quantiles coincide and no interval is given: see [`NoInterval`]. Means and differences of
//! means have [`super::ClusteredDifference`], which is valid in that case too.

mod quantiles;

pub use quantiles::quantile;

use self::quantiles::{acceleration, bias_correction};
use super::clusters::Clusters;
use super::distribution::{normal_cdf, normal_quantile};
use super::error::{StatsError, check_len, check_open_unit};
use super::intervals::Interval;
use super::random::{Random, Stream};

/// With fewer draws, only a handful of values determine the ends of a 95 % interval.
const MIN_DRAWS: usize = 1_000;

/// The quantiles of the draws that bound the interval.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum IntervalMethod {
    /// The percentiles themselves.
    #[default]
    Percentile,
    /// Corrected for bias and for a spread that depends on the value; suited to skewed
    /// statistics.
    Bca,
}

/// Options of the draws.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootstrapOptions {
    /// Number of draws; at least 1,000.
    pub num_draws: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Confidence level of the interval.
    pub confidence: f64,
    /// How the interval is computed from the draws.
    pub method: IntervalMethod,
}

impl Default for BootstrapOptions {
    /// 10,000 draws with seed 0, and a percentile interval at 95 %.
    fn default() -> Self {
        BootstrapOptions {
            num_draws: 10_000,
            seed: 0,
            confidence: 0.95,
            method: IntervalMethod::Percentile,
        }
    }
}

/// Why a bootstrap gives no interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum NoInterval {
    /// All draws give the same value: a single point would claim certainty that does not exist.
    AllDrawsAlike,
    /// So few clusters differ that the interval would cover far less often than it claims.
    TooFewDiffer {
        /// Number of clusters that differ.
        got: usize,
        /// Required number.
        needed: usize,
    },
}

impl std::fmt::Display for NoInterval {
    /// The reason in a few words, printed in place of the interval.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoInterval::AllDrawsAlike => f.write_str("no interval: all bootstrap draws are alike"),
            NoInterval::TooFewDiffer { got: 0, .. } => {
                f.write_str("no interval: the two agree on every image")
            }
            NoInterval::TooFewDiffer { got, needed } => write!(
                f,
                "no interval: the two differ on {got} images, a bootstrap needs {needed}"
            ),
        }
    }
}

/// Result of a bootstrap.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Bootstrap {
    /// The statistic on the data itself.
    pub observed: f64,
    /// Its interval; `None` if all draws are equal.
    pub interval: Option<Interval>,
    /// Standard deviation over draws.
    pub standard_error: f64,
    /// Draws in which the statistic was undefined; they are excluded.
    pub num_undefined: usize,
}

/// Bootstraps the mean of `values`, usually differences, by drawing clusters. In each draw the
/// mean is over the drawn samples, whose number varies with the clusters.
///
/// # Errors
/// Different lengths, NaN, fewer than two clusters, or too few draws.
pub fn bootstrap_mean(
    values: &[f64],
    clusters: &Clusters,
    options: &BootstrapOptions,
) -> Result<Bootstrap, StatsError> {
    check_len("values", values.len(), clusters.num_samples())?;
    super::error::check_finite("values", values)?;
    check_options(clusters.len(), options)?;
    let sizes = clusters.sizes().iter().map(|&size| f64::from(size));
    let totals: Vec<(f64, f64)> = clusters.sums(values)?.into_iter().zip(sizes).collect();
    let mut random = Random::new(options.seed, Stream::Bootstrap);
    let bound = clusters.len() as u32;
    let draws = (0..options.num_draws)
        .map(|_| {
            let (mut sum, mut size) = (0.0, 0.0);
            for _ in 0..bound {
                let (cluster_sum, cluster_size) = totals[random.below(bound)];
                sum += cluster_sum;
                size += cluster_size;
            }
            sum / size
        })
        .collect();
    let (sum, size) = totals.iter().fold((0.0, 0.0), |(sum, size), total| {
        (sum + total.0, size + total.1)
    });
    let leave_one_out = totals
        .iter()
        .map(|total| Some((sum - total.0) / (size - total.1)));
    summarise(sum / size, draws, 0, leave_one_out, options)
}

/// Bootstraps any statistic. `statistic` gets the number of times that each cluster was drawn,
/// `[clusters]`, and returns `None` if it is undefined.
///
/// # Errors
/// Fewer than two clusters, too few draws, a statistic undefined on the data or in
/// more than half of the draws.
pub fn bootstrap_statistic(
    num_clusters: usize,
    options: &BootstrapOptions,
    mut statistic: impl FnMut(&[u32]) -> Option<f64>,
) -> Result<Bootstrap, StatsError> {
    check_options(num_clusters, options)?;
    let mut defined = |counts: &[u32]| statistic(counts).filter(|value| value.is_finite());
    let mut counts = vec![1_u32; num_clusters];
    let observed = defined(&counts).ok_or(StatsError::UndefinedStatistic)?;
    let mut leave_one_out = Vec::new();
    if options.method == IntervalMethod::Bca {
        for cluster in 0..num_clusters {
            counts[cluster] = 0;
            leave_one_out.push(defined(&counts));
            counts[cluster] = 1;
        }
    }
    let mut random = Random::new(options.seed, Stream::Bootstrap);
    let mut draws = Vec::with_capacity(options.num_draws);
    for _ in 0..options.num_draws {
        counts.fill(0);
        for _ in 0..num_clusters {
            counts[random.below(num_clusters as u32)] += 1;
        }
        draws.extend(defined(&counts));
    }
    let num_undefined = options.num_draws - draws.len();
    summarise(observed, draws, num_undefined, leave_one_out, options)
}

pub(crate) fn check_options(
    num_clusters: usize,
    options: &BootstrapOptions,
) -> Result<(), StatsError> {
    check_open_unit("confidence", options.confidence)?;
    if num_clusters < 2 {
        return Err(StatsError::TooFewClusters {
            got: num_clusters,
            needed: 2,
        });
    }
    if options.num_draws < MIN_DRAWS {
        return Err(StatsError::OutOfRange {
            name: "bootstrap draws",
            value: options.num_draws as f64,
            expected: "at least 1000",
        });
    }
    Ok(())
}

pub(crate) fn summarise(
    observed: f64,
    mut draws: Vec<f64>,
    num_undefined: usize,
    leave_one_out: impl IntoIterator<Item = Option<f64>>,
    options: &BootstrapOptions,
) -> Result<Bootstrap, StatsError> {
    if num_undefined > options.num_draws / 2 {
        return Err(StatsError::UndefinedDraws {
            undefined: num_undefined,
            draws: options.num_draws,
        });
    }
    draws.sort_unstable_by(f64::total_cmp);
    let num_draws = draws.len() as f64;
    let mean = draws.iter().sum::<f64>() / num_draws;
    let squares: f64 = draws.iter().map(|draw| (draw - mean).powi(2)).sum();
    let lower = 0.5 - 0.5 * options.confidence;
    let (low, high) = match options.method {
        IntervalMethod::Percentile => (lower, 1.0 - lower),
        IntervalMethod::Bca => {
            let bias = bias_correction(&draws, observed);
            let acceleration = acceleration(leave_one_out);
            let corrected = |p: f64| {
                let z = bias + normal_quantile(p);
                normal_cdf(bias + z / (1.0 - acceleration * z))
            };
            (corrected(lower), corrected(1.0 - lower))
        }
    };
    Ok(Bootstrap {
        observed,
        interval: (draws[0] < draws[draws.len() - 1]).then(|| Interval {
            low: quantile(&draws, low),
            high: quantile(&draws, high),
            confidence: options.confidence,
        }),
        standard_error: (squares / (num_draws - 1.0)).sqrt(),
        num_undefined,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(method: IntervalMethod) -> BootstrapOptions {
        BootstrapOptions {
            method,
            ..BootstrapOptions::default()
        }
    }

    #[test]
    fn two_clusters_by_hand() {
        // Means 0 (¼), ½ (½) and 1 (¼): both ends of a 95 % interval are the extremes,
        // the standard deviation is √⅛.
        let clusters = Clusters::new(&[0, 0, 1, 1]).unwrap();
        let values = [0.0, 0.0, 1.0, 1.0];
        let result =
            bootstrap_mean(&values, &clusters, &options(IntervalMethod::Percentile)).unwrap();
        assert_eq!(result.observed, 0.5);
        let interval = result.interval.unwrap();
        assert_eq!((interval.low, interval.high), (0.0, 1.0));
        assert!((result.standard_error - 0.125_f64.sqrt()).abs() < 0.01);
    }

    #[test]
    fn the_interval_covers_as_often_as_it_says() {
        // 200 datasets of 40 clusters of two uniform numbers each; the mean is ½.
        for method in [IntervalMethod::Percentile, IntervalMethod::Bca] {
            let mut random = Random::new(5, Stream::Permutation);
            let labels: Vec<usize> = (0..80).map(|i| i / 2).collect();
            let clusters = Clusters::new(&labels).unwrap();
            let mut covered = 0;
            for seed in 0..200 {
                let values: Vec<f64> = (0..80).map(|_| random.below(1001) as f64 / 1e3).collect();
                let options = BootstrapOptions {
                    num_draws: 1_000,
                    seed,
                    ..options(method)
                };
                let result = bootstrap_mean(&values, &clusters, &options).unwrap();
                covered += usize::from(result.interval.unwrap().contains(0.5));
            }
            // 190 expected, standard deviation 3.
            assert!((176..=199).contains(&covered), "{method:?}: {covered}");
        }
    }

    #[test]
    fn draws_that_are_all_alike_give_no_interval() {
        let clusters = Clusters::singletons(40).unwrap();
        for method in [IntervalMethod::Percentile, IntervalMethod::Bca] {
            let result = bootstrap_mean(&[0.0; 40], &clusters, &options(method)).unwrap();
            assert_eq!((result.observed, result.interval), (0.0, None));
        }
    }

    #[test]
    fn bca_moves_towards_the_long_tail() {
        let values: Vec<f64> = (0..30).map(|i| f64::from(i).powi(4)).collect();
        let clusters = Clusters::singletons(30).unwrap();
        let ends = |method| {
            bootstrap_mean(&values, &clusters, &options(method))
                .unwrap()
                .interval
                .unwrap()
        };
        let (plain, bca) = (ends(IntervalMethod::Percentile), ends(IntervalMethod::Bca));
        assert!(
            bca.low > plain.low && bca.high > plain.high,
            "{plain:?} {bca:?}"
        );
    }

    #[test]
    fn a_statistic_that_is_seldom_defined_is_counted_or_refused() {
        let options = options(IntervalMethod::Percentile);
        // Undefined if cluster 0 is missing: (1 − 1/20)²⁰ = 36 % of draws.
        let result = bootstrap_statistic(20, &options, |counts| {
            (counts[0] > 0).then(|| f64::from(counts[0]))
        })
        .unwrap();
        assert!(result.num_undefined.abs_diff(3585) < 200, "{result:?}");
        let error = bootstrap_statistic(20, &options, |counts| (counts[0] == 1).then_some(1.0));
        assert!(
            matches!(error, Err(StatsError::UndefinedDraws { .. })),
            "{error:?}"
        );
        let error = bootstrap_statistic(20, &options, |_| None);
        assert_eq!(error, Err(StatsError::UndefinedStatistic));
    }

    #[test]
    fn impossible_settings_are_errors() {
        let clusters = Clusters::new(&[4, 4]).unwrap();
        let plain = BootstrapOptions::default();
        assert!(matches!(
            bootstrap_mean(&[0.0, 1.0], &clusters, &plain),
            Err(StatsError::TooFewClusters { .. })
        ));
        let clusters = Clusters::new(&[4, 5]).unwrap();
        let few = BootstrapOptions {
            num_draws: 10,
            ..plain
        };
        assert!(bootstrap_mean(&[0.0, 1.0], &clusters, &few).is_err());
        assert!(bootstrap_mean(&[0.0], &clusters, &plain).is_err());
        assert!(bootstrap_mean(&[0.0, f64::NAN], &clusters, &plain).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn the_fast_mean_is_the_general_one(
            samples in proptest::collection::vec((0.0_f64..1.0, 0_usize..6), 3..30),
            seed: u64,
            is_bca: bool,
        ) {
            let values: Vec<f64> = samples.iter().map(|sample| sample.0).collect();
            let labels: Vec<usize> = samples.iter().map(|sample| sample.1).collect();
            let clusters = Clusters::new(&labels).unwrap();
            prop_assume!(clusters.len() > 1);
            let method = if is_bca { IntervalMethod::Bca } else { IntervalMethod::Percentile };
            let options = BootstrapOptions { seed, num_draws: 1_000, ..options(method) };
            let fast = bootstrap_mean(&values, &clusters, &options).unwrap();
            let slow = bootstrap_statistic(clusters.len(), &options, |counts| {
                let (mut sum, mut size) = (0.0, 0.0);
                for (value, &cluster) in values.iter().zip(clusters.of_samples()) {
                    sum += value * f64::from(counts[cluster as usize]);
                    size += f64::from(counts[cluster as usize]);
                }
                (size > 0.0).then_some(sum / size)
            })
            .unwrap();
            let (of_fast, of_slow) = (fast.interval.unwrap(), slow.interval.unwrap());
            prop_assert!((of_fast.low - of_slow.low).abs() < 1e-9);
            prop_assert!((of_fast.high - of_slow.high).abs() < 1e-9);
            prop_assert!((fast.standard_error - slow.standard_error).abs() < 1e-9);
        }
    }
}
