//! Answers with their questions, in the form that checks need.

use super::level::of_losses;
use super::{CheckResult, Example, example};
use crate::dataset::Benchmark;
use crate::metric::AnswerRule;
use crate::sample::Sample;

/// A question with precomputed values that checks compare answers with; independent of the answers.
#[derive(Debug)]
pub struct QuestionFacts<'a> {
    pub(super) sample: &'a Sample,
    /// The most frequent reference answer, normalised; of equally frequent ones the first.
    pub(super) truth: Option<String>,
    /// Number of words of the longest reference; `None` without references.
    pub(super) longest: Option<usize>,
}

impl<'a> QuestionFacts<'a> {
    /// Computes these values once for `sample`.
    pub fn new(sample: &'a Sample) -> QuestionFacts<'a> {
        let references = sample.answers.iter();
        QuestionFacts {
            sample,
            truth: truth(sample),
            longest: references.map(|answer| num_words(answer)).max(),
        }
    }
}

/// A question with its answer.
pub(super) struct Answered<'a> {
    pub(super) sample: &'a Sample,
    pub(super) question: &'a QuestionFacts<'a>,
    pub(super) text: &'a str,
    /// The text, normalised for counting repetitions.
    pub(super) normalized: String,
    /// Score from 0 to 1, by the dataset's own rule.
    pub(super) score: f64,
}

/// All answers that are checked.
pub(super) struct Answers<'a> {
    pub(super) rule: AnswerRule,
    pub(super) other_rules: Vec<AnswerRule>,
    /// `None` for answers of a study, which may ask only some of the questions.
    pub(super) benchmark: Option<Benchmark>,
    pub(super) all: Vec<Answered<'a>>,
    /// Questions without an answer.
    pub(super) unanswered: Vec<&'a Sample>,
    /// Number of answers to unknown questions.
    pub(super) num_unknown: usize,
    pub(super) first_unknown: Option<&'a str>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(
        rule: AnswerRule,
        other_rules: Vec<AnswerRule>,
        questions: &'a [QuestionFacts<'a>],
        said: impl Iterator<Item = (Option<&'a str>, f64)>,
    ) -> Answers<'a> {
        let mut answers = Answers {
            rule,
            other_rules,
            benchmark: None,
            all: Vec::new(),
            unanswered: Vec::new(),
            num_unknown: 0,
            first_unknown: None,
        };
        for (question, (text, score)) in questions.iter().zip(said) {
            match text {
                Some(text) => answers.all.push(Answered {
                    sample: question.sample,
                    question,
                    text,
                    normalized: normalized(text),
                    score,
                }),
                None => answers.unanswered.push(question.sample),
            }
        }
        answers
    }

    /// Number of answers that satisfy `is_such`, and the first one.
    pub(super) fn count(
        &self,
        is_such: impl Fn(&Answered<'a>) -> bool,
    ) -> (usize, Option<Example>) {
        let mut such = self.all.iter().filter(|answered| is_such(answered));
        match such.next() {
            Some(first) => (1 + such.count(), Some(example(first))),
            None => (0, None),
        }
    }

    /// Share of questions that satisfy `holds`, 0 to 1; 0 without questions.
    pub(super) fn share_of(&self, holds: impl Fn(&Answered<'a>) -> bool) -> f64 {
        let count = self.all.iter().filter(|answered| holds(answered)).count();
        count as f64 / self.all.len().max(1) as f64
    }

    /// Result of a check that counts answers that score nothing because `is_such` holds.
    pub(super) fn losses(
        &self,
        what: &str,
        is_such: impl Fn(&Answered<'a>) -> bool,
    ) -> CheckResult {
        let (count, example) = self.count(is_such);
        let of = self.all.len();
        CheckResult {
            count,
            of,
            example,
            level: of_losses(count, of),
            sentence: format!("{count} of {of} answers {what}"),
        }
    }
}

/// Normalises an answer for counting repetitions: lower case, without surrounding white space and
/// full stops.
fn normalized(text: &str) -> String {
    text.trim().trim_end_matches('.').trim_end().to_lowercase()
}

pub(super) fn num_words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn truth(sample: &Sample) -> Option<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for answer in &sample.answers {
        let answer = normalized(answer);
        match counts.iter_mut().find(|(known, _)| *known == answer) {
            Some((_, count)) => *count += 1,
            None => counts.push((answer, 1)),
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max()?;
    let first = counts.into_iter().find(|(_, count)| *count == most);
    first.map(|(answer, _)| answer)
}
