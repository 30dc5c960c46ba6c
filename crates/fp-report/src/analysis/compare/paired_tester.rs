//! Makes comparisons, corrects them by family and determines their outcomes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use fp_eval::study::config::Statistics;
use fp_stats::{CompareOptions, PairedComparison, compare_paired, holm};
use rayon::prelude::*;

use super::{
    Comparison, Outcome, POWER, TestResults, Undecided, Untested, WhyUndecided, WhyUntested,
};
use crate::analysis::scores::Column;
use crate::error::ReportError;

/// A comparison to make.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) a: (String, Column),
    pub(crate) b: (String, Column),
    pub(crate) family: String,
}

impl Pair {
    pub(crate) fn new(
        a: impl Into<String>,
        column_a: &Column,
        b: impl Into<String>,
        column_b: &Column,
        family: impl Into<String>,
    ) -> Pair {
        Pair {
            a: (a.into(), Arc::clone(column_a)),
            b: (b.into(), Arc::clone(column_b)),
            family: family.into(),
        }
    }
}

/// Makes paired tests and determines their outcomes.
#[derive(Debug, Clone)]
pub(crate) struct PairedTester {
    options: CompareOptions,
    /// Equivalence margin, in scores rather than points.
    margin: f64,
    alpha: f64,
    clusters: Arc<[usize]>,
}

impl PairedTester {
    pub(crate) fn new(statistics: &Statistics, seed: u64, clusters: Arc<[usize]>) -> PairedTester {
        PairedTester {
            options: CompareOptions {
                num_draws: statistics.num_draws,
                num_permutations: statistics.num_draws,
                seed,
                confidence: statistics.confidence,
                ..CompareOptions::default()
            },
            margin: statistics.equivalence_margin / 100.0,
            alpha: 1.0 - statistics.confidence,
            clusters,
        }
    }

    pub(crate) fn options(&self) -> &CompareOptions {
        &self.options
    }

    pub(crate) fn margin(&self) -> f64 {
        self.margin
    }

    pub(crate) fn alpha(&self) -> f64 {
        self.alpha
    }

    pub(crate) fn confidence(&self) -> f64 {
        self.options.confidence
    }

    pub(crate) fn clusters(&self) -> &[usize] {
        &self.clusters
    }

    /// Makes comparisons over `samples`, in the given order, and corrects them by family. Pairs
    /// that can't be tested are returned with the reason; they don't count in their family.
    pub(crate) fn test(
        &self,
        pairs: &[Pair],
        samples: &[usize],
    ) -> Result<TestResults, ReportError> {
        // Strategies with equal answers share one test, which is computed once. The inputs of tests
        // are built one at a time to limit memory.
        let looked: Vec<Result<u64, WhyUntested>> = pairs
            .par_iter()
            .map(|pair| {
                let shared = Shared::new(pair, samples, &self.clusters);
                match shared.why_untested(pair, samples) {
                    Some(reason) => Err(reason),
                    None => Ok(fingerprint(pair, samples)),
                }
            })
            .collect();
        let mut known: HashMap<u64, Vec<usize>> = HashMap::new();
        let mut distinct: Vec<&Pair> = Vec::new();
        let mut which = Vec::with_capacity(pairs.len());
        for (pair, looked) in pairs.iter().zip(looked) {
            which.push(looked.map(|fingerprint| {
                let known = known.entry(fingerprint).or_default();
                let mut same = known.iter().copied();
                same.find(|&other| is_same(pair, distinct[other], samples))
                    .unwrap_or_else(|| {
                        distinct.push(pair);
                        known.push(distinct.len() - 1);
                        distinct.len() - 1
                    })
            }));
        }
        let results: Vec<PairedComparison> = distinct
            .par_iter()
            .map(|pair| {
                let Shared { a, b, images } = Shared::new(pair, samples, &self.clusters);
                compare_paired(&a, &b, &images, &self.options)
            })
            .collect::<Result<_, _>>()?;
        let mut tested = TestResults::default();
        for (pair, index) in pairs.iter().zip(which) {
            match index {
                Ok(index) => tested
                    .comparisons
                    .push(self.describe(pair, &results[index])?),
                Err(reason) => {
                    let untested = Untested::new(&pair.a.0, &pair.b.0, &pair.family, reason);
                    tested.untested.push(untested);
                }
            }
        }
        self.correct(&mut tested.comparisons)?;
        Ok(tested)
    }

