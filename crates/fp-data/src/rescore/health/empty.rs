//! Empty answers, or answers of only white space.

use super::answers::Answers;
use super::{Check, CheckResult};

pub(super) const CHECK: Check = Check {
    name: "empty answers",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    answers.losses("are empty", |answered| answered.text.trim().is_empty())
}
