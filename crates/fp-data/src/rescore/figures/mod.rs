//! The figures that a benchmark reports, from the answers to its questions.

mod benchmarks;
pub(super) mod mme;
mod reading;

pub(super) use benchmarks::{gqa_question, mmbench_report};
pub(super) use mme::unpaired_tasks;

use super::RescoreError;
use crate::dataset::{Benchmark, Dataset};
use crate::metric::{AnswerRule, Breakdown, GroupScore, YesNo};
use crate::sample::Sample;

/// A named value.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// Its value; `None` where it is undefined.
    pub value: Option<f64>,
    /// Why it is undefined, as a clause; `None` where it has a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
    /// A remark on the value, as a clause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Scores by group.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Groups {
    /// Name of the grouping.
    pub by: String,
    /// Their scores, 0 to 1.
    #[serde(flatten)]
    pub scores: Breakdown,
}

/// All figures of a benchmark. The first is the one that papers print.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Figures {
    /// The figures; accuracies are in percent.
    pub figures: Vec<Figure>,
    /// Breakdowns.
    pub groups: Vec<Groups>,
    /// Score of each question, 0 to 1, by the benchmark's own rule.
    #[serde(skip)]
    pub scores: Vec<f64>,
    /// The parsed answer to each yes/no question; empty for other questions.
    #[serde(skip)]
    pub(super) said: Vec<YesNo>,
}

impl Figures {
    /// Scores answers, `[questions]`; a missing answer is wrong under every rule.
    pub(super) fn new(
        dataset: &Dataset,
        texts: &[Option<String>],
    ) -> Result<Figures, RescoreError> {
        Self::with_scores(dataset, texts, &|rule| scores(dataset, texts, rule))
    }

    /// As [`Figures::new`], with the scores of the same answers by each rule.
    pub(super) fn with_scores(
        dataset: &Dataset,
        texts: &[Option<String>],
        by_rule: &impl Fn(AnswerRule) -> Vec<f64>,
    ) -> Result<Figures, RescoreError> {
        let rule = dataset.answer_rule;
        let mut figures = Figures {
            figures: Vec::new(),
            groups: Vec::new(),
            scores: by_rule(rule),
            said: Vec::new(),
        };
        match dataset.benchmark {
            Benchmark::Gqa => figures.add_gqa(dataset, texts)?,
            Benchmark::Pope => figures.add_pope(dataset, texts)?,
            Benchmark::Mme => figures.add_mme(dataset, texts)?,
            Benchmark::Mmbench => figures.add_mmbench(dataset, by_rule)?,
            Benchmark::Docvqa | Benchmark::Infovqa => figures.add_anls(dataset),
            Benchmark::Chartqa => figures.add_chartqa(dataset),
            Benchmark::Ocrbench => figures.add_ocrbench(dataset, &by_rule),
            Benchmark::Seedbench => figures.add_seedbench(dataset),
            Benchmark::Mmstar => figures.add_mmstar(dataset),
            Benchmark::Mmmu => figures.add_mmmu(dataset),
            _ => figures.add_accuracy(dataset, rule, &by_rule(rule)),
        }
        for &other in dataset.benchmark.other_rules() {
            // These benchmarks have another headline figure, whose variants were added above.
            if !matches!(dataset.benchmark, Benchmark::Mmbench | Benchmark::Ocrbench) {
                figures.add_accuracy(dataset, other, &by_rule(other));
            }
        }
        // These benchmarks are already broken down by kind; a question has several kinds.
        if !matches!(dataset.benchmark, Benchmark::Docvqa | Benchmark::Infovqa) {
            figures.add_groups("family", dataset, |sample| Some(&sample.family));
        }
        let keys = [
            "question_type",
            "category",
            "l2_category",
            "discipline",
            "semantic_type",
            "steps",
            "subject",
            "topic",
        ];
        for key in keys {
            figures.add_groups(key, dataset, |sample| sample.keys.get(key));
        }
        Ok(figures)
    }

    /// The figure that papers print.
    pub fn headline(&self) -> Option<&Figure> {
        self.figures.first()
    }

