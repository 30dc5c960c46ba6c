//! "Unanswerable" for nearly every question: a model with fewer tokens may score higher that way.

use super::answers::Answers;
use super::level::of_one;
use super::{Check, CheckResult, percent};

/// Threshold. If nine of ten answers say it, at most a tenth of the score can come from the image.
const NEARLY_ALL: f64 = 0.9;

pub(super) const CHECK: Check = Check {
    name: "unanswerable",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    let (count, example) = answers.count(|answered| is_unanswerable(&answered.normalized));
    let of = answers.all.len();
    let right = answers.share_of(|answered| {
        let truth = answered.question.truth.as_deref();
        truth.is_some_and(is_unanswerable)
    });
    CheckResult {
        count,
        of,
        example,
        level: of_one(count, of, right, NEARLY_ALL),
        sentence: format!(
            "{count} of {of} answers are \"unanswerable\", which is right for {} of the questions",
            percent(right)
        ),
    }
}

/// VizWiz's answer for insufficient pictures, in lower case.
pub(super) fn is_unanswerable(normalized: &str) -> bool {
    matches!(
        normalized,
        "unanswerable" | "unsuitable" | "unsuitable image"
    )
}
