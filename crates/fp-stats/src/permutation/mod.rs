//! Permutation tests over clusters: if two strategies are equivalent, swapping their labels on
//! any image does not change the distribution of the difference.
//!
//! For a mean, swapping an image's labels flips the sign of the sum of its differences. With few
//! images, or with sums that are integer multiples of a unit (0/1 scores, VQA accuracies), the
//! distribution under all swaps is computed exactly. Otherwise it is sampled, and
//! p = (b + 1)/(m + 1) for b of m samples at least as extreme (Phipson & Smyth 2010), which is
//! never 0.

mod exact;

use self::exact::{enumerate, whole_units};
use super::error::{StatsError, check_finite};
use super::random::{Random, Stream};

/// Up to this many clusters with a difference, all sign patterns are enumerated.
const MAX_ENUMERATED_CLUSTERS: usize = 20;

/// Two sums that differ by less than this fraction of the largest possible sum are equal up to
/// rounding.
const SAME_SUM: f64 = 1e-10;

/// How a permutation test's p was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PermutationMethod {
    /// Every sign pattern was enumerated.
    ExactEnumeration,
    /// The exact distribution of a sum of integer units.
    ExactConvolution,
    /// Seeded random patterns.
    MonteCarlo,
}

/// Result of a permutation test.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PermutationTest {
    /// Two-sided p.
    pub p: f64,
    /// How p was computed.
    pub method: PermutationMethod,
    /// Number of clusters on which the two differ; the others carry no signal.
    pub num_informative_clusters: usize,
}

/// Options of sampling, if the exact distribution is too expensive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PermutationOptions {
    /// m, the number of random patterns.
    pub num_permutations: usize,
    /// Seed of the patterns.
    pub seed: u64,
}

impl Default for PermutationOptions {
    /// 10,000 patterns with seed 0.
    fn default() -> Self {
        PermutationOptions {
            num_permutations: 10_000,
            seed: 0,
        }
    }
}

/// Tests that differences are symmetric around 0. `cluster_differences` is
/// `[clusters]`, the sum of a − b over each cluster's samples; the statistic is the
/// absolute value of their total, hence of the mean difference.
///
/// # Errors
/// No clusters, NaN or infinity, no permutations.
pub fn sign_flip_test(
    cluster_differences: &[f64],
    options: &PermutationOptions,
) -> Result<PermutationTest, StatsError> {
    if cluster_differences.is_empty() {
        return Err(StatsError::Empty { what: "clusters" });
    }
    check_finite("cluster differences", cluster_differences)?;
    check_num_permutations(options)?;
    let largest: f64 = cluster_differences.iter().map(|d| d.abs()).sum();
    let informative: Vec<f64> = cluster_differences
        .iter()
        .copied()
        .filter(|d| d.abs() > largest * SAME_SUM)
        .collect();
    let observed = informative.iter().sum::<f64>().abs();
    let threshold = observed - largest * SAME_SUM;
    let (p, method) = if threshold <= 0.0 || informative.len() <= MAX_ENUMERATED_CLUSTERS {
        (
            enumerate(&informative, threshold),
            PermutationMethod::ExactEnumeration,
        )
    } else if let Some(units) = whole_units(&informative) {
        (units.tail(), PermutationMethod::ExactConvolution)
    } else {
        (
            sample(&informative, threshold, options),
            PermutationMethod::MonteCarlo,
        )
    };
    Ok(PermutationTest {
        p,
        method,
        num_informative_clusters: informative.len(),
    })
}

/// Tests any statistic by swapping the labels a and b within clusters.
///
/// `informative` lists the clusters on which a and b differ. `difference` gets, for each of them,
/// whether its labels are swapped, and returns the statistic of a minus that of b; `None` if it
/// is undefined. Undefined patterns count as extreme, so they can only increase p.
///
/// # Errors
/// A statistic that is undefined without any swap, no permutations.
pub fn label_swap_test(
    num_informative_clusters: usize,
    options: &PermutationOptions,
    mut difference: impl FnMut(&[bool]) -> Option<f64>,
) -> Result<PermutationTest, StatsError> {
    let tests = label_swap_tests(num_informative_clusters, options, 1, |swapped, found| {
        found[0] = difference(swapped);
    });
    match tests?.pop() {
        Some(test) => test,
        None => Err(StatsError::Empty { what: "statistics" }),
    }
}

