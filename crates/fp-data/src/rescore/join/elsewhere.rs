//! Answers whose ids belong to other questions, or to none.

use std::collections::HashMap;

use super::evidence::{Fit, Questions};
use super::{Joined, JoinedBy, Placement, name};
use crate::rescore::{Answer, AnswerFile};

/// LLaVA's first id in each of POPE's categories.
const POPE_CATEGORIES: [(&str, u64); 3] = [
    ("adversarial", 1),
    ("random", 10_000_001),
    ("popular", 20_000_001),
];

/// Matches answers to questions without ids, by the first method that leaves no ambiguity.
pub(super) fn place(file: &AnswerFile, questions: &Questions<'_>) -> Option<Placement> {
    let by_question = || by_question(file, questions);
    by_question()
        .or_else(|| by_category_and_place(file, questions))
        .or_else(|| by_place(file, questions))
}

/// Recomputes the counts for this placement.
pub(super) fn count(file: &AnswerFile, placement: &Placement, joined: &mut Joined) {
    let mut is_taken = vec![false; file.answers.len()];
    for place in placement.answers.iter().flatten() {
        is_taken[*place] = true;
    }
    *joined = Joined {
        by: joined.by,
        num_questions: joined.num_questions,
        num_text_only: joined.num_text_only,
        num_prompts: joined.num_prompts,
        num_unusable: joined.num_unusable,
        ..Joined::default()
    };
    for (answer, is_taken) in file.answers.iter().zip(is_taken) {
        if !is_taken {
            joined.num_unknown += 1;
            name(&mut joined.unknown, &answer.id);
        }
    }
}

/// Counts answers whose prompt words the question differently.
pub(super) fn count_other_prompts(
    file: &AnswerFile,
    questions: &Questions<'_>,
    placement: &Placement,
    joined: &mut Joined,
) {
    for (index, place) in placement.answers.iter().enumerate() {
        let answer = place.map(|place| &file.answers[place]);
        if let Some(answer) = answer.filter(|answer| questions.fit(answer, index) == Fit::Reworded)
        {
            joined.num_other_prompts += 1;
            name(&mut joined.other_prompts, &answer.id);
        }
    }
}

/// By row: every answer has its row, and each prompt, and each right answer in the file, is that of
/// the question in that row, either of the `num_samples` questions on images or of those in the
/// answer's category.
pub(super) fn by_row(
    file: &AnswerFile,
    questions: &Questions<'_>,
    num_samples: usize,
) -> Option<Placement> {
    if file.answers.is_empty() || file.answers.iter().any(|answer| answer.row.is_none()) {
        return None;
    }
    let mut of_family: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, sample) in questions.samples[..num_samples].iter().enumerate() {
        of_family.entry(&sample.family).or_default().push(index);
    }
    let of_all = |answer: &Answer| answer.row.filter(|row| *row < num_samples);
    let in_family = |answer: &Answer| {
        let family = of_family.get(answer.family.as_deref()?)?;
        family.get(answer.row?).copied()
    };
    let is_right = |answer: &Answer, index: usize| questions.has_gold(answer, index);
    let by = JoinedBy::Row;
    let of_all = |answer: &Answer| of_all(answer).filter(|&index| is_right(answer, index));
    let in_family = |answer: &Answer| in_family(answer).filter(|&index| is_right(answer, index));
    placed(file, questions, by, of_all).or_else(|| placed(file, questions, by, in_family))
}

/// By text: each prompt, with the image where the answer names it, matches one question; at least
/// half of the answers match a question.
fn by_question(file: &AnswerFile, questions: &Questions<'_>) -> Option<Placement> {
    let mut answers = vec![None; questions.samples.len()];
    let mut num_placed = 0;
    for (place, answer) in file.answers.iter().enumerate() {
        match questions.told_by(answer)[..] {
            [] => {}
            [index] if answers[index].is_none() => {
                answers[index] = Some(place);
                num_placed += 1;
            }
            _ => return None,
        }
    }
    let is_most = num_placed > 0 && 2 * num_placed >= file.answers.len();
    let by = if file.answers.iter().any(|answer| answer.image.is_some()) {
        JoinedBy::ImageAndQuestion
    } else {
        JoinedBy::Question
    };
    is_most.then_some(Placement { by, answers })
}

/// By category and position: LLaVA's ids of POPE encode both; each prompt is that of the question
/// there.
fn by_category_and_place(file: &AnswerFile, questions: &Questions<'_>) -> Option<Placement> {
    let mut of_category: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, sample) in questions.samples.iter().enumerate() {
        of_category.entry(&sample.family).or_default().push(index);
    }
    let is_pope = POPE_CATEGORIES.map(|(name, _)| name);
    if of_category.keys().any(|name| !is_pope.contains(name)) {
        return None;
    }
    let index_of = |answer: &Answer| {
        let id: u64 = answer.id.parse().ok()?;
        let categories = POPE_CATEGORIES.iter();
        let (name, first) = categories.rev().find(|(_, first)| *first <= id)?;
        let place = usize::try_from(id - first).ok()?;
        of_category.get(name)?.get(place).copied()
    };
    placed(file, questions, JoinedBy::CategoryAndPlace, index_of)
}

/// By position: the file has one answer per question, in the order of the questions; each prompt is
/// that of the question at the same position.
fn by_place(file: &AnswerFile, questions: &Questions<'_>) -> Option<Placement> {
    if file.answers.len() != questions.samples.len() {
        return None;
    }
    let mut indices = 0..questions.samples.len();
    placed(file, questions, JoinedBy::Place, |_| indices.next())
}

/// Places every answer at `index_of`, if each prompt is that of the question there.
fn placed(
    file: &AnswerFile,
    questions: &Questions<'_>,
    by: JoinedBy,
    mut index_of: impl FnMut(&Answer) -> Option<usize>,
) -> Option<Placement> {
    let mut answers = vec![None; questions.samples.len()];
    for (place, answer) in file.answers.iter().enumerate() {
        let index = index_of(answer)?;
        let fit = questions.fit(answer, index);
        let is_told = answer.prompt.is_some() && matches!(fit, Fit::Same | Fit::Reworded);
        if !is_told || answers[index].replace(place).is_some() {
            return None;
        }
    }
    Some(Placement { by, answers })
}
