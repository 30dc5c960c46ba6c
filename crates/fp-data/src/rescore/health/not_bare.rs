//! Answers to yes-or-no questions with more in them than the word: evaluators differ in
//! what they make of the rest.

use super::answers::Answers;
use super::level::of_note;
use super::{Check, Seen};
use crate::metric::YesNo;

pub(super) const CHECK: Check = Check {
    name: "not bare",
    look,
};

// A note at most: where evaluators do part on such answers, the check of rules says so.
fn look(answers: &Answers<'_>) -> Seen {
    if !answers.rule.is_yes_no() {
        return Seen::nothing("answers aren't yes or no");
    }
    let seen = answers.losses("aren't a bare yes or no", |answered| {
        YesNo::from_label(answered.text).is_none()
    });
    Seen {
        level: of_note(seen.count),
        ..seen
    }
}
