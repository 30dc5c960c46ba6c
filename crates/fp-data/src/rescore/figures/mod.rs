//! The figures that a benchmark reports, from the answers to its questions.

mod benchmarks;

pub(super) use benchmarks::{gqa_question, mmbench_report};

use super::RescoreError;
use crate::dataset::{Benchmark, Dataset};
use crate::metric::{AnswerRule, Breakdown, GroupScore, YesNo};
use crate::sample::Sample;

/// One number.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// Its value; none where it is undefined.
    pub value: Option<f64>,
    /// Why it is undefined, as a clause; none where it has a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undefined: Option<String>,
}

/// Scores by group.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Groups {
    /// What the groups are by.
    pub by: String,
    /// Their scores, 0 to 1.
    #[serde(flatten)]
    pub scores: Breakdown,
}

/// Everything that a benchmark reports. The first figure is the one that papers print.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Figures {
    /// Figures; accuracies in percent.
    pub figures: Vec<Figure>,
    /// Breakdowns.
    pub groups: Vec<Groups>,
    /// Score of each question, 0 to 1, by the benchmark's own rule.
    #[serde(skip)]
    pub scores: Vec<f64>,
    /// What each answer says to a yes-or-no question; empty for others.
    #[serde(skip)]
    pub(super) said: Vec<YesNo>,
}

impl Figures {
    /// Scores answers, `[questions]`; none is wrong under every rule.
    pub(super) fn new(
        dataset: &Dataset,
        texts: &[Option<String>],
    ) -> Result<Figures, RescoreError> {
        Self::with_scores(dataset, texts, &|rule| scores(dataset, texts, rule))
    }

    /// As [`Figures::new`], with the scores of the same answers by any rule.
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
            _ => figures.add_accuracy(rule.name(), &by_rule(rule)),
        }
        for &other in dataset.benchmark.other_rules() {
            // MMBench's headline is another one, and has its own variants above.
            if dataset.benchmark != Benchmark::Mmbench {
                figures.add_accuracy(other.name(), &by_rule(other));
            }
        }
        figures.add_groups("family", dataset, |sample| Some(&sample.family));
        let keys = [
            "question_type",
            "category",
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

    /// Adds a figure; `undefined` says why it has no value, where it has none.
    fn add(&mut self, name: impl Into<String>, value: Option<f64>, undefined: &str) {
        self.figures.push(Figure {
            name: name.into(),
            value,
            undefined: value.is_none().then(|| undefined.to_owned()),
        });
    }

    fn add_accuracy(&mut self, rule: &str, scores: &[f64]) {
        let mut mean = GroupScore::default();
        scores.iter().for_each(|score| mean.add(*score));
        self.add(
            format!("accuracy ({rule})"),
            mean.percent(),
            benchmarks::NO_QUESTION,
        );
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

fn scores(dataset: &Dataset, texts: &[Option<String>], rule: AnswerRule) -> Vec<f64> {
    let answers = dataset.samples.iter().zip(texts);
    let score = |(sample, text): (&Sample, &Option<String>)| match text {
        Some(text) => sample.score(rule, text),
        None => 0.0,
    };
    answers.map(score).collect()
}

/// What is said. A missing answer is the wrong one of both: saying neither would leave
/// recall as it is, and an empty text is yes to some.
fn said(dataset: &Dataset, texts: &[Option<String>], parse: impl Fn(&str) -> YesNo) -> Vec<YesNo> {
    let answers = dataset.samples.iter().zip(texts);
    let said = |(sample, text): (&Sample, &Option<String>)| match (text, gold(sample)) {
        (Some(text), _) => parse(text),
        (None, YesNo::Yes) => YesNo::No,
        (None, _) => YesNo::Yes,
    };
    answers.map(said).collect()
}

/// What is right; loading made sure that it is yes or no.
pub(super) fn gold(sample: &Sample) -> YesNo {
    let answer = sample.answers.first();
    answer
        .and_then(|answer| YesNo::from_label(answer))
        .unwrap_or(YesNo::Other)
}
