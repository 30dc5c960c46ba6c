//! Answers to questions that the dataset doesn't have. They don't affect scores.

use super::answers::Answers;
use super::level::of_note;
use super::{Check, CheckResult, Example, shortened};

pub(super) const CHECK: Check = Check {
    name: "unknown ids",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    let count = answers.num_unknown;
    let of = answers.all.len() + count;
    CheckResult {
        count,
        of,
        example: answers.first_unknown.map(|id| Example {
            id: shortened(id),
            text: None,
        }),
        level: of_note(count),
        sentence: format!("{count} of {of} answers belong to no question and are ignored"),
    }
}
