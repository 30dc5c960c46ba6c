//! Answers as a file of them has them, whichever form it is in.

use std::path::{Path, PathBuf};

use super::reported::Reported;
use super::{RescoreError, forms};
use crate::dataset::{Benchmark, Problems, Reading};

/// One answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The question's id, as the file has it.
    pub id: String,
    /// What was asked, where the file says it.
    pub prompt: Option<String>,
    /// The image's file, where the file of answers says it.
    pub image: Option<String>,
    /// What was said.
    pub text: String,
    /// The question's row in the dataset, from 0, where the file says it.
    pub row: Option<usize>,
    /// The kind of question, such as POPE's category, where the file says it.
    pub family: Option<String>,
    /// The right answer, where the file says it.
    pub gold: Option<String>,
    /// The score that the file gives the answer, 0 to 1, where it gives one.
    pub score: Option<f64>,
}

/// What another evaluator says of the answers that it wrote.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origin {
    /// The evaluator.
    pub tool: &'static str,
    /// What it calls the benchmark, where the file says it.
    pub task: Option<String>,
    /// The benchmark, where it is known by that name.
    pub benchmark: Option<Benchmark>,
    /// Where the ids of the answers come from, as a clause.
    pub ids: String,
    /// Its own scores of them, from the file of results beside.
    pub reported: Vec<Reported>,
    /// What else has to be known of the file, as sentences without a full stop.
    pub notes: Vec<String>,
}

/// A file of answers.
#[derive(Debug, Clone, Default)]
pub struct AnswerFile {
    /// The file or folder.
    pub path: PathBuf,
    /// Its answers, in order.
    pub answers: Vec<Answer>,
    /// Lines that can't be used.
    pub problems: Problems,
    /// The questions, where the file has them too: MME's and MMBench's forms do.
    pub questions: Option<Reading>,
    /// The evaluator that wrote it, where the form is one of an evaluator's own.
    pub origin: Option<Origin>,
}

impl AnswerFile {
    /// Reads a file in whichever form it is: LLaVA's JSON lines, a list of JSON such as
    /// servers take, what lmms-eval logs with `--log_samples`, a file of predictions of
    /// VLMEvalKit, a folder of MME's official tool, or a table of MMBench with a column
    /// `prediction`.
    ///
    /// # Errors
    /// A file that can't be read, is in no known form, or has scores of whole parts only.
    pub fn read(path: &Path) -> Result<AnswerFile, RescoreError> {
        forms::read(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ProblemKind;

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
