//! Incomplete groups of questions that are scored together: MMBench's rotations, MME's pairs, GQA's
//! groups of similar questions.
//!
//! This is a note, not an error: the published MMBench has questions with four options and three
//! rows.

use std::collections::BTreeMap;

use super::answers::Answers;
use super::level::of_note;
use super::{Check, CheckResult, Example};
use crate::dataset::Benchmark;
use crate::metric::mmbench::ROTATION;
use crate::sample::Sample;

pub(super) const CHECK: Check = Check {
    name: "incomplete groups",
    look,
};

/// The members of a group that are there.
struct Group<'a> {
    first: &'a Sample,
    num_rows: usize,
    num_answered: usize,
    /// Whether the group is incomplete in the dataset itself.
    is_short: bool,
}

fn look(answers: &Answers<'_>) -> CheckResult {
    let what = match answers.benchmark {
        Some(Benchmark::Mmbench) => "questions with their rotations",
        Some(Benchmark::Mme) => "pairs of an image",
        Some(Benchmark::Gqa) => "groups of like questions",
        _ => return CheckResult::nothing("each question is scored on its own"),
    };
    let groups = groups(answers);
    let is_unanswered = |group: &&&Group<'_>| group.num_answered < group.num_rows;
    let incomplete: Vec<&Group<'_>> = groups
        .values()
        .filter(|group| group.is_short || group.num_answered < group.num_rows)
        .collect();
    let num_short = incomplete.iter().filter(|group| group.is_short).count();
    let num_unanswered = incomplete.iter().filter(is_unanswered).count();
    let (count, of) = (incomplete.len(), groups.len());
    let (short, unanswered) = match answers.benchmark {
        Some(Benchmark::Mmbench) => ("fewer rows than options", "a row unanswered"),
        Some(Benchmark::Mme) => ("one or more than two questions", "one unanswered"),
        _ => ("none", "a question unanswered"),
    };
    let parts = [(num_short, short), (num_unanswered, unanswered)];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} with {what}"))
        .collect();
    CheckResult {
        count,
        of,
        example: incomplete.first().map(|group| Example {
            id: group.first.id.clone(),
            text: None,
        }),
        level: of_note(count),
        sentence: format!(
            "{count} of {of} {what} are incomplete{}{}",
            if count > 0 { ": " } else { "" },
            parts.join(", ")
        ),
    }
}

fn groups<'a>(answers: &Answers<'a>) -> BTreeMap<String, Group<'a>> {
    let answered = answers.all.iter().map(|it| (it.sample, 1));
    let unanswered = answers.unanswered.iter().map(|sample| (*sample, 0));
    let mut groups: BTreeMap<String, Group<'a>> = BTreeMap::new();
    for (sample, answered) in answered.chain(unanswered) {
        let Some(key) = key(answers.benchmark, sample) else {
            continue;
        };
        let group = groups.entry(key).or_insert(Group {
            first: sample,
            num_rows: 0,
            num_answered: 0,
            is_short: false,
        });
        group.num_rows += 1;
        group.num_answered += answered;
        group.is_short = match answers.benchmark {
            Some(Benchmark::Mmbench) => group.num_rows < group.first.choices.len(),
            Some(Benchmark::Mme) => group.num_rows != 2,
            _ => false,
        };
    }
    groups
}

/// Key that the samples of a group share.
fn key(benchmark: Option<Benchmark>, sample: &Sample) -> Option<String> {
    match benchmark? {
        Benchmark::Mmbench => {
            let index: u64 = sample.id.parse().ok()?;
            Some((index % ROTATION).to_string())
        }
        Benchmark::Mme => Some(format!("{}\n{}", sample.family, sample.image_id)),
        Benchmark::Gqa => sample.keys.get("group").cloned(),
        _ => None,
    }
}