/// As [`label_swap_test`], for several statistics under the same swaps; `differences` writes
/// `[statistics]`. Each has its own result, in order.
///
/// # Errors
/// No permutations. For a statistic that is undefined without any swap, its own result is an
/// error.
pub(crate) fn label_swap_tests(
    num_informative_clusters: usize,
    options: &PermutationOptions,
    num_statistics: usize,
    mut differences: impl FnMut(&[bool], &mut [Option<f64>]),
) -> Result<Vec<Result<PermutationTest, StatsError>>, StatsError> {
    check_num_permutations(options)?;
    let mut swapped = vec![false; num_informative_clusters];
    let mut found = vec![None; num_statistics];
    differences(&swapped, &mut found);
    let thresholds: Vec<Option<f64>> = found
        .iter()
        .map(|value| {
            let observed = value.filter(|value| value.is_finite())?.abs();
            Some(observed - observed.max(1.0) * 1e-12)
        })
        .collect();
    let mut extreme = vec![0_usize; num_statistics];
    let mut count = |swapped: &[bool]| {
        found.fill(None);
        differences(swapped, &mut found);
        for ((extreme, value), threshold) in extreme.iter_mut().zip(&found).zip(&thresholds) {
            let Some(threshold) = threshold else { continue };
            let is_extreme = value.is_none_or(|value| value.is_nan() || value.abs() >= *threshold);
            *extreme += usize::from(is_extreme);
        }
    };
    // Enumerating more patterns than sampling would use does not pay off if the statistic is
    // expensive.
    let num_patterns = 1_usize
        .checked_shl(num_informative_clusters as u32)
        .filter(|&patterns| num_informative_clusters < 63 && patterns <= options.num_permutations);
    if let Some(num_patterns) = num_patterns {
        for pattern in 0..num_patterns {
            for (cluster, swap) in swapped.iter_mut().enumerate() {
                *swap = pattern >> cluster & 1 == 1;
            }
            count(&swapped);
        }
    } else {
        let mut random = Random::new(options.seed, Stream::Permutation);
        for _ in 0..options.num_permutations {
            for chunk in swapped.chunks_mut(64) {
                let bits = random.bits();
                for (bit, swap) in chunk.iter_mut().enumerate() {
                    *swap = bits >> bit & 1 == 1;
                }
            }
            count(&swapped);
        }
    }
    let tests = extreme.into_iter().zip(&thresholds);
    let tests = tests.map(|(extreme, threshold)| {
        threshold.ok_or(StatsError::UndefinedStatistic)?;
        let (p, method) = match num_patterns {
            Some(num_patterns) => (
                extreme as f64 / num_patterns as f64,
                PermutationMethod::ExactEnumeration,
            ),
            None => (
                add_one(extreme, options.num_permutations),
                PermutationMethod::MonteCarlo,
            ),
        };
        Ok(PermutationTest {
            p,
            method,
            num_informative_clusters,
        })
    });
    Ok(tests.collect())
}

fn check_num_permutations(options: &PermutationOptions) -> Result<(), StatsError> {
    if options.num_permutations == 0 {
        return Err(StatsError::Empty {
            what: "permutations",
        });
    }
    Ok(())
}

fn add_one(extreme: usize, num_permutations: usize) -> f64 {
    (extreme + 1) as f64 / (num_permutations + 1) as f64
}

