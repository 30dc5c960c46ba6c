//! Many sets of answers to the same questions, such as those of a study's cells: each benchmark's
//! own figures for every set, over complete units of questions.
//!
//! Sets with equal answers share the work: a distinct answer to a question is scored once per rule,
//! however many sets give it.

mod measures;
#[cfg(test)]
mod tests;
mod units;

pub(super) use measures::numbered;
pub use measures::{Additive, FigureMeans};
pub use units::{Unit, UnitCounts};

use std::collections::BTreeMap;
use std::path::Path;

use fp_stats::ClusterTotals;
use rayon::prelude::*;

use super::figures::mme::is_sum;
use super::figures::{Figures, accuracy_name};
use super::{Figure, RescoreError};
use crate::dataset::export::choices_of;
use crate::dataset::{Benchmark, Dataset};
use crate::metric::{AnswerRule, GroupScore};
use crate::sample::Sample;

/// The benchmark that results called `name` belong to: the one whose name begins it and that is
/// scored by `rule`; `textvqa_ocr` is TextVQA. `None` for users' own data, whose only figure is the
/// accuracy.
pub fn benchmark_of(name: &str, rule: AnswerRule) -> Option<Benchmark> {
    let fits = |benchmark: &Benchmark| {
        benchmark.answer_rule() == Some(rule) && name.starts_with(benchmark.name())
    };
    let all = Benchmark::ALL.into_iter().filter(fits);
    all.max_by_key(|benchmark| benchmark.name().len())
}

/// Questions of a benchmark that were asked.
#[derive(Debug, Clone)]
pub struct Questions {
    /// Their benchmark.
    pub benchmark: Benchmark,
    /// Their scoring rule.
    pub answer_rule: AnswerRule,
    /// The questions. Options of choices may be omitted where the prompt lists them.
    pub samples: Vec<Sample>,
    /// Whether some of the dataset's questions may be missing.
    pub is_cut: bool,
}

/// Several sets of answers to the same questions.
#[derive(Debug)]
pub struct AnswerSets {
    dataset: Dataset,
    is_cut: bool,
    /// `[questions]`, the distinct answers to each.
    distinct: Vec<Vec<String>>,
    /// `[sets][questions]`, index among the distinct answers; `None` without an answer.
    sets: Vec<Vec<Option<usize>>>,
    /// By rule `[questions][distinct answers]`.
    scores: BTreeMap<AnswerRule, Vec<Vec<f64>>>,
    is_contradicted: Vec<bool>,
}

/// The questions that certain sets all answered, restricted to complete units.
#[derive(Debug)]
pub struct Part {
    /// Positions among the questions, ascending.
    pub places: Vec<usize>,
    /// Numbers of complete and incomplete units.
    pub counts: UnitCounts,
    dataset: Dataset,
}

/// A benchmark's figures for one set of answers to a part of its questions.
#[derive(Debug, Clone)]
pub struct SetFigures {
    /// The figures.
    pub figures: Figures,
    /// The figures that are means, with their value per question; the other figures are compared
    /// through [`SetFigures::totals`].
    pub means: Vec<FigureMeans>,
    /// The data of the figures in [`Additive`], `[images, width]`, images in the order of their
    /// first question; `None` where the benchmark has no such figure.
    pub totals: Option<ClusterTotals>,
}

impl AnswerSets {
    /// Scores answers, each distinct one once by each of the benchmark's rules. `answer` returns a
    /// set's answer to a question, by their indices, with the score that was recorded; `None` where
    /// there is no answer.
    pub fn new<'a>(
        questions: Questions,
        num_sets: usize,
        answer: impl Fn(usize, usize) -> Option<(&'a str, f64)>,
    ) -> AnswerSets {
        let Questions {
            benchmark,
            answer_rule,
            mut samples,
            is_cut,
        } = questions;
        if answer_rule.is_choice() {
            for sample in samples.iter_mut().filter(|s| s.choices.is_empty()) {
                sample.choices = choices_of(&sample.question);
            }
        }
        let mut distinct: Vec<Vec<String>> = vec![Vec::new(); samples.len()];
        let mut recorded: Vec<Vec<f64>> = vec![Vec::new(); samples.len()];
        let mut sets = vec![vec![None; samples.len()]; num_sets];
        for question in 0..samples.len() {
            let known = &mut distinct[question];
            for (set, answers) in sets.iter_mut().enumerate() {
                let Some((text, score)) = answer(set, question) else {
                    continue;
                };
                let place = known.iter().position(|other| other == text);
                answers[question] = Some(place.unwrap_or_else(|| {
                    known.push(text.to_owned());
                    recorded[question].push(score);
                    known.len() - 1
                }));
            }
        }
        let score_all = |rule: AnswerRule| -> Vec<Vec<f64>> {
            let questions = samples.par_iter().zip(&distinct);
            let scored = questions.map(|(sample, texts)| {
                let scores = texts.iter().map(|text| sample.score(rule, text));
                scores.collect()
            });
            scored.collect()
        };
        let rules = benchmark.other_rules().iter().copied();
        let mut scores: BTreeMap<AnswerRule, Vec<Vec<f64>>> = rules
            .chain([answer_rule])
            .map(|rule| (rule, score_all(rule)))
            .collect();
        // Recorded scores were computed with the whole dataset; a prompt may list its options in a
        // form that can't be parsed.
        let is_contradicted = match scores.get(&answer_rule) {
            Some(anew) => anew.iter().zip(&recorded).map(|(a, b)| a != b).collect(),
            None => vec![false; samples.len()],
        };
        scores.insert(answer_rule, recorded);
        AnswerSets {
            dataset: Dataset {
                answer_rule,
                samples,
                ..Dataset::empty(benchmark, "", Path::new(""), Vec::new())
            },
            is_cut,
            distinct,
            sets,
            scores,
            is_contradicted,
        }
    }

