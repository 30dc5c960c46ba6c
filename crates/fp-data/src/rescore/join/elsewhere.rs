//! Answers whose ids are those of other questions, or of none.

use std::collections::HashMap;

use super::evidence::{Fit, Questions};
use super::{Joined, JoinedBy, Placement, name};
use crate::rescore::{Answer, AnswerFile};

/// LLaVA's first ids of POPE's categories.
const POPE_CATEGORIES: [(&str, u64); 3] = [
    ("adversarial", 1),
    ("random", 10_000_001),
    ("popular", 20_000_001),
];

/// Finds the questions without ids, in the first way that leaves nothing open.
pub(super) fn place(file: &AnswerFile, questions: &Questions<'_>) -> Option<Placement> {
    let by_question = || by_question(file, questions);
    by_question()
        .or_else(|| by_category_and_place(file, questions))
        .or_else(|| by_place(file, questions))
}

/// Counts what was joined anew.
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

/// Each prompt, with the image where the answer names it, is that of one question; at least
/// half of the answers are to one.
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

/// LLaVA's ids of POPE say the category and the place in it; each prompt is the question's
/// that stands there.
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

/// The file has an answer to each question, in the order of the questions; each prompt
/// is the question's in the same place.
fn by_place(file: &AnswerFile, questions: &Questions<'_>) -> Option<Placement> {
    if file.answers.len() != questions.samples.len() {
        return None;
    }
    let mut indices = 0..questions.samples.len();
    placed(file, questions, JoinedBy::Place, |_| indices.next())
}

/// Puts every answer where `index_of` says, if each prompt is that of the question there.
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
