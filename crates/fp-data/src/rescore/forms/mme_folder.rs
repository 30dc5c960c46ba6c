//! A folder of answers in the format of MME's official tool: it holds questions and answers.

use std::path::{Path, PathBuf};

use super::{Form, Opened, questions};
use crate::dataset::lines::for_each_line;
use crate::dataset::{Benchmark, DatasetError, Occurrences, ProblemKind, Problems};
use crate::metric::{YesNo, mme};
use crate::rescore::{Answer, AnswerFile, RescoreError};
use crate::sample::Sample;

pub(super) const FORM: Form = Form {
    name: "a folder of MME's .txt files",
    fits: |_, opened| matches!(opened, Opened::Folder),
    read: |path, _| read(path),
};

/// A folder with one file per task, `<task>.txt`, with four tab-separated columns per line: image,
/// question, right answer, answer.
fn read(folder: &Path) -> Result<AnswerFile, RescoreError> {
    let io_error = |source| DatasetError::Io {
        path: folder.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(io_error)?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
        .collect();
    paths.sort();
    if paths.is_empty() {
        return Err(RescoreError::Form {
            path: folder.to_owned(),
            reason: "no .txt file in it; a folder of answers has one per task of MME".to_owned(),
        });
    }
    let mut samples = Vec::new();
    let mut answers = Vec::new();
    let mut problems = Problems::default();
    let mut occurrences = Occurrences::default();
    let mut num_lines = 0;
    for path in paths {
        let task = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        for_each_line(&path, |number, line| {
            num_lines += 1;
            // Line numbers are repeated in a folder, so messages also name the file.
            let mut fault = |kind: ProblemKind, message: String| {
                let message = format!("{task}.txt line {number}: {message}");
                problems.add(num_lines, kind, message);
            };
            let line = match line {
                Ok(line) if line.trim().is_empty() => return,
                Ok(line) => line,
                Err((kind, message)) => return fault(kind, message),
            };
            let columns: Vec<&str> = line.split('\t').collect();
            let [image, question, gold, answer] = columns[..] else {
                let found = match columns.len() {
                    1 => "no tab".to_owned(),
                    count => format!("{count} columns, expected 4"),
                };
                let message = format!(
                    "{found}; expected image, question, correct answer and answer, separated by tabs"
                );
                return fault(ProblemKind::Malformed, message);
            };
            if YesNo::from_label(gold).is_none() {
                let message = format!("the correct answer is {gold:?}; expected yes or no");
                return fault(ProblemKind::InvalidValue, message);
            }
            let image_id = format!("{task}/{image}");
            let id = occurrences.next(&image_id);
            answers.push(Answer {
                id: id.clone(),
                prompt: Some(mme::question_text(question)),
                text: answer.to_owned(),
                ..Answer::default()
            });
            samples.push(Sample {
                id,
                image_id,
                question: question.to_owned(),
                answers: vec![gold.to_owned()],
                family: task.to_owned(),
                ..Sample::default()
            });
        })?;
    }
    // Bad lines are reported as problems of the answers, unless no other lines exist. Their tasks
    // are also reported through their images, which then lack a question.
    let of_questions = if samples.is_empty() {
        problems.clone()
    } else {
        Problems::default()
    };
    let questions = questions(Benchmark::Mme, "mme", folder, samples, of_questions);
    Ok(AnswerFile {
        path: folder.to_owned(),
        answers,
        problems,
        questions: Some(questions),
        ..AnswerFile::default()
    })
}
