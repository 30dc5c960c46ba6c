//! Answers as read from a file, whatever its form.

use std::path::{Path, PathBuf};

use super::reported::Reported;
use super::{RescoreError, forms};
use crate::dataset::{Benchmark, Problems, Reading};

/// One answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The question's id in the file.
    pub id: String,
    /// The prompt, if the file has it.
    pub prompt: Option<String>,
    /// The image's file name, if the file has it.
    pub image: Option<String>,
    /// The answer's text.
    pub text: String,
    /// The question's row in the dataset, from 0, if the file has it.
    pub row: Option<usize>,
    /// The family of the question, such as POPE's category, if the file has it.
    pub family: Option<String>,
    /// The reference answer, if the file has it.
    pub gold: Option<String>,
    /// The score that the file gives the answer, 0 to 1, if there is one.
    pub score: Option<f64>,
}

/// Information of another evaluator about the answers that it wrote.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origin {
    /// Name of the evaluator.
    pub tool: &'static str,
    /// The evaluator's name of the benchmark, if the file has it.
    pub task: Option<String>,
    /// The benchmark, if it is known by that name.
    pub benchmark: Option<Benchmark>,
    /// Origin of the answers' ids, as a clause.
    pub ids: String,
    /// The evaluator's own scores, from the results file beside the answers.
    pub reported: Vec<Reported>,
    /// Other remarks on the file, as sentences without a full stop.
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
    /// The questions, if the file includes them, as MME's and MMBench's forms do.
    pub questions: Option<Reading>,
    /// The evaluator that wrote the file, if the form belongs to one.
    pub origin: Option<Origin>,
}

impl AnswerFile {
    /// Reads a file in any form: LLaVA's JSON lines, a JSON list as for servers, samples that
    /// lmms-eval logs with `--log_samples`, a file of predictions of VLMEvalKit, a folder of MME's
    /// official tool, or a table of MMBench with a column `prediction`.
    ///
    /// # Errors
    /// A file that can't be read, is in no known form, or has only aggregated scores.
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
