//! Answers with more words than any reference: sentences where single words are expected.

use super::answers::{Answered, Answers, num_words};
use super::level::{Level, is_share, of_note};
use super::{Check, CheckResult};
use crate::metric::AnswerRule;

/// Threshold. Unpruned, one in twenty of LLaVA-1.5's answers to TextVQA has a word too many; with a
/// quarter of them, the model answers in sentences.
const OFTEN: f64 = 0.25;

pub(super) const CHECK: Check = Check {
    name: "longer than references",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    if !compares_words(answers.rule) {
        return CheckResult::nothing("answers aren't compared with references word for word");
    }
    let (count, example) = answers.count(is_longer);
    let is_lost = |answered: &Answered<'_>| is_longer(answered) && answered.score == 0.0;
    let (num_lost, _) = answers.count(is_lost);
    let of = answers.all.len();
    let level = if is_share(num_lost, of, OFTEN) {
        Level::Loud
    } else {
        of_note(count)
    };
    let mut sentence = format!(
        "{count} of {of} answers have more words than any reference, and {num_lost} of them \
         score 0"
    );
    if level == Level::Loud {
        sentence += ": sentences where single words are expected";
    }
    CheckResult {
        count,
        of,
        example,
        level,
        sentence,
    }
}

fn compares_words(rule: AnswerRule) -> bool {
    let is_gqa = matches!(
        rule,
        AnswerRule::Gqa | AnswerRule::GqaLmmsEval | AnswerRule::GqaVlmevalkit
    );
    rule.is_vqa() || is_gqa || rule == AnswerRule::Exact
}

fn is_longer(answered: &Answered<'_>) -> bool {
    let longest = answered.question.longest;
    longest.is_some_and(|longest| num_words(answered.text) > longest)
}
