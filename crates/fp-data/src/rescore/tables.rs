//! Files that hold questions and answers both: MME's result folders, MMBench's tables.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Answer, AnswerFile, RescoreError};
use crate::dataset::lines::for_each_line;
use crate::dataset::{
    Benchmark, Dataset, DatasetError, Occurrences, ProblemKind, Problems, Reading, TextTable,
    incomplete_questions, read_table, table_row,
};
use crate::metric::{YesNo, mme};
use crate::sample::Sample;

/// The questions that a file of answers has. A file in which something can't be used has
/// no whole set of them.
fn questions(
    benchmark: Benchmark,
    name: &str,
    path: &Path,
    samples: Vec<Sample>,
    problems: Problems,
) -> Reading {
    let dataset = Dataset {
        name: name.to_owned(),
        samples,
        ..Dataset::empty(benchmark, "answers", path, vec![path.to_owned()])
    };
    Reading {
        dataset,
        problems,
        numbers: Vec::new(),
        faults: Vec::new(),
        without_file: Vec::new(),
    }
}

/// A folder with a file per task, `<task>.txt`, of lines with four columns between tabs:
/// image, question, right answer, answer.
pub(super) fn mme_folder(folder: &Path) -> Result<AnswerFile, RescoreError> {
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
            // Messages say the line, which a folder has several of.
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
                    count => format!("{count} columns instead of 4"),
                };
                let message = format!(
                    "{found}; a line is image, question, right answer, answer, with tabs between"
                );
                return fault(ProblemKind::Malformed, message);
            };
            if YesNo::from_label(gold).is_none() {
                let message = format!("the right answer is {gold:?}, not yes or no");
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
    // What is wrong with lines is said of the answers, as long as there are others; their
    // tasks are told of by their images, which then have one question less.
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
    })
}

/// A table with the columns that MMBench's server takes: index, question, A to D,
/// prediction, answer.
pub(super) fn mmbench_table(path: &Path) -> Result<AnswerFile, RescoreError> {
    let TextTable { header, rows } = read_table(path)?;
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
        // Excel has numbers as decimal ones.
        let index = cell("index").trim_end_matches(".0");
        let Ok(index) = index.parse::<u64>() else {
            let message = format!("index {:?} is no number", cell("index"));
            problems.add(number, ProblemKind::WrongType, message);
            continue;
        };
        if !known.insert(index) {
            let message = format!("index {index} is that of an earlier row");
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
        // An empty cell is no answer: what reads such tables takes it for missing.
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
    })
}
