//! Answers that other evaluators score differently: the score then depends on the evaluator.

use rayon::prelude::*;

use super::answers::{Answered, Answers};
use super::level::{COSTLY, FEW, Level, of_note};
use super::{Check, CheckResult, example, percent};
use crate::metric::AnswerRule;

/// Scores that differ by less are equal.
const SAME: f64 = 1e-9;

pub(super) const CHECK: Check = Check {
    name: "rules differ",
    look,
};

fn look(answers: &Answers<'_>) -> CheckResult {
    if answers.other_rules.is_empty() {
        return CheckResult::nothing("no other evaluator's rule is known");
    }
    let by = |rule: AnswerRule| -> Vec<f64> {
        let all = answers.all.par_iter();
        all.map(|it: &Answered<'_>| it.sample.score(rule, it.text))
            .collect()
    };
    let of = answers.all.len();
    let mean = |scores: &mut dyn Iterator<Item = f64>| scores.sum::<f64>() / of.max(1) as f64;
    let own = mean(&mut answers.all.iter().map(|answered| answered.score));
    let mut differs = vec![false; of];
    let mut farthest: Option<(AnswerRule, f64)> = None;
    for &rule in &answers.other_rules {
        let scores = by(rule);
        for ((differs, answered), score) in differs.iter_mut().zip(&answers.all).zip(&scores) {
            *differs |= (answered.score - score).abs() > SAME;
        }
        let other = mean(&mut scores.iter().copied());
        if farthest.is_none_or(|(_, known)| (other - own).abs() > (known - own).abs()) {
            farthest = Some((rule, other));
        }
    }
    let count = differs.iter().filter(|differs| **differs).count();
    let first = differs.iter().position(|differs| *differs);
    let shift = farthest.map_or(0.0, |(_, other)| (other - own).abs());
    let effect = farthest.map(|(rule, other)| {
        format!(
            ": {} right by {}, {} by {rule}",
            percent(own),
            answers.rule,
            percent(other)
        )
    });
    CheckResult {
        count,
        of,
        example: first.map(|first| example(&answers.all[first])),
        level: if of >= FEW && shift >= COSTLY {
            Level::Loud
        } else {
            of_note(count)
        },
        sentence: format!(
            "evaluators score {count} of {of} answers differently{}",
            effect.filter(|_| count > 0).unwrap_or_default()
        ),
    }
}
