//! Checks on the answers of a file, beside their figures: whether a score reflects the model, or a
//! single answer to every question, words that no rule parses, or a leaked prompt.
//!
//! One file per check, and one line each in the list below. A check counts answers and rates the
//! severity: [`Level::Loud`] only where it explains the score.

mod answers;
mod empty;
mod incomplete_groups;
mod level;
mod longer;
mod missing;
mod neither;
mod not_bare;
mod not_inferable;
mod one_answer;
mod one_label;
mod prompt_leak;
mod reading;
mod refusal;
mod rules_differ;
#[cfg(test)]
mod tests;
mod unanswerable;
mod unknown;

pub use answers::QuestionFacts;
pub use level::Level;

use self::answers::{Answered, Answers};
use super::Joined;
use crate::dataset::{Benchmark, Dataset};
use crate::metric::AnswerRule;

/// Every check, in the order in which equally severe findings are reported.
const CHECKS: [Check; 14] = [
    one_label::CHECK,
    one_answer::CHECK,
    neither::CHECK,
    not_inferable::CHECK,
    unanswerable::CHECK,
    missing::CHECK,
    longer::CHECK,
    rules_differ::CHECK,
    prompt_leak::CHECK,
    refusal::CHECK,
    empty::CHECK,
    not_bare::CHECK,
    incomplete_groups::CHECK,
    unknown::CHECK,
];

/// Most characters of an answer that are quoted.
const MOST_QUOTED: usize = 40;

/// A check: its name and its function.
struct Check {
    name: &'static str,
    look: fn(&Answers<'_>) -> CheckResult,
}

/// Result of a check.
struct CheckResult {
    count: usize,
    of: usize,
    example: Option<Example>,
    level: Level,
    sentence: String,
}

impl CheckResult {
    /// Result of a check that doesn't apply.
    fn nothing(why: &str) -> CheckResult {
        CheckResult {
            count: 0,
            of: 0,
            example: None,
            level: Level::Fine,
            sentence: why.to_owned(),
        }
    }
}

/// Findings about the answers to a dataset's questions.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Health {
    /// Number of answers that were checked.
    pub num_answers: usize,
    /// One entry per check, including those that found nothing; loud ones come first.
    pub checks: Vec<Finding>,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Finding {
    /// Name of the check.
    pub name: &'static str,
    /// Number of cases.
    pub count: usize,
    /// Number of answers, questions or groups that were checked; 0 where the check doesn't apply.
    pub of: usize,
    /// `count` divided by `of`, 0 to 1; `None` where the check doesn't apply.
    pub share: Option<f64>,
    /// The first case.
    pub example: Option<Example>,
    /// Its severity.
    pub level: Level,
    /// The finding as a sentence, without a full stop.
    pub sentence: String,
}

/// The first case of a finding.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Example {
    /// Id of its question.
    pub id: String,
    /// The answer, truncated after 40 characters; `None` where there is none.
    pub text: Option<String>,
}

impl Finding {
    /// Whether the finding is that one answer is given to nearly every question.
    pub fn is_of_one_answer(&self) -> bool {
        let checks = [one_label::CHECK, one_answer::CHECK, unanswerable::CHECK];
        checks.iter().any(|check| check.name == self.name)
    }
}

impl Health {
    /// Checks the answers of a file: `texts`, `[questions]`, and their scores by the dataset's own
    /// rule.
    pub(super) fn new(
        dataset: &Dataset,
        texts: &[Option<String>],
        scores: &[f64],
        joined: &Joined,
    ) -> Health {
        let said = texts
            .iter()
            .map(Option::as_deref)
            .zip(scores.iter().copied());
        let questions: Vec<QuestionFacts<'_>> =
            dataset.samples.iter().map(QuestionFacts::new).collect();
        let mut answers = Answers::new(
            dataset.answer_rule,
            other_rules(dataset.answer_rule, Some(dataset.benchmark)),
            &questions,
            said,
        );
        answers.benchmark = Some(dataset.benchmark);
        answers.num_unknown = joined.num_unknown;
        answers.first_unknown = joined.unknown.first().map(String::as_str);
        Health::of_answers(&answers)
    }

    /// Checks the answers `said`, `[questions]`, each with its score by `rule`; `None` where the
    /// question wasn't asked or has no answer, which is no finding here. Other evaluators' rules
    /// are tried except those of VQA, which clean ten references per answer and would take longer
    /// than the rest of a report.
    pub fn of_samples<'a>(
        rule: AnswerRule,
        questions: &'a [QuestionFacts<'a>],
        said: impl Iterator<Item = Option<(&'a str, f64)>>,
    ) -> Health {
        let said = said.map(|said| (said.map(|(text, _)| text), said.map_or(0.0, |(_, s)| s)));
        let mut others = other_rules(rule, None);
        others.retain(|rule| !rule.is_vqa());
        let mut answers = Answers::new(rule, others, questions, said);
        answers.unanswered.clear();
        Health::of_answers(&answers)
    }

    fn of_answers(answers: &Answers<'_>) -> Health {
        let mut checks: Vec<Finding> = CHECKS
            .iter()
            .map(|check| {
                let seen = (check.look)(answers);
                Finding {
                    name: check.name,
                    count: seen.count,
                    of: seen.of,
                    share: (seen.of > 0).then(|| share(seen.count, seen.of)),
                    example: seen.example,
                    level: seen.level,
                    sentence: seen.sentence,
                }
            })
            .collect();
        checks.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        Health {
            num_answers: answers.all.len(),
            checks,
        }
    }

    /// The findings that explain the score.
    pub fn loud(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().filter(|it| it.level == Level::Loud)
    }

    /// The findings to report, loud ones first.
    pub fn told(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().filter(|it| it.level != Level::Fine)
    }
}

/// Other evaluators' rules for the questions that `rule` scores, without `vqa_official_raw`: it
/// always fails unanimous questions on upper case, whatever the answers.
fn other_rules(rule: AnswerRule, benchmark: Option<Benchmark>) -> Vec<AnswerRule> {
    let is_scored_so = |benchmark: &Benchmark| benchmark.answer_rule() == Some(rule);
    let known = benchmark
        .filter(is_scored_so)
        .or_else(|| Benchmark::ALL.into_iter().find(is_scored_so));
    let rules = known.map_or(&[][..], Benchmark::other_rules);
    let rules = rules.iter().copied();
    rules
        .filter(|rule| *rule != AnswerRule::VqaOfficialRaw)
        .collect()
}

fn share(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

/// A share in percent, as text.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The beginning of a text, for quoting.
fn shortened(text: &str) -> String {
    let mut letters = text.chars();
    let mut short: String = letters.by_ref().take(MOST_QUOTED).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}

fn example(answered: &Answered<'_>) -> Example {
    Example {
        id: answered.sample.id.clone(),
        text: Some(shortened(answered.text)),
    }
}
