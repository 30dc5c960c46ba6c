//! Many sets of answers to the same questions, as the cells of a study give them: each
//! benchmark's own figures of every set, over questions that are there as a whole.
//!
//! Sets that answer alike share the work: a distinct answer to a question is scored once
//! per rule, however many sets give it.

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

/// The benchmark whose figures results called `name` have: the one that begins the name
/// and scores by `rule`, as `textvqa_ocr` is TextVQA. None for data of one's own, whose
/// only figure is the accuracy.
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
    /// What they are of.
    pub benchmark: Benchmark,
    /// How their answers are scored.
    pub answer_rule: AnswerRule,
    /// The questions. Options of choices may be left out where the prompt lists them.
    pub samples: Vec<Sample>,
    /// Whether some of the dataset's questions may be missing.
    pub is_cut: bool,
}

/// Answers of several to the same questions.
#[derive(Debug)]
pub struct AnswerSets {
    dataset: Dataset,
    is_cut: bool,
    /// `[questions]`, the distinct answers.
    distinct: Vec<Vec<String>>,
    /// `[sets][questions]`, which of them; none without an answer.
    sets: Vec<Vec<Option<usize>>>,
    /// By rule `[questions][distinct answers]`.
    scores: BTreeMap<AnswerRule, Vec<Vec<f64>>>,
    is_contradicted: Vec<bool>,
}

/// The questions that some sets all answered, in whole units, and nothing else.
#[derive(Debug)]
pub struct Part {
    /// Positions among the questions, ascending.
    pub places: Vec<usize>,
    /// What was left out.
    pub counts: UnitCounts,
    dataset: Dataset,
}

/// What a benchmark reports of one set of answers to a part of its questions.
#[derive(Debug, Clone)]
pub struct SetFigures {
    /// The figures.
    pub figures: Figures,
    /// Those that are means, per question; of the other figures [`SetFigures::totals`]
    /// can be compared.
    pub means: Vec<FigureMeans>,
    /// What the benchmark's figures of [`Additive`] follow from, `[images, width]`, images
    /// in the order of their first question; none where the benchmark has none.
    pub totals: Option<ClusterTotals>,
}

impl AnswerSets {
    /// Scores answers, each distinct one once by every rule that the benchmark knows.
    /// `answer` gives a set's answer to a question, by their positions, with the score that
    /// it was given; none where there is no answer.
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
        // What was recorded was scored with everything that the dataset says; a prompt may
        // list its options in a way that they can't be read from.
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

    /// Ids of questions that are left out because an answer's score isn't what scoring it
    /// again gives.
    pub fn contradicted(&self) -> Vec<&str> {
        let samples = self.dataset.samples.iter().zip(&self.is_contradicted);
        let contradicted = samples.filter(|(_, is_contradicted)| **is_contradicted);
        contradicted.map(|(sample, _)| sample.id.as_str()).collect()
    }

    /// Which questions all of some sets answered: what [`AnswerSets::part`] depends on.
    pub fn answered(&self, sets: &[usize]) -> Vec<bool> {
        let has = |question: usize| sets.iter().all(|&set| self.sets[set][question].is_some());
        (0..self.dataset.samples.len()).map(has).collect()
    }

    /// The questions among `is_answered` that are in whole units.
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

    /// What the benchmark reports of a set's answers to a part, all of which it has to have
    /// answered: one that it didn't counts as wrong.
    ///
    /// # Errors
    /// Questions that are none of the benchmark's.
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

    /// Whether a figure is nothing but the mean of the scores that a set's answers were
    /// given, over all questions that it answered.
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

    /// Names of the figures that papers print of the benchmark, those of them that `names`
    /// has.
    pub fn headlines(&self, names: &[String]) -> Vec<String> {
        let is_other = |name: &str| match self.dataset.benchmark {
            // Cells that lack a task have a sum of another name.
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
    /// What of the benchmark's figures follows from totals over images; none where it has
    /// no such figure.
    pub fn additive(&self) -> Option<Additive> {
        Additive::of(&self.dataset)
    }
}