    fn describe(&self, pair: &Pair, result: &PairedComparison) -> Result<Comparison, ReportError> {
        Ok(Comparison {
            a: pair.a.0.clone(),
            b: pair.b.0.clone(),
            family: pair.family.clone(),
            n: result.n,
            num_images: result.num_clusters,
            num_disagreeing_images: result.num_disagreeing,
            mean_a: result.mean_a,
            mean_b: result.mean_b,
            difference: result.difference,
            standard_error: result.standard_error,
            interval: [result.interval.low, result.interval.high],
            interval_method: result.interval_method,
            confidence: self.options.confidence,
            p: result.p,
            method: result.method,
            p_holm: result.p,
            family_size: 1,
            discordant: result.discordant,
            mcnemar_p: result.mcnemar_p,
            equivalence_p: result.equivalence(self.margin, self.alpha)?.p,
            min_detectable_difference: result.min_detectable_difference(self.alpha, POWER)?,
            is_identical: result.num_disagreeing == 0,
            outcome: Outcome::Undecided,
            undecided: None,
        })
    }

    /// Applies Holm's correction within each family, and determines the outcomes.
    pub(crate) fn correct(&self, comparisons: &mut [Comparison]) -> Result<(), ReportError> {
        let mut families: Vec<(String, Vec<usize>)> = Vec::new();
        for (index, comparison) in comparisons.iter().enumerate() {
            match families
                .iter_mut()
                .find(|(name, _)| *name == comparison.family)
            {
                Some((_, members)) => members.push(index),
                None => families.push((comparison.family.clone(), vec![index])),
            }
        }
        for (_, members) in families {
            let p: Vec<f64> = members
                .iter()
                .map(|&member| comparisons[member].p)
                .collect();
            for (&member, adjusted) in members.iter().zip(holm(&p)?) {
                let comparison = &mut comparisons[member];
                comparison.p_holm = adjusted;
                comparison.family_size = members.len();
                comparison.outcome = self.outcome(comparison);
                comparison.undecided = self.undecided(comparison);
            }
        }
        Ok(())
    }

    fn outcome(&self, comparison: &Comparison) -> Outcome {
        let [low, high] = comparison.interval;
        let is_significant = comparison.p_holm < self.alpha;
        if is_significant && low > 0.0 {
            Outcome::Better
        } else if is_significant && high < 0.0 {
            Outcome::Worse
        } else if comparison.equivalence_p < self.alpha {
            Outcome::Equivalent
        } else {
            Outcome::Undecided
        }
    }

    fn undecided(&self, comparison: &Comparison) -> Option<Undecided> {
        if comparison.outcome != Outcome::Undecided {
            return None;
        }
        let [low, high] = comparison.interval;
        // The smallest possible p of a sign-flip test: all images that differ favour one side.
        let smallest_p = 2.0 * 0.5_f64.powi(comparison.num_disagreeing_images.min(1000) as i32);
        let reason = if smallest_p >= self.alpha {
            WhyUndecided::TooFewDisagreements
        } else if comparison.p_holm < self.alpha {
            WhyUndecided::IntervalHoldsZero
        } else if low > 0.0 || high < 0.0 {
            WhyUndecided::NotSignificant
        } else {
            WhyUndecided::IntervalWiderThanMargin
        };
        Some(Undecided {
            because: reason.sentence(comparison, self.margin),
            reason,
        })
    }
}

/// The samples with a score of both, and their images.
struct Shared {
    a: Vec<f64>,
    b: Vec<f64>,
    images: Vec<usize>,
}

impl Shared {
    fn new(pair: &Pair, samples: &[usize], clusters: &[usize]) -> Shared {
        let (mut a, mut b, mut images) = (Vec::new(), Vec::new(), Vec::new());
        for &sample in samples {
            if let (Some(of_a), Some(of_b)) = (pair.a.1[sample], pair.b.1[sample]) {
                a.push(of_a);
                b.push(of_b);
                images.push(clusters[sample]);
            }
        }
        Shared { a, b, images }
    }

    fn why_untested(&self, pair: &Pair, samples: &[usize]) -> Option<WhyUntested> {
        if samples.is_empty() {
            return Some(WhyUntested::NoSamples);
        }
        let Some(first) = self.images.first() else {
            let count = |column: &Column| {
                let scores = samples.iter().filter(|&&sample| column[sample].is_some());
                scores.count()
            };
            return Some(WhyUntested::NoSharedSample {
                num_a: count(&pair.a.1),
                num_b: count(&pair.b.1),
            });
        };
        let is_one_image = self.images.iter().all(|image| image == first);
        is_one_image.then_some(WhyUntested::OneImage {
            num_shared: self.images.len(),
        })
    }
}

/// Hash of the scores of a pair: equal scores have equal hashes.
fn fingerprint(pair: &Pair, samples: &[usize]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for &sample in samples {
        hasher.write_u64(bits(pair.a.1[sample]));
        hasher.write_u64(bits(pair.b.1[sample]));
    }
    hasher.finish()
}

/// Whether two pairs have the same scores.
fn is_same(pair: &Pair, other: &Pair, samples: &[usize]) -> bool {
    let same = |a: &Column, b: &Column| {
        let mut samples = samples.iter();
        Arc::ptr_eq(a, b) || samples.all(|&at| bits(a[at]) == bits(b[at]))
    };
    same(&pair.a.1, &other.a.1) && same(&pair.b.1, &other.b.1)
}