    /// The benchmark.
    pub fn benchmark(&self) -> Benchmark {
        self.dataset.benchmark
    }

    /// Ids of questions that are left out because rescoring an answer gives another score than the
    /// recorded one.
    pub fn contradicted(&self) -> Vec<&str> {
        let samples = self.dataset.samples.iter().zip(&self.is_contradicted);
        let contradicted = samples.filter(|(_, is_contradicted)| **is_contradicted);
        contradicted.map(|(sample, _)| sample.id.as_str()).collect()
    }

    /// Which questions were answered by all of `sets`: the input of [`AnswerSets::part`].
    pub fn answered(&self, sets: &[usize]) -> Vec<bool> {
        let has = |question: usize| sets.iter().all(|&set| self.sets[set][question].is_some());
        (0..self.dataset.samples.len()).map(has).collect()
    }

    /// The questions in `is_answered` that form complete units.
    pub fn part(&self, is_answered: &[bool]) -> Part {
        let usable = is_answered.iter().zip(&self.is_contradicted);
        let usable: Vec<bool> = usable
            .map(|(answered, wrong)| *answered && !wrong)
            .collect();
        let (is_whole, counts) = units::whole(&self.dataset, is_answered, &usable, self.is_cut);
        let places = (0..is_whole.len()).filter(|&place| is_whole[place]);
        let places: Vec<usize> = places.collect();
        let samples = places
            .iter()
            .map(|&place| self.dataset.samples[place].clone());
        let dataset = Dataset {
            answer_rule: self.dataset.answer_rule,
            samples: samples.collect(),
            ..Dataset::empty(self.dataset.benchmark, "", Path::new(""), Vec::new())
        };
        Part {
            places,
            counts,
            dataset,
        }
    }

    /// The benchmark's figures for a set's answers to a part. The set should have answered the
    /// whole part: a missing answer counts as wrong.
    ///
    /// # Errors
    /// Questions that don't belong to the benchmark.
    pub fn figures(&self, part: &Part, set: usize) -> Result<SetFigures, RescoreError> {
        let which = &self.sets[set];
        let texts: Vec<Option<String>> = part
            .places
            .iter()
            .map(|&place| Some(self.distinct[place][which[place]?].clone()))
            .collect();
        let by_rule = |rule: AnswerRule| -> Vec<f64> {
            let scores = self.scores.get(&rule);
            let score = |&place: &usize| Some(scores?[place][which[place]?]);
            let of_part = part.places.iter();
            of_part.map(|place| score(place).unwrap_or(0.0)).collect()
        };
        let figures = Figures::with_scores(&part.dataset, &texts, &by_rule)?;
        let means = measures::means(&part.dataset, &figures, &by_rule);
        let totals = match part.additive() {
            Some(additive) if !part.places.is_empty() => {
                Some(additive.totals(&part.dataset, &figures)?)
            }
            _ => None,
        };
        Ok(SetFigures {
            figures,
            means,
            totals,
        })
    }

    /// Whether a figure is just the mean of the recorded scores of a set, over all questions that
    /// it answered.
    pub fn is_plain_accuracy(&self, figure: &Figure, set: usize) -> bool {
        if figure.name != accuracy_name(self.dataset.benchmark, self.dataset.answer_rule) {
            return false;
        }
        let mut mean = GroupScore::default();
        if let Some(scores) = self.scores.get(&self.dataset.answer_rule) {
            let answers = scores.iter().zip(&self.sets[set]);
            answers
                .filter_map(|(scores, which)| Some(scores[(*which)?]))
                .for_each(|score| mean.add(score));
        }
        figure.value == mean.percent()
    }

    /// Names of the benchmark's headline figures that are in `names`.
    pub fn headlines(&self, names: &[String]) -> Vec<String> {
        let is_other = |name: &str| match self.dataset.benchmark {
            // Cells without some task have a sum with another name.
            Benchmark::Mme => is_sum(name) || matches!(name, "perception" | "cognition"),
            Benchmark::Mmbench => name == "vanilla, first rotation (mmbench)",
            _ => false,
        };
        let headlines = names.iter().enumerate();
        let headlines = headlines.filter(|(at, name)| *at == 0 || is_other(name));
        headlines.map(|(_, name)| name.clone()).collect()
    }
}

impl Part {
    /// The benchmark's figures that follow from totals over images; `None` where there are none.
    pub fn additive(&self) -> Option<Additive> {
        Additive::of(&self.dataset)
    }
}
