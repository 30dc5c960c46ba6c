//! VLMEvalKit's predictions, `<model>_<dataset>.xlsx`, `.tsv` or `.json`: the dataset's table
//! without its images and with a column `prediction` (`vlmeval/inference.py`; formats by
//! PRED_FORMAT in `smp/file.py`), or as its evaluation rewrites it with the parsed result: `score`
//! (`image_yorn.py`) or `hit`. MMBench's tables have a form of their own.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::Value;

use super::{Form, Opened, tasks};
use crate::dataset::lines::LineFault;
use crate::dataset::{Benchmark, ProblemKind, Problems, TextTable};
use crate::rescore::reported::vlmevalkit as results;
use crate::rescore::{Answer, AnswerFile, Origin};

/// Predictions as a table.
pub(super) const TABLE: Form = Form {
    name: "<model>_<dataset>.xlsx, .tsv or .json of VLMEvalKit (index, question, prediction)",
    fits: |path, opened| {
        let has = |name: &str| opened.has_column(name);
        has("index") && has("prediction") && has("question") && !is_mmbench(path, has("A"))
    },
    read: |path, opened| match opened {
        Opened::Table(table) => Ok(of_table(path, table)),
        _ => Ok(AnswerFile::default()),
    },
};

/// Predictions as a JSON list.
pub(super) const RECORDS: Form = Form {
    name: "",
    fits: |_, opened| {
        let first = match opened {
            Opened::Json(Value::Array(entries)) => entries.first(),
            _ => None,
        };
        first.is_some_and(|first| {
            let has = |name: &str| first.get(name).is_some();
            has("index") && has("prediction") && has("question")
        })
    },
    read: |path, opened| match opened {
        Opened::Json(Value::Array(entries)) => Ok(of_records(path, entries)),
        _ => Ok(AnswerFile::default()),
    },
};

/// Text that VLMEvalKit writes where it got no answer (`FAIL_MSG`).
const FAILED: &str = "Failed to obtain answer";

fn named(path: &Path) -> Option<(&'static str, Benchmark, &str)> {
    tasks::of_vlmevalkit(path.file_stem()?.to_str()?)
}

/// Whether a table is MMBench's: by the file's name, or where that is inconclusive by options.
fn is_mmbench(path: &Path, has_options: bool) -> bool {
    match named(path) {
        Some((_, benchmark, _)) => benchmark == Benchmark::Mmbench,
        None => has_options,
    }
}

/// The origin of an MMBench table whose name is VLMEvalKit's.
pub(super) fn origin_of_mmbench(path: &Path) -> Option<Origin> {
    named(path)?;
    Some(Origin {
        ids: "ids are MMBench's own, in the column `index`".to_owned(),
        ..origin(path)
    })
}

fn origin(path: &Path) -> Origin {
    let named = named(path);
    let (reported, note) = match named {
        Some((.., shared)) => results::beside(path, shared),
        None => (Vec::new(), None),
    };
    Origin {
        tool: "VLMEvalKit",
        task: named.map(|(name, ..)| name.to_owned()),
        benchmark: named.map(|(_, benchmark, _)| benchmark),
        ids: "ids are VLMEvalKit's `index`, its own number of the row".to_owned(),
        reported,
        notes: note.into_iter().collect(),
    }
}

fn of_table(path: &Path, table: TextTable) -> AnswerFile {
    let TextTable { header, rows } = table;
    let mut predictions = Predictions::new(path, "row");
    for (number, row) in rows {
        let row = row.map(|cells| header.iter().cloned().zip(cells).collect());
        predictions.add(number, row);
    }
    predictions.file(path)
}

fn of_records(path: &Path, entries: Vec<Value>) -> AnswerFile {
    let mut predictions = Predictions::new(path, "entry");
    for (entry, number) in entries.into_iter().zip(1..) {
        let row = match entry {
            Value::Object(entry) => Ok(entry.into_iter().map(cell).collect()),
            _ => Err((
                ProblemKind::Malformed,
                "an entry is an object with index, question and prediction".to_owned(),
            )),
        };
        predictions.add(number, row);
    }
    predictions.file(path)
}

