//! Comparison of scores from any source, with the same tests as in a study.

use std::sync::Arc;

use fp_eval::study::config::Statistics;
use fp_stats::StatsError;
use serde::Serialize;

use super::analysis::{Column, Comparison, Pair, PairedTester, Untested};
use super::error::ReportError;

/// A name and its scores, `[samples]`, 0 to 1; `None` where there is no answer.
pub type NamedScores = (String, Vec<Option<f64>>);

/// Tests, and pairs that could not be tested.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoresCompared {
    /// The tests, one family, in the order requested.
    pub comparisons: Vec<Comparison>,
    /// Pairs that could not be tested, with the reasons.
    pub untested: Vec<Untested>,
}

/// Tests each of `scores` against `reference`, paired by sample and clustered by `clusters`
/// (`[samples]`, samples on one image have the same number); p values are corrected by Holm's
/// method over all of them. Uses confidence, margin and draws of `statistics`.
///
/// # Errors
/// Lists of different lengths, scores outside 0 to 1, or settings out of range.
pub fn compare_scores(
    scores: &[NamedScores],
    reference: &NamedScores,
    clusters: &[usize],
    statistics: &Statistics,
    seed: u64,
) -> Result<ScoresCompared, ReportError> {
    let (name, of_reference) = reference;
    let expected = of_reference.len();
    let mut lengths = vec![("clusters", clusters.len())];
    lengths.extend(scores.iter().map(|(_, scores)| ("scores", scores.len())));
    if let Some((what, got)) = lengths.into_iter().find(|(_, len)| *len != expected) {
        return Err(StatsError::LengthMismatch {
            what,
            expected,
            got,
        }
        .into());
    }
    let all = scores
        .iter()
        .map(|(_, scores)| scores)
        .chain([of_reference]);
    let is_outside = |score: &f64| !(0.0..=1.0).contains(score);
    if let Some(value) = all.flatten().copied().flatten().find(is_outside) {
        return Err(StatsError::OutOfRange {
            name: "a score",
            value,
            expected: "a number from 0 to 1",
        }
        .into());
    }
    let column = |scores: &[Option<f64>]| -> Column { Arc::from(scores) };
    let of_reference = column(of_reference);
    let pairs: Vec<Pair> = scores
        .iter()
        .map(|(a, scores)| Pair::new(a, &column(scores), name, &of_reference, "all"))
        .collect();
    let samples: Vec<usize> = (0..expected).collect();
    let tested = PairedTester::new(statistics, seed, clusters.into()).test(&pairs, &samples)?;
    Ok(ScoresCompared {
        comparisons: tested.comparisons,
        untested: tested.untested,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, scores: impl IntoIterator<Item = f64>) -> NamedScores {
        (name.to_owned(), scores.into_iter().map(Some).collect())
    }

    #[test]
    fn each_is_tested_against_the_reference_and_corrected() {
        let right = |from: usize| (0..60).map(move |at| f64::from(u8::from(at >= from)));
        let clusters: Vec<usize> = (0..60).collect();
        let reference = named("base", right(30));
        let all = [named("better", right(0)), named("same", right(30))];
        let found = compare_scores(&all, &reference, &clusters, &Statistics::default(), 0).unwrap();
        let [better, same] = found.comparisons.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((better.difference, same.difference), (0.5, 0.0));
        assert_eq!(better.outcome.name(), "better");
        assert_eq!(better.p_holm, (2.0 * better.p).min(1.0));
        assert!(same.is_identical);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let (settings, base) = (Statistics::default(), named("b", [0.0, 1.0]));
        let compare = |a: NamedScores, clusters: &[usize]| {
            compare_scores(&[a], &base, clusters, &settings, 0)
        };
        assert!(compare(named("a", [0.0]), &[0, 1]).is_err());
        assert!(compare(named("a", [0.0, 1.0]), &[0]).is_err());
        assert!(compare(named("a", [0.0, 1.5]), &[0, 1]).is_err());
        assert!(compare(named("a", [0.0, f64::NAN]), &[0, 1]).is_err());
        let untested = compare(named("a", [0.0, 1.0]), &[7, 7]).unwrap().untested;
        assert_eq!(untested.len(), 1);
    }
}