/// Bits that distinguish any two entries of a column.
fn bits(value: Option<f64>) -> u64 {
    value.map_or(u64::MAX, f64::to_bits)
}

#[cfg(test)]
mod tests {
    use fp_stats::Discordant;

    use super::*;
    use crate::analysis::Beats;

    fn tester(clusters: &[usize]) -> PairedTester {
        let statistics = Statistics {
            num_draws: 1000,
            ..Statistics::default()
        };
        PairedTester::new(&statistics, 0, Arc::from(clusters))
    }

    #[test]
    fn families_are_corrected_by_themselves() {
        let clusters: Vec<usize> = (0..40).map(|i| i / 2).collect();
        let good: Column = (0..40)
            .map(|i| Some(f64::from(u8::from(i % 8 > 0))))
            .collect();
        let bad: Column = (0..40)
            .map(|i| Some(f64::from(u8::from(i % 8 == 0))))
            .collect();
        let same = Arc::clone(&bad);
        let all: Vec<usize> = (0..40).collect();
        let pairs = [
            Pair::new("good", &good, "bad", &bad, "x"),
            Pair::new("bad", &bad, "good", &good, "x"),
            Pair::new("same", &same, "bad", &bad, "x"),
            Pair::new("good", &good, "bad", &bad, "y"),
        ];
        let results = tester(&clusters).test(&pairs, &all).unwrap().comparisons;
        let outcomes: Vec<Outcome> = results.iter().map(|result| result.outcome).collect();
        use Outcome::{Better, Undecided, Worse};
        assert_eq!(outcomes, [Better, Worse, Undecided, Better]);
        let beats: Vec<Beats> = results.iter().map(|result| result.beats(0.005)).collect();
        assert_eq!(beats, [Beats::Yes, Beats::No, Beats::Undecided, Beats::Yes]);
        // The same test, with a margin that 20 images can exclude.
        assert_eq!(results[2].beats(0.5), Beats::No);
        // Equal on 20 images: far too few to exclude half a point.
        let undecided = results[2].undecided.as_ref().unwrap();
        assert_eq!(undecided.reason, WhyUndecided::TooFewDisagreements);
        assert!(
            undecided
                .because
                .starts_with("The scores agree on all 20 images"),
            "{}",
            undecided.because
        );
        assert_eq!(results[2].num_disagreeing_images, 0);
        assert!(results[0].undecided.is_none());
        assert!(results[2].is_identical && !results[0].is_identical);
        assert_eq!(results[0].family_size, 3);
        assert_eq!(results[3].p_holm, results[3].p);
        assert!((results[0].p_holm - 3.0 * results[0].p).abs() < 1e-15);
        // Every eighth is right only under one, the others only under the other.
        assert_eq!(results[0].discordant, Some(Discordant { b: 35, c: 5 }));
    }

    #[test]
    fn what_cannot_be_tested_is_named_with_the_reason() {
        let column = |scores: &[Option<f64>]| -> Column { Arc::from(scores) };
        let both = column(&[Some(1.0), Some(0.0), None]);
        let early = column(&[Some(1.0), None, None]);
        let late = column(&[None, Some(0.0), None]);
        let none = column(&[None, None, None]);
        let pairs = [
            Pair::new("both", &both, "both too", &both, "x"),
            Pair::new("early", &early, "late", &late, "x"),
            Pair::new("none", &none, "both", &both, "y"),
            Pair::new("early", &early, "both", &both, "y"),
        ];
        let reasons = |clusters: &[usize], samples: &[usize]| {
            let tested = tester(clusters).test(&pairs, samples).unwrap();
            let reasons = tested.untested.iter().map(|untested| untested.reason);
            (tested.comparisons.len(), reasons.collect::<Vec<_>>())
        };
        use WhyUntested::{NoSamples, NoSharedSample, OneImage};
        let apart = [
            NoSharedSample { num_a: 1, num_b: 1 },
            NoSharedSample { num_a: 0, num_b: 2 },
            OneImage { num_shared: 1 },
        ];
        // One image: the first pair can't be tested either.
        let one_image = [&[OneImage { num_shared: 2 }], &apart[..]].concat();
        assert_eq!(reasons(&[0, 0, 1], &[0, 1, 2]), (0, one_image));
        assert_eq!(reasons(&[0, 1, 2], &[0, 1, 2]), (1, apart.to_vec()));
        assert_eq!(reasons(&[0, 1, 2], &[]), (0, vec![NoSamples; 4]));
        let tested = tester(&[0, 0, 1]).test(&pairs, &[0, 1, 2]).unwrap();
        assert_eq!(
            tested.untested[0].because,
            "All 2 samples with a score of both both and both too are on one image; a test needs \
             at least two."
        );
        let json = serde_json::to_value(&tested.untested[1]).unwrap();
        assert_eq!(
            (&json["reason"], &json["num_a"]),
            (&"no_shared_sample".into(), &1.into())
        );
    }
}
