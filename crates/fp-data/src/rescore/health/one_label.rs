//! One label (yes, no or a letter) for nearly every question: the score is then the share of
//! questions for which it is right.

use std::collections::BTreeMap;

use super::answers::Answers;
use super::level::of_one;
use super::reading::label;
use super::{Check, CheckResult, example, percent};

/// Threshold. If nineteen of twenty answers are equal, at most a twentieth of the score can depend
/// on the question.
const NEARLY_ALL: f64 = 0.95;

pub(super) const CHECK: Check = Check {
    name: "one label",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    let rule = answers.rule;
    if !rule.is_yes_no() && !rule.is_choice() {
        return CheckResult::nothing("answers are not labels");
    }
    let labels: Vec<Option<String>> = answers
        .all
        .iter()
        .map(|answered| label(rule, answered.text, answered.sample))
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for label in labels.iter().flatten() {
        *counts.entry(label).or_default() += 1;
    }
    // Picks the first of equally frequent labels; `max_by_key` would take the last.
    let most = counts.iter().rev().max_by_key(|(_, count)| **count);
    let Some((&most, &count)) = most else {
        return CheckResult {
            of: answers.all.len(),
            ..CheckResult::nothing("no answer has a label")
        };
    };
    let of = answers.all.len();
    let right = answers.share_of(|answered| {
        let mut golds = answered.sample.answers.iter();
        golds.any(|gold| gold.trim().eq_ignore_ascii_case(most))
    });
    let first = labels
        .iter()
        .position(|label| label.as_deref() == Some(most));
    let sentence = if count == of {
        format!(
            "all {of} answers are {most}, which is right for {} of the questions: a model that \
             always says {most} gets this score",
            percent(right)
        )
    } else {
        format!(
            "{count} of {of} answers are {most}, which is right for {} of the questions",
            percent(right)
        )
    };
    CheckResult {
        count,
        of,
        example: first.map(|first| example(&answers.all[first])),
        level: of_one(count, of, right, NEARLY_ALL),
        sentence,
    }
}
