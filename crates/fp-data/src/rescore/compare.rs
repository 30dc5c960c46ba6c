//! Two files of answers to the same questions, tested against each other.

use std::collections::HashMap;

use fp_stats::{
    ClusterTotals, CompareOptions, PairedComparison, StatisticComparison, StatsError,
    compare_paired, compare_statistic, holm,
};

use super::figures::{gold, mmbench_report, unpaired_tasks};
use super::{RescoreError, Scored};
use crate::dataset::{Benchmark, Dataset};
use crate::metric::YesNo;
use crate::metric::pope::YesNoCounts;

/// a against b; differences are a − b.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Comparison {
    /// One file.
    pub a: String,
    /// The other.
    pub b: String,
    /// What is compared question by question: scores, or MMBench's questions, right in
    /// every rotation.
    pub unit: &'static str,
    /// Mean score of a less that of b, from −1 to 1, whether there is a test or not; none
    /// without questions.
    pub difference: Option<f64>,
    /// The test, images as clusters; scores from 0 to 1. None where it can't be made.
    pub paired: Option<PairedComparison>,
    /// Why there is no test, as a clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_paired: Option<String>,
    /// Its p after Holm's correction over all pairs that were asked for and have one.
    pub p_holm: Option<f64>,
    /// The figure of papers where it is no mean over questions: POPE's mean F1 and MME's
    /// score. In percent for POPE. None for other benchmarks, and where the figure is
    /// undefined.
    pub headline: Option<StatisticComparison>,
    /// Why the figure of papers can't be compared, as a clause; none where it is, or is a
    /// mean over questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_headline: Option<String>,
}

/// Compares every pair, or every file with the one called `baseline`.
///
/// # Errors
/// Too few draws. A pair that has no test says why, and keeps the others.
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
/// Too few draws. Fewer than two images or an undefined figure are said in the result.
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
            Places::of(dataset).clusters,
        ),
    };
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let difference = (!scores_a.is_empty()).then(|| mean(&scores_a) - mean(&scores_b));
    let paired = match compare_paired(&scores_a, &scores_b, &clusters, options) {
        Ok(paired) => Ok(paired),
        Err(error) => Err(untestable(error, dataset)?),
    };
    let headline = match dataset.benchmark {
        Benchmark::Pope => Some(compare_f1(dataset, [a, b], options)),
        Benchmark::Mme => Some(compare_mme(dataset, [a, b], options)),
        _ => None,
    };
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

/// Why there is no test, where that is for the data; else the error.
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

/// Which file's headline has no value, and why.
fn why_undefined(both: [&Scored; 2]) -> Option<String> {
    let of = both.iter().filter_map(|scored| {
        let figure = scored.figures.headline()?;
        let because = figure.undefined.as_ref()?;
        Some(format!("{} has no {}: {because}", scored.name, figure.name))
    });
    let of: Vec<String> = of.collect();
    (!of.is_empty()).then(|| of.join("; "))
}

/// Images and families by number, per question.
struct Places {
    clusters: Vec<usize>,
    num_clusters: usize,
    families: Vec<usize>,
    num_families: usize,
}

impl Places {
    fn of(dataset: &Dataset) -> Places {
        let samples = dataset.samples.iter();
        let (clusters, num_clusters) = numbered(samples.clone().map(|s| s.image_id.as_str()));
        let (families, num_families) = numbered(samples.map(|s| s.family.as_str()));
        Places {
            clusters,
            num_clusters,
            families,
            num_families,
        }
    }
}

/// Numbers of names in the order of their first appearance, and how many there are.
pub(super) fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> (Vec<usize>, usize) {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let numbers = names
        .map(|name| {
            let next = known.len();
            *known.entry(name).or_insert(next)
        })
        .collect();
    (numbers, known.len())
}

