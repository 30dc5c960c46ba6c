//! Statistical comparison of two files of answers to the same questions.

use fp_stats::{
    CompareOptions, PairedComparison, StatisticComparison, StatsError, compare_paired,
    compare_statistic, holm,
};

use super::figures::mmbench_report;
use super::sets::{Additive, numbered};
use super::{RescoreError, Scored};
use crate::dataset::{Benchmark, Dataset};

/// Comparison of a with b; differences are a − b.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Comparison {
    /// Name of the first file.
    pub a: String,
    /// Name of the second file.
    pub b: String,
    /// The unit of comparison: questions' scores, or MMBench's questions that are right in every
    /// rotation.
    pub unit: &'static str,
    /// Mean score of a minus that of b, from −1 to 1, with or without a test; `None` without
    /// questions.
    pub difference: Option<f64>,
    /// The test, with images as clusters and scores from 0 to 1. `None` where no test is possible.
    pub paired: Option<PairedComparison>,
    /// Why there is no test, as a clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_paired: Option<String>,
    /// Its p value after Holm's correction over all requested pairs that have one.
    pub p_holm: Option<f64>,
    /// The figure that papers print where it is no mean over questions: POPE's mean F1, in percent,
    /// and MME's score. `None` for other benchmarks, and where the figure is undefined.
    pub headline: Option<StatisticComparison>,
    /// Why that figure can't be compared, as a clause; `None` where it is compared, or is a mean
    /// over questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_headline: Option<String>,
}

/// Compares every pair, or every file with the one called `baseline`.
///
/// # Errors
/// Too few draws. A pair without a test states the reason and doesn't affect the others.
pub fn compare_all(
    dataset: &Dataset,
    scored: &[Scored],
    baseline: Option<&str>,
    options: &CompareOptions,
) -> Result<Vec<Comparison>, RescoreError> {
    let mut comparisons = Vec::new();
    for (place, a) in scored.iter().enumerate() {
        for b in &scored[place + 1..] {
            match baseline {
                Some(name) if b.name == name => {
                    comparisons.push(compare(dataset, a, b, options)?);
                }
                Some(name) if a.name == name => {
                    comparisons.push(compare(dataset, b, a, options)?);
                }
                Some(_) => {}
                None => comparisons.push(compare(dataset, a, b, options)?),
            }
        }
    }
    let has_test = |pair: &&mut Comparison| pair.paired.is_some();
    let tested: Vec<&mut Comparison> = comparisons.iter_mut().filter(has_test).collect();
    let p: Vec<f64> = tested.iter().filter_map(|pair| pair.p_holm).collect();
    if !p.is_empty() {
        for (pair, adjusted) in tested.into_iter().zip(holm(&p)?) {
            pair.p_holm = Some(adjusted);
        }
    }
    Ok(comparisons)
}

/// Compares two files of answers to `dataset`.
///
/// # Errors
/// Too few draws. Fewer than two images or an undefined figure are reported in the result.
pub fn compare(
    dataset: &Dataset,
    a: &Scored,
    b: &Scored,
    options: &CompareOptions,
) -> Result<Comparison, RescoreError> {
    let (unit, scores_a, scores_b, clusters) = match dataset.benchmark {
        Benchmark::Mmbench => {
            let right = |scored: &Scored| -> Result<Vec<f64>, RescoreError> {
                let report = mmbench_report(dataset, &scored.figures.scores)?;
                let is_right = report.questions.into_values();
                Ok(is_right.map(|right| f64::from(u8::from(right))).collect())
            };
            let (a, b) = (right(a)?, right(b)?);
            let clusters = (0..a.len()).collect();
            ("questions, right in every rotation", a, b, clusters)
        }
        _ => (
            "questions",
            a.figures.scores.clone(),
            b.figures.scores.clone(),
            numbered(dataset.samples.iter().map(|s| s.image_id.as_str())).0,
        ),
    };
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let difference = (!scores_a.is_empty()).then(|| mean(&scores_a) - mean(&scores_b));
    let paired = match compare_paired(&scores_a, &scores_b, &clusters, options) {
        Ok(paired) => Ok(paired),
        Err(error) => Err(untestable(error, dataset)?),
    };
    let headline =
        Additive::of(dataset).map(|additive| compare_headline(&additive, dataset, [a, b], options));
    let (headline, no_headline) = match headline {
        Some(Err(error)) => match why_undefined([a, b]) {
            Some(because) => (None, Some(because)),
            None => (None, Some(untestable(error, dataset)?)),
        },
        headline => (headline.and_then(Result::ok), None),
    };
    Ok(Comparison {
        a: a.name.clone(),
        b: b.name.clone(),
        unit,
        difference,
        p_holm: paired.as_ref().ok().map(|paired| paired.p),
        no_paired: paired.as_ref().err().cloned(),
        paired: paired.ok(),
        headline,
        no_headline,
    })
}

/// The reason why the data allow no test; any other error is returned.
fn untestable(error: StatsError, dataset: &Dataset) -> Result<String, RescoreError> {
    match error {
        StatsError::TooFewClusters { .. } if dataset.benchmark == Benchmark::Mmbench => {
            Ok("all rows are of one question, and a test needs two".to_owned())
        }
        StatsError::TooFewClusters { .. } => {
            let count = dataset.samples.len();
            let image = dataset.samples.first().map_or("", |s| s.image_id.as_str());
            let images = if count == 1 {
                "the only question is".to_owned()
            } else {
                format!("all {count} questions are")
            };
            Ok(format!(
                "{images} on one image, {image}, and a test needs two"
            ))
        }
        StatsError::Empty { .. } => Ok("there is no question".to_owned()),
        error @ (StatsError::UndefinedStatistic | StatsError::UndefinedDraws { .. }) => {
            Ok(error.to_string())
        }
        error => Err(error.into()),
    }
}

/// Which file's headline figure is undefined, and why.
fn why_undefined(both: [&Scored; 2]) -> Option<String> {
    let of = both.iter().filter_map(|scored| {
        let figure = scored.figures.headline()?;
        let because = figure.undefined.as_ref()?;
        Some(format!("{} has no {}: {because}", scored.name, figure.name))
    });
    let of: Vec<String> = of.collect();
    (!of.is_empty()).then(|| of.join("; "))
}

/// Compares the figure that papers print, where it follows from totals over images.
fn compare_headline(
    additive: &Additive,
    dataset: &Dataset,
    [a, b]: [&Scored; 2],
    options: &CompareOptions,
) -> Result<StatisticComparison, StatsError> {
    let totals = |scored: &Scored| additive.totals(dataset, &scored.figures);
    let headline = |totals: &[f64]| {
        let mut found = vec![None; additive.names().len()];
        additive.fill(totals, &mut found);
        found.first().copied().flatten()
    };
    compare_statistic(&totals(a)?, &totals(b)?, options, headline)
}
