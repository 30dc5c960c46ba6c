//! What a file's answers are like, beside their figures: whether a score says something of
//! the model, or of one answer to everything, of words that no rule reads, of a prompt that
//! leaked.
//!
//! One file per check, and one line each in the registry below. A check counts answers and
//! says how much that matters: [`Level::Loud`] only where it explains the score.

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

/// Every check, in the order in which equally loud findings are told.
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

/// Most letters of an answer that are quoted.
const MOST_QUOTED: usize = 40;

/// One way of looking at answers.
struct Check {
    name: &'static str,
    look: fn(&Answers<'_>) -> CheckResult,
}

/// What a check saw.
struct CheckResult {
    count: usize,
    of: usize,
    example: Option<Example>,
    level: Level,
    sentence: String,
}

impl CheckResult {
    /// Where there is nothing that a check could look at.
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

/// What the answers to a dataset's questions are like.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Health {
    /// Answers that were looked at.
    pub num_answers: usize,
    /// One entry per check, those without any case too; the loud ones come first.
    pub checks: Vec<Finding>,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Finding {
    /// The check.
    pub name: &'static str,
    /// Cases.
    pub count: usize,
    /// Of how many answers, questions or groups; 0 where the check doesn't apply.
    pub of: usize,
    /// `count` of `of`, 0 to 1; none where the check doesn't apply.
    pub share: Option<f64>,
    /// The first case.
    pub example: Option<Example>,
    /// How much it matters.
    pub level: Level,
    /// All of this in a sentence, without a full stop.
    pub sentence: String,
}

/// The first answer of a kind.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Example {
    /// Its question.
    pub id: String,
    /// What was said, cut after 40 letters; none where nothing was.
    pub text: Option<String>,
}

impl Finding {
    /// Whether it says that one answer is given to nearly everything.
    pub fn is_of_one_answer(&self) -> bool {
        let checks = [one_label::CHECK, one_answer::CHECK, unanswerable::CHECK];
        checks.iter().any(|check| check.name == self.name)
    }
}

impl Health {
    /// Looks at the answers of a file: `texts`, `[questions]`, and their scores by the dataset's
    /// own rule.
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

    /// Looks at what was said to `questions`, `[questions]`: the text and its score by `rule`;
    /// none where it wasn't asked for or there is no answer, which is no finding here.
    /// Other evaluators' rules are tried but for those of VQA, which clean ten references
    /// per answer and would take longer than the rest of a report.
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

    /// What explains a score.
    pub fn loud(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().filter(|it| it.level == Level::Loud)
    }

    /// What is to be said at all, the loud before the rest.
    pub fn told(&self) -> impl Iterator<Item = &Finding> {
        self.checks.iter().filter(|it| it.level != Level::Fine)
    }
}

/// Other evaluators' rules for what `rule` scores. `vqa_official_raw` is left out: it is
/// known to fail unanimous questions on upper case, whatever the answers are like.
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

/// A share in percent, for sentences.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// The beginning of a text.
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
