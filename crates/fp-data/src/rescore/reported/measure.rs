//! Metrics of other evaluators, recomputed here from the answers in the file.

use std::collections::BTreeMap;

use crate::dataset::Dataset;
use crate::metric::mme::{MmeAnswer, MmePairing, MmeTask};
use crate::metric::pope::YesNoCounts;
use crate::metric::{AnswerRule, GroupScore, YesNo};
use crate::rescore::figures::{gold, mmbench_report};
use crate::rescore::{AnswerFile, Texts};
use crate::sample::Sample;

/// Answered questions with their answers.
pub(super) struct Asked<'a> {
    dataset: &'a Dataset,
    answered: Vec<(&'a Sample, &'a str, Option<f64>)>,
    num_questions: usize,
}

impl<'a> Asked<'a> {
    pub(super) fn new(file: &AnswerFile, dataset: &'a Dataset, texts: &'a Texts) -> Self {
        let samples = dataset.samples.iter().zip(&texts.samples);
        let others = dataset.text_only.iter().zip(&texts.text_only);
        // Text-only questions count if any of them was answered.
        let is_asked = texts.text_only.iter().any(Option::is_some);
        let all = samples.chain(others.filter(|_| is_asked));
        let scores = &texts.scores;
        let answered: Vec<_> = all
            .clone()
            .enumerate()
            .filter_map(|(place, (sample, text))| {
                let score = scores.get(place).copied().flatten();
                Some((sample, text.as_deref()?, score))
            })
            .collect();
        debug_assert!(answered.len() <= file.answers.len());
        Asked {
            dataset,
            answered,
            num_questions: all.count(),
        }
    }

    pub(super) fn num_answered(&self) -> usize {
        self.answered.len()
    }

    pub(super) fn num_missing(&self) -> usize {
        self.num_questions - self.answered.len()
    }

    /// Ids of answers whose score in the file differs from that of a rule.
    pub(super) fn scored_otherwise(&self, rule: AnswerRule) -> Vec<String> {
        let differs = |(sample, text, score): &&(&Sample, &str, Option<f64>)| {
            score.is_some_and(|score| (score - sample.score(rule, text)).abs() > 1e-6)
        };
        let differing = self.answered.iter().filter(differs);
        differing
            .map(|(sample, text, _)| format!("{} ({text:?})", sample.id))
            .collect()
    }

    /// Mean of the scores that the file gives its answers, in percent; `None` where an answer has
    /// no score.
    pub(super) fn mean_of_file(&self, file: &AnswerFile) -> Option<f64> {
        let mut mean = GroupScore::default();
        for answer in &file.answers {
            mean.add(answer.score?);
        }
        mean.percent()
    }

    /// Counts of yes and no over all answers.
    fn counts(&self, parse: fn(&str) -> YesNo) -> YesNoCounts {
        let mut counts = YesNoCounts::default();
        for (sample, text, _) in &self.answered {
            // Loading has checked that gold labels are yes or no.
            let _ = counts.add(parse(text), gold(sample));
        }
        counts
    }
}

/// A rate computed from counts of yes and no.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rate {
    F1,
    Precision,
    Recall,
}

/// Definition of a metric.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    /// Mean score by a rule, in percent.
    Mean(AnswerRule),
    /// Mean score by a rule over the questions of one family, in percent.
    MeanOf(AnswerRule, &'static str),
    /// Number of right answers by a rule.
    Right(AnswerRule),
    /// A rate of yes/no answers pooled over all categories, in percent; 0 where it is undefined.
    YesNo(Rate, fn(&str) -> YesNo),
    /// Sum of MME's scores over those of these tasks that are present.
    Mme(&'static [&'static str], fn(&str) -> YesNo),
    /// MMBench's questions that are right in every rotation, in percent.
    Circular(AnswerRule),
    /// A metric that isn't computed here, with the reason.
    Other(&'static str),
}