fn sample(differences: &[f64], threshold: f64, options: &PermutationOptions) -> f64 {
    let mut random = Random::new(options.seed, Stream::Permutation);
    let mut extreme = 0;
    for _ in 0..options.num_permutations {
        let mut total = 0.0;
        for chunk in differences.chunks(64) {
            let mut bits = random.bits();
            for difference in chunk {
                // Flips only the sign bit, without a branch that could be mispredicted.
                total += f64::from_bits(difference.to_bits() ^ (bits << 63));
                bits >>= 1;
            }
        }
        extreme += usize::from(total.abs() >= threshold);
    }
    add_one(extreme, options.num_permutations)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Discordant;

    #[test]
    fn three_clusters_by_hand() {
        // Totals of ±1 ±2 ±4 in absolute value: 7, 5, 3, 1, each twice; observed 5.
        let test = sign_flip_test(&[-1.0, 2.0, 4.0, 0.0], &PermutationOptions::default()).unwrap();
        assert_eq!(test.p, 0.5);
        assert_eq!(test.method, PermutationMethod::ExactEnumeration);
        assert_eq!(test.num_informative_clusters, 3);
    }

    #[test]
    fn no_difference_is_p_one() {
        let options = PermutationOptions::default();
        assert_eq!(sign_flip_test(&[0.0; 30], &options).unwrap().p, 1.0);
        assert_eq!(sign_flip_test(&[1.0, -1.0], &options).unwrap().p, 1.0);
        let balanced: Vec<f64> = (0..40)
            .map(|i| if i % 2 == 0 { 0.1 } else { -0.1 })
            .collect();
        assert_eq!(sign_flip_test(&balanced, &options).unwrap().p, 1.0);
    }

    #[test]
    fn impossible_input_is_an_error() {
        let options = PermutationOptions::default();
        assert!(sign_flip_test(&[], &options).is_err());
        assert!(sign_flip_test(&[f64::NAN], &options).is_err());
        let none = PermutationOptions {
            num_permutations: 0,
            ..options
        };
        assert!(sign_flip_test(&[1.0], &none).is_err());
        assert_eq!(
            label_swap_test(2, &options, |_| None),
            Err(StatsError::UndefinedStatistic)
        );
    }

    #[test]
    fn clusters_of_one_question_are_mcnemars_test() {
        let differences: Vec<f64> = (0..45).map(|i| if i < 31 { 1.0 } else { -1.0 }).collect();
        let test = sign_flip_test(&differences, &PermutationOptions::default()).unwrap();
        assert_eq!(test.method, PermutationMethod::ExactConvolution);
        let exact = Discordant { b: 31, c: 14 }.exact_p();
        assert!((test.p - exact).abs() < 1e-14, "{} {exact}", test.p);
    }

    #[test]
    fn thirds_and_tenths_are_whole_units() {
        let thirds: Vec<f64> = (0..30).map(|i| f64::from(i % 5 - 1) / 3.0).collect();
        let tenths: Vec<f64> = (0..30).map(|i| 0.3 * f64::from(i % 5 - 1)).collect();
        let options = PermutationOptions::default();
        let by_thirds = sign_flip_test(&thirds, &options).unwrap();
        let by_tenths = sign_flip_test(&tenths, &options).unwrap();
        assert_eq!(by_thirds.method, PermutationMethod::ExactConvolution);
        assert_eq!(by_thirds.p, by_tenths.p);
    }

    #[test]
    fn sampling_comes_near_the_exact_p() {
        let differences: Vec<f64> = (0..26).map(|i| ((i * 7 % 11) as f64 - 4.0).sin()).collect();
        let test = sign_flip_test(&differences, &PermutationOptions::default()).unwrap();
        assert_eq!(test.method, PermutationMethod::MonteCarlo);
        let observed = differences.iter().sum::<f64>().abs();
        let exact = enumerate(&differences, observed - 1e-12);
        // Four standard errors of a sampled fraction.
        let tolerance = 4.0 * (exact * (1.0 - exact) / 10_000.0).sqrt();
        assert!((test.p - exact).abs() < tolerance, "{} {exact}", test.p);
    }

    #[test]
    fn swapping_labels_of_a_mean_is_flipping_signs() {
        let (a, b) = ([3.0, 1.0, 0.0, 2.0], [1.0, 0.0, 2.0, 0.0]);
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let options = PermutationOptions::default();
        let swap = |swapped: &[bool]| {
            let signed = swapped.iter().zip(&differences);
            Some(signed.map(|(&swap, d)| if swap { -d } else { *d }).sum())
        };
        let by_swapping = label_swap_test(4, &options, swap).unwrap();
        assert_eq!(by_swapping, sign_flip_test(&differences, &options).unwrap());
        // Too few permutations to enumerate all sixteen: sampled.
        let few = PermutationOptions {
            num_permutations: 10,
            ..options
        };
        let sampled = label_swap_test(4, &few, swap).unwrap();
        assert_eq!(sampled.method, PermutationMethod::MonteCarlo);
    }

    proptest! {
        #[test]
        fn order_and_direction_change_nothing(
            mut differences in proptest::collection::vec(-1.0_f64..1.0, 1..15),
        ) {
            let options = PermutationOptions::default();
            let p = sign_flip_test(&differences, &options).unwrap().p;
            differences.reverse();
            differences.iter_mut().for_each(|d| *d = -*d);
            prop_assert_eq!(sign_flip_test(&differences, &options).unwrap().p, p);
            prop_assert!(p > 0.0 && p <= 1.0);
        }
    }
}
