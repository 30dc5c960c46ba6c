//! Statistics of paired comparisons: the same questions answered by two methods, with the
//! questions on one image forming a cluster.
//!
//! Studies and reports use [`compare_paired`]; for figures that are not a mean over questions
//! they use [`compare_statistic`]. Everything is computed in `f64` on one thread and depends only
//! on a seed.
//!
//! ```
//! use fp_stats::{CompareOptions, compare_paired};
//!
//! // Scores of two strategies on the same eight questions, two on each image.
//! let a = [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0];
//! let b = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
//! let images = [0, 0, 1, 1, 2, 2, 3, 3];
//! let compared = compare_paired(&a, &b, &images, &CompareOptions::default())?;
//! assert_eq!((compared.n, compared.num_clusters), (8, 4));
//! assert_eq!(compared.difference, 0.375);
//! assert!(compared.interval.low < 0.375 && 0.375 < compared.interval.high);
//! // Four images are too few for any difference to be significant.
//! assert!(compared.p > 0.05);
//! # Ok::<(), fp_stats::StatsError>(())
//! ```

mod bootstrap;
mod clustered;
mod clustered_score;
mod clusters;
mod comparison;
pub mod coverage;
mod distribution;
mod equivalence;
mod error;
#[cfg(test)]
mod error_kinds;
mod holm;
mod intervals;
mod mcnemar;
mod nonadditive;
mod permutation;
mod power;
mod random;

pub use bootstrap::{
    Bootstrap, BootstrapOptions, IntervalMethod, NoInterval, bootstrap_mean, bootstrap_statistic,
    quantile,
};
pub use clustered::{
    PairedTTest, clustered_paired_t_test, clustered_standard_error, differences, mean,
};
pub use clustered_score::{ClusteredDifference, clustered_score_interval};
pub use clusters::Clusters;
pub use comparison::{CompareOptions, PairedComparison, compare_paired};
pub use equivalence::{Equivalence, NonInferiority, equivalence, non_inferiority};
pub use error::StatsError;
pub use holm::holm;
pub use intervals::{Interval, IntervalKind};
pub use mcnemar::Discordant;
pub use nonadditive::{
    ClusterTotals, DrawnTotals, MIN_DIFFERING, StatisticComparison, Statistics, compare_statistic,
    draw_statistics,
};
pub use permutation::{
    PermutationMethod, PermutationOptions, PermutationTest, label_swap_test, sign_flip_test,
};
pub use power::min_detectable_difference;
