//! Which of a benchmark's figures can be tested, and from which data: means over questions from
//! their scores, other figures from totals that add up over images.

use std::collections::{BTreeMap, HashMap};

use fp_stats::{ClusterTotals, Statistics, StatsError};

use super::units::is_first_rotation;
use crate::dataset::{Benchmark, Dataset};
use crate::metric::pope::YesNoCounts;
use crate::metric::{AnswerRule, YesNo, mme};
use crate::rescore::figures::{
    self, Figures, accuracy_name, gold, gqa_question, mmbench_report, unpaired_tasks,
};

/// A figure that is 100 times the mean of scores.
#[derive(Debug, Clone, PartialEq)]
pub struct FigureMeans {
    /// The figure's name.
    pub name: String,
    /// `[questions]` of the part; `None` where a question doesn't count in the figure.
    pub scores: Vec<Option<f64>>,
}

/// The figures of a benchmark that are means, under the names that [`Figures`] uses.
pub(super) fn means(
    dataset: &Dataset,
    figures: &Figures,
    by_rule: &impl Fn(AnswerRule) -> Vec<f64>,
) -> Vec<FigureMeans> {
    let rules = dataset.benchmark.other_rules().iter().copied();
    let rules = std::iter::once(dataset.answer_rule).chain(rules);
    let mut all: Vec<FigureMeans> = Vec::new();
    for rule in rules {
        let scores = by_rule(rule);
        let mut add = |name: String, counts: &dyn Fn(usize) -> bool| {
            let of = |(at, score): (usize, &f64)| counts(at).then_some(*score);
            let scores = scores.iter().enumerate().map(of).collect();
            all.push(FigureMeans { name, scores });
        };
        let samples = &dataset.samples;
        match dataset.benchmark {
            Benchmark::Mmbench => {
                add(format!("vanilla, all rows ({rule})"), &|_| true);
                add(format!("vanilla, first rotation ({rule})"), &|at| {
                    is_first_rotation(&samples[at])
                });
                all.extend(circular(dataset, rule, &scores));
            }
            Benchmark::Gqa if rule == dataset.answer_rule => {
                let questions: Vec<_> = samples.iter().map(gqa_question).collect();
                let is = |at: usize, is_open: bool| {
                    questions[at].is_balanced && questions[at].is_open() == is_open
                };
                add(format!("accuracy ({rule})"), &|at| {
                    questions[at].is_balanced
                });
                add("binary".to_owned(), &|at| is(at, false));
                add("open".to_owned(), &|at| is(at, true));
            }
            benchmark => add(accuracy_name(benchmark, rule), &|_| true),
        }
    }
    all.retain(|mean| {
        figures
            .figures
            .iter()
            .any(|figure| figure.name == mean.name)
    });
    all
}

/// Whether a question is right in every rotation, stored at its first row.
fn circular(dataset: &Dataset, rule: AnswerRule, scores: &[f64]) -> Option<FigureMeans> {
    let report = mmbench_report(dataset, scores).ok()?;
    let of = |sample: &crate::sample::Sample| {
        let question: u64 = sample
            .id
            .parse()
            .ok()
            .filter(|_| is_first_rotation(sample))?;
        report
            .questions
            .get(&question)
            .map(|right| f64::from(u8::from(*right)))
    };
    Some(FigureMeans {
        name: format!("circular ({rule})"),
        scores: dataset.samples.iter().map(of).collect(),
    })
}

/// Counts per category: yes right and wrong, no right and wrong, neither where yes was right and
/// where no was.
const POPE_WIDTH: usize = 6;
/// Totals per task: right questions, questions, images with both questions right, images.
const MME_WIDTH: usize = 4;

/// Figures that are no means, but follow from totals over images.
#[derive(Debug, Clone, PartialEq)]
pub struct Additive {
    kind: Kind,
    /// Categories or tasks in the order of their first question.
    families: Vec<String>,
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Mean F1, and the F1 of each category.
    Pope,
    /// The sum over all tasks, and the sums over perception and over cognition.
    Mme,
}

impl Additive {
    pub(in crate::rescore) fn of(dataset: &Dataset) -> Option<Additive> {
        let mut families: Vec<String> = Vec::new();
        for sample in &dataset.samples {
            if !families.contains(&sample.family) {
                families.push(sample.family.clone());
            }
        }
        let (kind, names) = match dataset.benchmark {
            Benchmark::Pope => {
                let by_category = families.iter().map(|category| format!("{category}: F1"));
                let mean = std::iter::once("mean F1".to_owned());
                (Kind::Pope, mean.chain(by_category).collect())
            }
            Benchmark::Mme => {
                let is_whole =
                    has_all(&families, &mme::PERCEPTION) && has_all(&families, &mme::COGNITION);
                let sum = if is_whole {
                    figures::mme::TOTAL.to_owned()
                } else {
                    figures::mme::partial_sum(families.len())
                };
                let names = vec![sum, "perception".to_owned(), "cognition".to_owned()];
                (Kind::Mme, names)
            }
            _ => return None,
        };
        Some(Additive {
            kind,
            families,
            names,
        })
    }