/// Compares a figure of totals, `[families, width]` per image, that `count` adds up.
fn compare_totals(
    dataset: &Dataset,
    [a, b]: [&Scored; 2],
    options: &CompareOptions,
    width: usize,
    count: impl Fn(&Scored, &Places, &mut ClusterTotals),
    figure: impl Fn(&[f64]) -> Option<f64>,
) -> Result<StatisticComparison, StatsError> {
    let places = Places::of(dataset);
    let totals = |scored: &Scored| {
        let mut totals = ClusterTotals::zeros(places.num_clusters, width * places.num_families)?;
        count(scored, &places, &mut totals);
        Ok(totals)
    };
    compare_statistic(&totals(a)?, &totals(b)?, options, figure)
}

/// Counts per category: said yes rightly, wrongly, no rightly, wrongly, neither.
const POPE_WIDTH: usize = 6;

fn compare_f1(
    dataset: &Dataset,
    both: [&Scored; 2],
    options: &CompareOptions,
) -> Result<StatisticComparison, StatsError> {
    let count = |scored: &Scored, places: &Places, totals: &mut ClusterTotals| {
        for (index, sample) in dataset.samples.iter().enumerate() {
            let place = match (scored.figures.said[index], gold(sample)) {
                (YesNo::Yes, YesNo::Yes) => 0,
                (YesNo::Yes, _) => 1,
                (YesNo::No, YesNo::No) => 2,
                (YesNo::No, _) => 3,
                (YesNo::Other, YesNo::Yes) => 4,
                (YesNo::Other, _) => 5,
            };
            let family = POPE_WIDTH * places.families[index];
            totals.row_mut(places.clusters[index])[family + place] += 1.0;
        }
    };
    let mean_f1 = |totals: &[f64]| {
        let mut sum = 0.0;
        for counts in totals.chunks(POPE_WIDTH) {
            let count = |place: usize| counts[place] as usize;
            let counts = YesNoCounts {
                true_positive: count(0),
                false_positive: count(1),
                true_negative: count(2),
                false_negative: count(3),
                other_positive: count(4),
                other_negative: count(5),
            };
            sum += counts.f1()?;
        }
        Some(100.0 * sum / (totals.len() / POPE_WIDTH) as f64)
    };
    compare_totals(dataset, both, options, POPE_WIDTH, count, mean_f1)
}

/// Totals per task: right questions, questions, images with both right, images.
const MME_WIDTH: usize = 4;

fn compare_mme(
    dataset: &Dataset,
    both: [&Scored; 2],
    options: &CompareOptions,
) -> Result<StatisticComparison, StatsError> {
    let unpaired = unpaired_tasks(dataset);
    let mut is_unpaired = Vec::new();
    let families = Places::of(dataset).families;
    for (sample, family) in dataset.samples.iter().zip(families) {
        if family == is_unpaired.len() {
            is_unpaired.push(unpaired.contains_key(sample.family.as_str()));
        }
    }
    let count = |scored: &Scored, places: &Places, totals: &mut ClusterTotals| {
        let mut right = vec![(0, 0.0, 0.0); places.num_clusters];
        for (index, sample) in dataset.samples.iter().enumerate() {
            let is_right = f64::from(u8::from(scored.figures.said[index] == gold(sample)));
            let of_image = &mut right[places.clusters[index]];
            *of_image = (
                places.families[index],
                of_image.1 + is_right,
                of_image.2 + 1.0,
            );
        }
        for (cluster, &(family, num_right, count)) in right.iter().enumerate() {
            // As the figure itself, which is over tasks that have a score.
            if is_unpaired[family] {
                continue;
            }
            let row = &mut totals.row_mut(cluster)[MME_WIDTH * family..][..MME_WIDTH];
            let is_whole = f64::from(u8::from(num_right == count));
            row.copy_from_slice(&[num_right, count, is_whole, 1.0]);
        }
    };
    let score = |totals: &[f64]| {
        let tasks = totals.chunks(MME_WIDTH).filter(|task| task[1] > 0.0);
        Some(
            tasks
                .map(|task| 100.0 * (task[0] / task[1] + task[2] / task[3]))
                .sum(),
        )
    };
    compare_totals(dataset, both, options, MME_WIDTH, count, score)
}
