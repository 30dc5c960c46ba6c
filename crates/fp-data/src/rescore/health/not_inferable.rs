//! Answers to choices from which no letter can be inferred.

use super::answers::Answers;
use super::reading::letter;
use super::{Check, CheckResult};

pub(super) const CHECK: Check = Check {
    name: "not inferable",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    let rule = answers.rule;
    if !rule.is_choice() {
        return CheckResult::nothing("answers are not option letters");
    }
    let what = format!("name no option that {rule} recognises and count as wrong");
    answers.losses(&what, |answered| {
        letter(rule, answered.text, answered.sample).is_none()
    })
}