    /// Names of the figures, in the order of their computation.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Computes the figures from totals, in the unit of [`Figures`].
    pub fn fill(&self, totals: &[f64], found: &mut [Option<f64>]) {
        match self.kind {
            Kind::Pope => fill_f1(totals, found),
            Kind::Mme => self.fill_mme(totals, found),
        }
    }

    /// Passes the figures to `then` in the form that [`fp_stats`] expects.
    pub fn with_statistics<T>(&self, then: impl FnOnce(&Statistics<'_>) -> T) -> T {
        let fill = |totals: &[f64], found: &mut [Option<f64>]| self.fill(totals, found);
        then(&Statistics::new(self.names.len(), &fill))
    }

    /// Totals per image of the answers in `figures`, `[images, width]`. MME tasks without a score
    /// contribute nothing.
    pub(in crate::rescore) fn totals(
        &self,
        dataset: &Dataset,
        figures: &Figures,
    ) -> Result<ClusterTotals, StatsError> {
        let images = dataset
            .samples
            .iter()
            .map(|sample| sample.image_id.as_str());
        let (clusters, num_clusters) = numbered(images);
        let width = match self.kind {
            Kind::Pope => POPE_WIDTH,
            Kind::Mme => MME_WIDTH,
        };
        let mut totals = ClusterTotals::zeros(num_clusters, width * self.families.len())?;
        let unpaired = match self.kind {
            Kind::Pope => BTreeMap::new(),
            Kind::Mme => unpaired_tasks(dataset),
        };
        let answers = dataset.samples.iter().zip(&figures.said);
        for ((sample, &said), &cluster) in answers.zip(&clusters) {
            let family = self.families.iter().position(|name| *name == sample.family);
            let Some(family) = family.filter(|_| !unpaired.contains_key(&*sample.family)) else {
                continue;
            };
            let row = &mut totals.row_mut(cluster)[width * family..][..width];
            match self.kind {
                Kind::Pope => row[place(said, gold(sample))] += 1.0,
                Kind::Mme => {
                    row[0] += f64::from(u8::from(said == gold(sample)));
                    row[1] += 1.0;
                    // 1 as soon as all of the image's questions are present and right.
                    row[2] = f64::from(u8::from(row[0] == row[1]));
                    row[3] = 1.0;
                }
            }
        }
        Ok(totals)
    }

    fn fill_mme(&self, totals: &[f64], found: &mut [Option<f64>]) {
        let sum_of = |is_counted: &dyn Fn(&str) -> bool| -> f64 {
            let tasks = self.families.iter().zip(totals.chunks(MME_WIDTH));
            let drawn = tasks.filter(|(name, task)| task[1] > 0.0 && is_counted(name));
            drawn
                .map(|(_, task)| 100.0 * (task[0] / task[1] + task[2] / task[3]))
                .sum()
        };
        let of = |tasks: &[&str]| {
            has_all(&self.families, tasks).then(|| sum_of(&|name| tasks.contains(&name)))
        };
        let (perception, cognition) = (of(&mme::PERCEPTION), of(&mme::COGNITION));
        let is_whole = perception.is_some() && cognition.is_some();
        let is_known =
            |name: &str| mme::PERCEPTION.contains(&name) || mme::COGNITION.contains(&name);
        let all = [
            Some(sum_of(&|name| !is_whole || is_known(name))),
            perception,
            cognition,
        ];
        found
            .iter_mut()
            .zip(all)
            .for_each(|(found, value)| *found = value);
    }
}

/// Numbers names in the order of their first appearance; also returns how many there are.
pub(in crate::rescore) fn numbered<'a>(
    names: impl Iterator<Item = &'a str>,
) -> (Vec<usize>, usize) {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let numbers = names
        .map(|name| {
            let next = known.len();
            *known.entry(name).or_insert(next)
        })
        .collect();
    (numbers, known.len())
}

fn has_all(families: &[String], tasks: &[&str]) -> bool {
    tasks
        .iter()
        .all(|task| families.iter().any(|family| family == task))
}

fn place(said: YesNo, gold: YesNo) -> usize {
    match (said, gold) {
        (YesNo::Yes, YesNo::Yes) => 0,
        (YesNo::Yes, _) => 1,
        (YesNo::No, YesNo::No) => 2,
        (YesNo::No, _) => 3,
        (YesNo::Other, YesNo::Yes) => 4,
        (YesNo::Other, _) => 5,
    }
}

/// The mean first, then every category.
fn fill_f1(totals: &[f64], found: &mut [Option<f64>]) {
    let mut sum = Some(0.0);
    for (counts, found) in totals.chunks(POPE_WIDTH).zip(&mut found[1..]) {
        let count = |place: usize| counts[place] as usize;
        let counts = YesNoCounts {
            true_positive: count(0),
            false_positive: count(1),
            true_negative: count(2),
            false_negative: count(3),
            other_positive: count(4),
            other_negative: count(5),
        };
        let f1 = counts.f1();
        *found = f1.map(|f1| 100.0 * f1);
        sum = sum.zip(f1).map(|(sum, f1)| sum + f1);
    }
    let num_categories = (totals.len() / POPE_WIDTH) as f64;
    found[0] = sum.map(|sum| 100.0 * sum / num_categories);
}
