//! A table of MMBench with a column of answers: it holds questions and answers.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{Form, Opened, questions, vlmevalkit};
use crate::dataset::{
    Benchmark, ProblemKind, Problems, TextTable, incomplete_questions, table_row,
};
use crate::rescore::{Answer, AnswerFile, RescoreError};

pub(super) const FORM: Form = Form {
    name: ".tsv or .xlsx of MMBench with a column `prediction`",
    fits: |_, opened| matches!(opened, Opened::Table(_)),
    read: |path, opened| match opened {
        Opened::Table(table) => read(path, table),
        _ => Ok(AnswerFile::default()),
    },
};

/// A table with the columns of an MMBench submission: index, question, A to D, prediction, answer.
fn read(path: &Path, table: TextTable) -> Result<AnswerFile, RescoreError> {
    let TextTable { header, rows } = table;
    let columns: HashMap<&str, usize> = header.iter().map(String::as_str).zip(0..).collect();
    for name in ["index", "prediction"] {
        if !columns.contains_key(name) {
            return Err(RescoreError::Form {
                path: path.to_owned(),
                reason: format!(
                    "no column `{name}`; a table of answers has index, question, A, B, C, D, prediction and answer"
                ),
            });
        }
    }
    let has_questions = columns.contains_key("answer") && columns.contains_key("A");
    let (mut samples, mut answers) = (Vec::new(), Vec::new());
    let mut problems = Problems::of("row");
    let mut known = HashSet::new();
    for (number, row) in rows {
        let row = match row {
            Ok(row) => row,
            Err((kind, message)) => {
                problems.add(number, kind, message);
                continue;
            }
        };
        let cell = |name: &str| {
            let place = columns.get(name).copied();
            place
                .and_then(|place| row.get(place))
                .map_or("", String::as_str)
        };
        // Excel stores integers as decimal numbers.
        let index = cell("index").trim_end_matches(".0");
        let Ok(index) = index.parse::<u64>() else {
            let message = format!("index {:?} is not a number", cell("index"));
            problems.add(number, ProblemKind::WrongType, message);
            continue;
        };
        if !known.insert(index) {
            let message = format!("index {index} is already used by an earlier row");
            problems.add(number, ProblemKind::DuplicateId, message);
            continue;
        }
        let sample = table_row(index, cell);
        if has_questions && sample.answers.is_empty() {
            problems.add(
                number,
                ProblemKind::MissingAnswer,
                "the column `answer` is empty",
            );
            continue;
        }
        // An empty cell is no answer: programs that read such tables take it for missing.
        if !cell("prediction").is_empty() {
            answers.push(Answer {
                id: index.to_string(),
                text: cell("prediction").to_owned(),
                ..Answer::default()
            });
        }
        samples.push(sample);
    }
    let questions = has_questions.then(|| {
        let problems = problems.clone();
        let note = incomplete_questions(samples.iter());
        let mut questions = questions(Benchmark::Mmbench, "mmbench", path, samples, problems);
        questions.dataset.notes.extend(note);
        questions
    });
    Ok(AnswerFile {
        path: path.to_owned(),
        answers,
        problems,
        questions,
        origin: vlmevalkit::origin_of_mmbench(path),
    })
}