/// A value as a table's cell; a missing value is an empty cell.
fn cell((name, value): (String, Value)) -> (String, String) {
    let text = match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    (name, text)
}

struct Predictions {
    benchmark: Option<Benchmark>,
    answers: Vec<Answer>,
    problems: Problems,
    known: HashSet<String>,
    num_empty: usize,
    num_shared: usize,
}

impl Predictions {
    fn new(path: &Path, what: &'static str) -> Self {
        Predictions {
            benchmark: named(path).map(|(_, benchmark, _)| benchmark),
            answers: Vec::new(),
            problems: Problems::of(what),
            known: HashSet::new(),
            num_empty: 0,
            num_shared: 0,
        }
    }

    fn add(&mut self, number: usize, row: Result<HashMap<String, String>, LineFault>) {
        if let Err((kind, message)) = row.and_then(|row| self.take(&row)) {
            self.problems.add(number, kind, message);
        }
    }

    fn take(&mut self, row: &HashMap<String, String>) -> Result<(), LineFault> {
        let cell = |name: &str| {
            row.get(name)
                .map(|cell| cell.trim())
                .filter(|c| !c.is_empty())
        };
        // Excel stores integers as decimal numbers.
        let index = cell("index").map(|index| index.trim_end_matches(".0"));
        let Some(index) = index else {
            let message = "the column `index` is empty".to_owned();
            return Err((ProblemKind::InvalidValue, message));
        };
        if !self.known.insert(index.to_owned()) {
            let message = format!("index {index} is already used by an earlier row");
            return Err((ProblemKind::DuplicateId, message));
        }
        let text = row.get("prediction").cloned().unwrap_or_default();
        if text.is_empty() {
            self.num_empty += 1;
            return Ok(());
        }
        if text.contains(FAILED) {
            let message = format!("VLMEvalKit got no answer to index {index}: {text:?}");
            return Err((ProblemKind::InvalidValue, message));
        }
        let question = cell("question").unwrap_or_default();
        let prompt = match cell("hint").filter(|hint| *hint != "nan") {
            Some(hint) => format!("Context: {hint}\n{question}"),
            None => question.to_owned(),
        };
        let answer = Answer {
            id: index.to_owned(),
            prompt: Some(prompt).filter(|prompt| !prompt.is_empty()),
            image: cell("image_path").map(str::to_owned),
            text,
            score: cell("score").or(cell("hit")).and_then(score),
            ..Answer::default()
        };
        let families = match self.benchmark {
            Some(Benchmark::Pope | Benchmark::Mme) => cell("category"),
            _ => None,
        };
        // A row of POPE is a question of each category that it names.
        let mut families = families.into_iter().flat_map(|all| all.split(','));
        let first = families.next().map(|family| family.trim().to_owned());
        let others: Vec<&str> = families.map(str::trim).collect();
        self.num_shared += usize::from(!others.is_empty());
        for family in others {
            self.answers.push(Answer {
                family: Some(family.to_owned()),
                ..answer.clone()
            });
        }
        self.answers.push(Answer {
            family: first,
            ..answer
        });
        Ok(())
    }

    fn file(self, path: &Path) -> AnswerFile {
        let mut origin = origin(path);
        if self.num_empty > 0 {
            let note = format!(
                "{} rows have an empty prediction, which does not count as an answer",
                self.num_empty
            );
            origin.notes.push(note);
        }
        if self.num_shared > 0 {
            origin.notes.push(format!(
                "{} rows stand for the same question in several of POPE's categories; their answer counts in each",
                self.num_shared
            ));
        }
        AnswerFile {
            path: path.to_owned(),
            answers: self.answers,
            problems: self.problems,
            questions: None,
            origin: Some(origin),
        }
    }
}

/// Parses `True` and `False` as pandas writes them, or a number.
fn score(cell: &str) -> Option<f64> {
    match cell.to_ascii_lowercase().as_str() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        other => other.parse().ok(),
    }
}
