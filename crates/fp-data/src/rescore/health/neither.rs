//! Answers to yes/no questions that are neither.

use super::answers::Answers;
use super::reading::yes_no;
use super::{Check, CheckResult};
use crate::metric::{AnswerRule, YesNo};

pub(super) const CHECK: Check = Check {
    name: "neither yes nor no",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    let rule = answers.rule;
    if !rule.is_yes_no() {
        return CheckResult::nothing("answers aren't yes or no");
    }
    let what = match rule {
        AnswerRule::Pope => "say neither yes nor no; pope counts them as yes".to_owned(),
        _ => format!("are neither yes nor no to {rule} and count as wrong"),
    };
    answers.losses(&what, |answered| !is_read(rule, answered.text))
}

/// Whether a rule can read yes or no from a text. POPE's rule reads yes wherever it finds no "no".
pub(super) fn is_read(rule: AnswerRule, text: &str) -> bool {
    match (rule, yes_no(rule, text)) {
        (AnswerRule::Pope, Some(YesNo::Yes)) => has_word(text),
        (_, said) => said != Some(YesNo::Other),
    }
}

/// Whether a text contains one of the words yes, no and not, in any case.
fn has_word(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    words.any(|word| matches!(word, "yes" | "no" | "not"))
}
