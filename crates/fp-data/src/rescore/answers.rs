//! Files of answers, in the forms that others write.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::RescoreError;
use super::tables::{mmbench_table, mme_folder};
use crate::dataset::encoding::read_text;
use crate::dataset::lines::{for_each_line, parse};
use crate::dataset::llava::Id;
use crate::dataset::{ProblemKind, Problems, Reading};

/// One answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The question's id, as the file has it.
    pub id: String,
    /// What was asked, where the file says it.
    pub prompt: Option<String>,
    /// The image's file, where the file of answers says it.
    pub image: Option<String>,
    /// What was said.
    pub text: String,
}

/// A file of answers.
#[derive(Debug, Clone)]
pub struct AnswerFile {
    /// The file or folder.
    pub path: PathBuf,
    /// Its answers, in order.
    pub answers: Vec<Answer>,
    /// Lines that can't be used.
    pub problems: Problems,
    /// The questions, where the file has them too: MME's and MMBench's forms do.
    pub questions: Option<Reading>,
}

#[derive(Deserialize)]
struct LlavaLine {
    question_id: Id,
    #[serde(default)]
    prompt: Option<String>,
    /// LLaVA writes none; others write more than a name.
    #[serde(default)]
    image: Option<serde_json::Value>,
    text: String,
}

/// Entries of the files that servers and official scripts take.
#[derive(Deserialize)]
struct ServerEntry {
    #[serde(alias = "questionId", alias = "image")]
    question_id: Id,
    #[serde(alias = "prediction")]
    answer: String,
}

impl AnswerFile {
    /// Reads a file in whichever form it is: LLaVA's JSON lines, a list of JSON such as
    /// servers take, a folder of MME's official tool, or a table of MMBench with a column
    /// `prediction`.
    ///
    /// # Errors
    /// A file that can't be read or is in no known form.
    pub fn read(path: &Path) -> Result<AnswerFile, RescoreError> {
        if path.is_dir() {
            return mme_folder(path);
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl") => read_lines(path),
            Some("json") => read_list(path),
            Some("tsv" | "xlsx") => mmbench_table(path),
            _ => Err(RescoreError::Form {
                path: path.to_owned(),
                reason: "no file of answers that is known by its name: .jsonl as LLaVA writes it, .json as servers take it, .tsv or .xlsx of MMBench, or a folder of MME's .txt files".to_owned(),
            }),
        }
    }
}

fn read_lines(path: &Path) -> Result<AnswerFile, RescoreError> {
    let mut answers = Vec::new();
    let mut problems = Problems::default();
    for_each_line(path, |number, line| {
        if line.as_ref().is_ok_and(|line| line.trim().is_empty()) {
            return;
        }
        match line.and_then(parse::<LlavaLine>) {
            Ok(line) => answers.push(Answer {
                id: line.question_id.into_text(),
                prompt: line.prompt.filter(|prompt| !prompt.trim().is_empty()),
                image: line
                    .image
                    .as_ref()
                    .and_then(|name| name.as_str())
                    .map(str::to_owned),
                text: line.text,
            }),
            Err((kind, message)) => problems.add(number, kind, message),
        }
    })?;
    Ok(AnswerFile {
        path: path.to_owned(),
        answers,
        problems,
        questions: None,
    })
}

fn read_list(path: &Path) -> Result<AnswerFile, RescoreError> {
    let text = read_text(path)?;
    let entries: Vec<serde_json::Value> =
        serde_json::from_str(&text).map_err(|source| RescoreError::Json {
            path: path.to_owned(),
            reason: "no list of answers",
            source,
        })?;
    let mut answers = Vec::new();
    let mut problems = Problems::of("entry");
    for (entry, number) in entries.into_iter().zip(1..) {
        match serde_json::from_value::<ServerEntry>(entry) {
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
        questions: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, content: &[u8]) -> Result<AnswerFile, RescoreError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        AnswerFile::read(&path)
    }

    #[test]
    fn lines_that_cannot_be_read_are_counted() {
        let file = read(
            "a.jsonl",
            b"{\"question_id\": 1, \"prompt\": \"q\", \"text\": \"Yes\", \"metadata\": {}}\n{\"question_id\": \"x\"\n{\"question_id\": 2, \"text\": \"caf\xe9\"}\n",
        )
        .unwrap();
        assert_eq!(file.answers.len(), 1);
        assert_eq!(file.answers[0].id, "1");
        let kinds: Vec<_> = file.problems.counts().keys().copied().collect();
        assert_eq!(kinds, [ProblemKind::Encoding, ProblemKind::Malformed]);
    }

    #[test]
    fn lists_as_servers_take_them() {
        for text in [
            r#"[{"questionId": "7", "prediction": "red"}]"#,
            r#"[{"question_id": 7, "answer": "red"}]"#,
        ] {
            let file = read("a.json", text.as_bytes()).unwrap();
            assert_eq!(
                (file.answers[0].id.as_str(), file.answers[0].text.as_str()),
                ("7", "red")
            );
        }
        assert!(read("a.json", b"{}").is_err());
        let error = read("a.txt", b"").unwrap_err().to_string();
        assert!(error.contains(".jsonl as LLaVA writes it"), "{error}");
    }
}
