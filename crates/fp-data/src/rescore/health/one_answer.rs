//! The same text for nearly every question.

use std::collections::BTreeMap;

use super::answers::Answers;
use super::level::{Level, of_one};
use super::reading::label;
use super::unanswerable::is_unanswerable;
use super::{Check, CheckResult, example, percent, shortened};

/// Threshold. Free text has many possible values, so nine equal answers in ten are no coincidence.
const NEARLY_ALL: f64 = 0.9;

pub(super) const CHECK: Check = Check {
    name: "one answer",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    let texts = || {
        let all = answers.all.iter();
        all.map(|answered| answered.normalized.as_str())
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for text in texts().filter(|text| !text.is_empty()) {
        *counts.entry(text).or_default() += 1;
    }
    let of = answers.all.len();
    let most = counts.iter().rev().max_by_key(|(_, count)| **count);
    let Some((&most, &count)) = most else {
        return CheckResult {
            of,
            ..CheckResult::nothing("no answer has any text")
        };
    };
    let first = texts().position(|text| text == most);
    let first = first.map(|first| &answers.all[first]);
    let right = answers.share_of(|answered| answered.question.truth.as_deref() == Some(most));
    // Other checks count these.
    let is_label = first.is_some_and(|first| {
        label(answers.rule, first.text, first.sample).is_some()
            && super::neither::is_read(answers.rule, first.text)
    });
    let level = if is_label || is_unanswerable(most) {
        Level::Fine
    } else {
        of_one(count, of, right, NEARLY_ALL)
    };
    CheckResult {
        count,
        of,
        example: first.map(example),
        level,
        sentence: format!(
            "{count} of {of} answers are {:?}, which is right for {} of the questions",
            shortened(most),
            percent(right)
        ),
    }
}