    /// Adds a figure; `undefined` is the reason if it has no value.
    fn add(&mut self, name: impl Into<String>, value: Option<f64>, undefined: &str) {
        self.figures.push(Figure {
            name: name.into(),
            value,
            undefined: value.is_none().then(|| undefined.to_owned()),
            note: None,
        });
    }

    fn add_accuracy(&mut self, dataset: &Dataset, rule: AnswerRule, scores: &[f64]) {
        let name = accuracy_name(dataset.benchmark, rule);
        self.add(name, mean(scores.iter()).percent(), benchmarks::NO_QUESTION);
    }

    /// Adds the accuracy over questions with and without an image, after that of questions with
    /// one. `text_only` are the answers to the questions without an image.
    pub(super) fn add_overall(&mut self, dataset: &Dataset, text_only: &[Option<String>]) {
        if dataset.benchmark != Benchmark::Scienceqa && dataset.text_only.is_empty() {
            return;
        }
        let scores = scores_of(&dataset.text_only, text_only, dataset.answer_rule);
        let undefined = if scores.is_empty() {
            Some("the dataset has questions with an image only".to_owned())
        } else if text_only.iter().all(Option::is_none) {
            let count = scores.len();
            Some(format!(
                "none of the {count} questions without an image is answered"
            ))
        } else {
            None
        };
        let value = mean(self.scores.iter().chain(&scores)).percent();
        let figure = Figure {
            name: format!("overall accuracy ({})", dataset.answer_rule.name()),
            value: value.filter(|_| undefined.is_none()),
            undefined,
            note: None,
        };
        let behind = self.figures.len().min(1);
        self.figures.insert(behind, figure);
    }

    fn add_groups<'a>(
        &mut self,
        by: &str,
        dataset: &'a Dataset,
        group: impl Fn(&'a Sample) -> Option<&'a String>,
    ) {
        let mut scores = Breakdown::default();
        for (sample, score) in dataset.samples.iter().zip(&self.scores) {
            if let Some(group) = group(sample) {
                scores.add(group, *score);
            }
        }
        if scores.groups.len() > 1 {
            let by = by.to_owned();
            self.groups.push(Groups { by, scores });
        }
    }
}

/// Name of the mean score by a rule. ScienceQA has another name for the mean over all questions.
pub(super) fn accuracy_name(benchmark: Benchmark, rule: AnswerRule) -> String {
    let measure = match benchmark {
        Benchmark::Scienceqa => "IMG accuracy",
        _ => rule.measure(),
    };
    format!("{measure} ({rule})")
}

fn mean<'a>(scores: impl Iterator<Item = &'a f64>) -> GroupScore {
    let mut mean = GroupScore::default();
    scores.for_each(|score| mean.add(*score));
    mean
}

fn scores(dataset: &Dataset, texts: &[Option<String>], rule: AnswerRule) -> Vec<f64> {
    scores_of(&dataset.samples, texts, rule)
}

fn scores_of(samples: &[Sample], texts: &[Option<String>], rule: AnswerRule) -> Vec<f64> {
    let answers = samples.iter().zip(texts);
    let score = |(sample, text): (&Sample, &Option<String>)| match text {
        Some(text) => sample.score(rule, text),
        None => 0.0,
    };
    answers.map(score).collect()
}

/// Parsed answers. A missing answer counts as the wrong one: neither yes nor no would leave recall
/// unchanged, and some rules read an empty text as yes.
fn said(dataset: &Dataset, texts: &[Option<String>], parse: impl Fn(&str) -> YesNo) -> Vec<YesNo> {
    let answers = dataset.samples.iter().zip(texts);
    let said = |(sample, text): (&Sample, &Option<String>)| match (text, gold(sample)) {
        (Some(text), _) => parse(text),
        (None, YesNo::Yes) => YesNo::No,
        (None, _) => YesNo::Yes,
    };
    answers.map(said).collect()
}

/// The right answer; loading has checked that it is yes or no.
pub(super) fn gold(sample: &Sample) -> YesNo {
    let answer = sample.answers.first();
    answer
        .and_then(|answer| YesNo::from_label(answer))
        .unwrap_or(YesNo::Other)
}
