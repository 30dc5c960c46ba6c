//! Warnings and notes about matching answers to questions.

use super::{Joined, JoinedBy};
use crate::rescore::{AnswerFile, Origin};

/// Adds the warning that ids were not trusted.
pub(super) fn elsewhere(joined: &mut Joined, num_contradicted: usize, count: usize) {
    let by = match joined.by {
        JoinedBy::QuestionId => "question_id",
        JoinedBy::Question => "the text of the question, which only one has",
        JoinedBy::ImageAndQuestion => "image and text of the question, which only one has",
        JoinedBy::CategoryAndPlace => "category and position in it, where every prompt agrees",
        JoinedBy::Place => "their position in the file, where every prompt agrees",
        JoinedBy::Row => "the row that the file states, where every prompt agrees",
    };
    let because = match num_contradicted {
        0 => format!("the ids of the {count} answers are not those of the questions"),
        1 => "1 answer has the id of another question than its prompt's".to_owned(),
        many => format!("{many} answers have ids of other questions than their prompts'"),
    };
    joined.warnings.push(format!("{because}; joined by {by}"));
}

/// Adds all warnings for readers of the figures.
pub(super) fn add(joined: &mut Joined, file: &AnswerFile) {
    let mut warnings = std::mem::take(&mut joined.warnings);
    let mut warn = |count: usize, what: &str, named: &[String]| {
        if count > 0 {
            let more = if named.len() < count { ", …" } else { "" };
            warnings.push(format!("{count} {what}: {}{more}", named.join(", ")));
        }
    };
    let of = format!(
        "of {} questions have no answer and count as wrong",
        joined.num_questions
    );
    let num_missing = joined.num_questions - joined.num_answered;
    warn(num_missing, &of, &joined.missing);
    warn(
        joined.num_unknown,
        "answers belong to no question and are ignored",
        &joined.unknown,
    );
    warn(
        joined.num_duplicate,
        "answers are to a question answered earlier and are ignored",
        &joined.duplicate,
    );
    warn(
        joined.num_other_prompts,
        "answers were given to another wording of the question",
        &joined.other_prompts,
    );
    warn(
        joined.num_by_order,
        "answers have an id that several questions share, and no prompt that identifies \
         one; they are assigned in the order of the questions",
        &joined.by_order,
    );
    let num_left = joined.num_text_only - joined.num_text_only_answered;
    if joined.num_text_only_answered > 0 && num_left > 0 {
        warnings.push(format!(
            "{num_left} of {} questions without an image have no answer and count as wrong in \
             the overall accuracy",
            joined.num_text_only
        ));
    }
    if !file.problems.is_empty() {
        warnings.push(unusable(file));
    }
    joined.warnings = warnings;
    if let Some(origin) = &file.origin {
        joined.notes.push(of_origin(origin, joined));
        joined.notes.extend(origin.notes.iter().cloned());
    }
    if joined.num_prompts == 0 && file.questions.is_none() {
        let note = "joined by question_id alone: no answer has a prompt that would confirm it";
        joined.notes.push(note.to_owned());
    }
}

/// How answers of another evaluator were matched to the questions, in words.
fn of_origin(origin: &Origin, joined: &Joined) -> String {
    let Origin { tool, ids, .. } = origin;
    let task = origin.task.as_deref();
    let task = task.map_or_else(String::new, |task| format!(" to {task}"));
    let how = match joined.by {
        JoinedBy::QuestionId if joined.num_prompts > 0 => {
            "joined by these ids, which no prompt contradicts"
        }
        JoinedBy::QuestionId => "joined by these ids",
        JoinedBy::Question => "joined by the text of the question, which only one has",
        JoinedBy::ImageAndQuestion => "joined by image and text of the question",
        JoinedBy::CategoryAndPlace => "joined by category and position in it; every prompt agrees",
        JoinedBy::Place => "joined by position, in the dataset's order; every prompt agrees",
        JoinedBy::Row => "joined by that row; every prompt agrees",
    };
    format!("answers of {tool}{task}: {ids}; {how}")
}

/// Warning about lines that can't be used. Problems in a folder name their file themselves.
fn unusable(file: &AnswerFile) -> String {
    let text = file.problems.to_string();
    if !file.path.is_dir() {
        return text;
    }
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default().to_owned();
    let rest = lines.map(|line| match line.split_once(": ") {
        Some((place, message)) if place.starts_with("  line ") => format!("\n  {message}"),
        _ => format!("\n{line}"),
    });
    std::iter::once(head).chain(rest).collect()
}
