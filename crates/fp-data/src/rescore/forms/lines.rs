//! JSON lines as LLaVA writes them: `question_id`, `prompt`, `text`.

use std::path::Path;

use serde::Deserialize;

use super::{Form, Opened};
use crate::dataset::Problems;
use crate::dataset::lines::{for_each_line, parse};
use crate::dataset::llava::Id;
use crate::rescore::{Answer, AnswerFile, RescoreError};

pub(super) const FORM: Form = Form {
    name: ".jsonl as LLaVA writes it (question_id, prompt, text)",
    fits: |_, opened| matches!(opened, Opened::Lines(_)),
    read,
};

#[derive(Deserialize)]
struct Line {
    question_id: Id,
    #[serde(default)]
    prompt: Option<String>,
    /// LLaVA writes no such key; other programs write more than a name.
    #[serde(default)]
    image: Option<serde_json::Value>,
    text: String,
}

fn read(path: &Path, _: Opened) -> Result<AnswerFile, RescoreError> {
    let mut answers = Vec::new();
    let mut problems = Problems::default();
    for_each_line(path, |number, line| {
        if line.as_ref().is_ok_and(|line| line.trim().is_empty()) {
            return;
        }
        match line.and_then(parse::<Line>) {
            Ok(line) => answers.push(Answer {
                id: line.question_id.into_text(),
                prompt: line.prompt.filter(|prompt| !prompt.trim().is_empty()),
                image: line
                    .image
                    .as_ref()
                    .and_then(|name| name.as_str())
                    .map(str::to_owned),
                text: line.text,
                ..Answer::default()
            }),
            Err((kind, message)) => problems.add(number, kind, message),
        }
    })?;
    Ok(AnswerFile {
        path: path.to_owned(),
        answers,
        problems,
        ..AnswerFile::default()
    })
}