impl Measure {
    /// Name of our figure; `None` if there is none.
    pub(super) fn name(self) -> Option<String> {
        Some(match self {
            Measure::Mean(rule) => format!("{} ({rule})", rule.measure()),
            Measure::MeanOf(rule, family) => format!("{family}: {} ({rule})", rule.measure()),
            Measure::Right(rule) => format!("right answers ({rule})"),
            Measure::YesNo(Rate::F1, _) => "pooled F1".to_owned(),
            Measure::YesNo(Rate::Precision, _) => "pooled precision".to_owned(),
            Measure::YesNo(Rate::Recall, _) => "pooled recall".to_owned(),
            Measure::Mme(..) => "sum of the tasks' scores".to_owned(),
            Measure::Circular(rule) => format!("circular ({rule})"),
            Measure::Other(_) => return None,
        })
    }

    /// The rule, if the metric is its mean over all questions.
    pub(super) fn mean_rule(self) -> Option<AnswerRule> {
        match self {
            Measure::Mean(rule) => Some(rule),
            _ => None,
        }
    }

    /// The part that a judge may have decided.
    pub(super) fn judge(self, task: Option<&str>) -> Option<&'static str> {
        let has_judge = !task.is_some_and(|task| task.ends_with("_static"));
        match self {
            Measure::Circular(_) | Measure::Mean(AnswerRule::ChoiceVlmevalkit) if has_judge => {
                Some(
                    "they may have asked a judge model to read answers without a letter; no judge is used here, and such answers count as wrong",
                )
            }
            _ => None,
        }
    }

    /// Why our figure is undefined.
    pub(super) fn why_none(self, asked: &Asked<'_>) -> String {
        match self {
            Measure::Other(because) => because.to_owned(),
            Measure::Mme(..) if asked.num_answered() > 0 => {
                "an image has not both of its answers here, or no task is one of these".to_owned()
            }
            _ => "no question that it is over is answered here".to_owned(),
        }
    }

    pub(super) fn value(self, asked: &Asked<'_>) -> Option<f64> {
        let mean = |rule: AnswerRule, family: Option<&str>| {
            let mut mean = GroupScore::default();
            for (sample, text, _) in &asked.answered {
                if family.is_none_or(|family| sample.family == family) {
                    mean.add(sample.score(rule, text));
                }
            }
            mean
        };
        match self {
            Measure::Mean(rule) => mean(rule, None).percent(),
            Measure::MeanOf(rule, family) => mean(rule, Some(family)).percent(),
            Measure::Right(rule) => Some(mean(rule, None).sum),
            Measure::YesNo(rate, parse) => {
                let counts = asked.counts(parse);
                let value = match rate {
                    Rate::F1 => counts.f1(),
                    Rate::Precision => counts.precision(),
                    Rate::Recall => counts.recall(),
                };
                (counts.total() > 0).then(|| 100.0 * value.unwrap_or(0.0))
            }
            Measure::Mme(tasks, parse) => mme(asked, tasks, parse),
            Measure::Circular(rule) => circular(asked, rule),
            Measure::Other(_) => None,
        }
    }
}

fn mme(asked: &Asked<'_>, tasks: &[&str], parse: fn(&str) -> YesNo) -> Option<f64> {
    let mut by_task: BTreeMap<&str, Vec<MmeAnswer<'_>>> = BTreeMap::new();
    for (sample, text, _) in &asked.answered {
        if tasks.contains(&sample.family.as_str()) {
            by_task.entry(&sample.family).or_default().push(MmeAnswer {
                image: &sample.image_id,
                gold: gold(sample),
                said: parse(text),
            });
        }
    }
    if by_task.is_empty() {
        return None;
    }
    let score = |answers: &Vec<MmeAnswer<'_>>| MmeTask::count(answers, MmePairing::ByImage).ok();
    by_task
        .values()
        .map(|answers| Some(score(answers)?.score()))
        .sum()
}

fn circular(asked: &Asked<'_>, rule: AnswerRule) -> Option<f64> {
    let (samples, scores): (Vec<Sample>, Vec<f64>) = asked
        .answered
        .iter()
        .map(|(sample, text, _)| ((*sample).clone(), sample.score(rule, text)))
        .unzip();
    let answered = Dataset {
        samples,
        text_only: Vec::new(),
        ..asked.dataset.clone()
    };
    mmbench_report(&answered, &scores).ok()?.circular.percent()
}
