//! A JSON list as evaluation servers and official scripts expect it.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{Form, Opened};
use crate::dataset::llava::Id;
use crate::dataset::{ProblemKind, Problems};
use crate::rescore::{Answer, AnswerFile, RescoreError};

pub(super) const FORM: Form = Form {
    name: ".json for evaluation servers (a list of question_id and answer)",
    fits: |_, opened| matches!(opened, Opened::Json(Value::Array(_))),
    read,
};

#[derive(Deserialize)]
struct Entry {
    #[serde(alias = "questionId", alias = "image")]
    question_id: Id,
    #[serde(alias = "prediction")]
    answer: String,
}

fn read(path: &Path, opened: Opened) -> Result<AnswerFile, RescoreError> {
    let entries = match opened {
        Opened::Json(Value::Array(entries)) => entries,
        _ => Vec::new(),
    };
    let mut answers = Vec::new();
    let mut problems = Problems::of("entry");
    for (entry, number) in entries.into_iter().zip(1..) {
        match serde_json::from_value::<Entry>(entry) {
            Ok(entry) => answers.push(Answer {
                id: entry.question_id.into_text(),
                text: entry.answer,
                ..Answer::default()
            }),
            Err(error) => problems.add(number, ProblemKind::of_json(&error), error.to_string()),
        }
    }
    Ok(AnswerFile {
        path: path.to_owned(),
        answers,
        problems,
        ..AnswerFile::default()
    })
}
