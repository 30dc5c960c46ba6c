//! Questions without an answer, which count as wrong.

use super::answers::Answers;
use super::level::of_losses;
use super::{Check, CheckResult, Example};

pub(super) const CHECK: Check = Check {
    name: "missing answers",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    let count = answers.unanswered.len();
    let of = answers.all.len() + count;
    let first = answers.unanswered.first();
    CheckResult {
        count,
        of,
        example: first.map(|sample| Example {
            id: sample.id.clone(),
            text: None,
        }),
        level: of_losses(count, of),
        sentence: format!("{count} of {of} questions have no answer and count as wrong"),
    }
}
