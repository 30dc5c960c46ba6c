//! Refusals and excuses.

use super::answers::Answers;
use super::{Check, CheckResult};

/// Beginnings of refusals, in lower case and with a straight apostrophe. Text read from a picture
/// may also begin with "Sorry", so an "I" must follow.
const BEGINNINGS: [&str; 11] = [
    "i'm sorry",
    "i am sorry",
    "sorry, i ",
    "sorry, but i ",
    "i cannot ",
    "i can't ",
    "i'm unable to",
    "i am unable to",
    "i'm not able to",
    "i am not able to",
    "as an ai",
];

/// Phrases that occur only in refusals, anywhere in the text.
const PHRASES: [&str; 4] = [
    "ai language model",
    "without the image provided",
    "cannot determine the answer",
    "i can't process this file",
];

pub(super) const CHECK: Check = Check {
    name: "refusals",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    answers.losses("refuse", |answered| is_refusal(answered.text))
}

fn is_refusal(text: &str) -> bool {
    let lower = text.trim().to_lowercase().replace('\u{2019}', "'");
    BEGINNINGS.iter().any(|start| lower.starts_with(start))
        || PHRASES.iter().any(|phrase| lower.contains(phrase))
}
