//! Answers to yes/no questions with additional text: evaluators differ in how they read it.

use super::answers::{Answered, Answers};
use super::level::of_note;
use super::neither::is_read;
use super::{Check, CheckResult};
use crate::metric::YesNo;

pub(super) const CHECK: Check = Check {
    name: "not bare",
    look,
};

// A note at most: where evaluators disagree on such answers, the check of rules reports it.
// Unreadable answers are reported by their own check and not again here.
fn look(answers: &Answers<'_>) -> CheckResult {
    if !answers.rule.is_yes_no() {
        return CheckResult::nothing("answers aren't yes or no");
    }
    let is_such = |answered: &Answered<'_>| YesNo::from_label(answered.text).is_none();
    let is_readable =
        |answered: &Answered<'_>| is_such(answered) && is_read(answers.rule, answered.text);
    CheckResult {
        level: of_note(answers.count(is_readable).0),
        ..answers.losses("aren't a bare yes or no", is_such)
    }
}
