//! Samples that lmms-eval logs with `--log_samples`: `<date>_samples_<task>.jsonl`, one line per
//! question. Keys as in lmms-eval 0.7.3, `loggers/evaluation_tracker.py` and `evaluator.py`:
//! `doc_id` (the question's row in the split, from 0), `target`, `input` (the prompt),
//! `filtered_resps` (the scored text), `resps` where it differs, and a key per metric, a number or
//! an object with the question's own id. Versions before 0.5 also have `doc`, the row, and
//! `arguments`.

use std::collections::HashSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::{Form, Opened, file_name, tasks};
use crate::dataset::lines::{LineFault, for_each_line, parse};
use crate::dataset::{Benchmark, ProblemKind, Problems};
use crate::rescore::reported::lmms_eval as results;
use crate::rescore::{Answer, AnswerFile, Origin, RescoreError};

pub(super) const FORM: Form = Form {
    name: "…_samples_<task>.jsonl as lmms-eval logs it (doc_id, filtered_resps)",
    fits: |_, opened| match opened {
        Opened::Lines(Some(first)) => {
            first.get("doc_id").is_some() && first.get("filtered_resps").is_some()
        }
        _ => false,
    },
    read: |path, _| read(path),
};

/// Text between the date and the task in the name of a samples file.
pub(super) const SAMPLES: &str = "_samples_";
/// Keys of the question's own id in rows and in the input of metrics.
const IDS: [&str; 4] = ["question_id", "questionId", "index", "id"];
/// Metrics that score a single question, from 0 to 1.
const SCORES: [&str; 7] = [
    "exact_match",
    "relaxed_overall",
    "anls",
    "pope_accuracy",
    "mme_perception_score",
    "mme_cognition_score",
    "ocrbench_accuracy",
];

/// The task in the name of a samples file.
pub(super) fn task_of(path: &Path) -> Option<&str> {
    let (_, task) = file_name(path).split_once(SAMPLES)?;
    task.strip_suffix(".jsonl")
}

fn read(path: &Path) -> Result<AnswerFile, RescoreError> {
    let task = task_of(path);
    let mut lines = Lines::new(task, "line");
    for_each_line(path, |number, line| {
        lines.add(number, line.and_then(parse::<Map<String, Value>>));
    })?;
    let (reported, note) = match task {
        Some(task) => results::beside(path, task),
        None => (Vec::new(), None),
    };
    Ok(lines.file(path, reported, note))
}

/// The lines of a file, or the entries of an older one.
pub(super) struct Lines<'a> {
    task: Option<&'a str>,
    benchmark: Option<Benchmark>,
    answers: Vec<Answer>,
    problems: Problems,
    known: HashSet<usize>,
    num_own_ids: usize,
    num_several: usize,
    num_filtered: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(task: Option<&'a str>, what: &'static str) -> Self {
        Lines {
            task,
            benchmark: task.and_then(tasks::of_lmms_eval),
            answers: Vec::new(),
            problems: Problems::of(what),
            known: HashSet::new(),
            num_own_ids: 0,
            num_several: 0,
            num_filtered: 0,
        }
    }

    /// Adds a line, or counts it with the reason why it can't be used.
    pub(super) fn add(&mut self, number: usize, line: Result<Map<String, Value>, LineFault>) {
        if let Err((kind, message)) = line.and_then(|line| self.answer(&line)) {
            self.problems.add(number, kind, message);
        }
    }

    fn answer(&mut self, line: &Map<String, Value>) -> Result<(), LineFault> {
        let row = line.get("doc_id").and_then(Value::as_u64);
        let row = row.and_then(|row| usize::try_from(row).ok());
        let row = row.ok_or_else(|| {
            let message = "`doc_id` is not a row number, counted from 0".to_owned();
            (ProblemKind::WrongType, message)
        })?;
        let filtered = line.get("filtered_resps").ok_or_else(|| {
            let message = "there is no `filtered_resps`, the text that was scored".to_owned();
            (ProblemKind::Malformed, message)
        })?;
        let (text, is_one_of_several) = response(filtered)?;
        if !self.known.insert(row) {
            let message = format!(
                "doc_id {row} is already used by an earlier line: a second filter of the answers, or a second run in one file"
            );
            return Err((ProblemKind::DuplicateId, message));
        }
        self.num_several += usize::from(is_one_of_several);
        let raw = line.get("resps").and_then(|raw| response(raw).ok());
        self.num_filtered += usize::from(raw.is_some_and(|(raw, _)| raw.trim() != text.trim()));
        let own = own_id(line);
        self.num_own_ids += usize::from(own.is_some());
        self.answers.push(Answer {
            id: own.unwrap_or_else(|| row.to_string()),
            prompt: prompt(line).filter(|prompt| !prompt.trim().is_empty()),
            text,
            row: Some(row),
            family: self.family(line),
            gold: line
                .get("target")
                .and_then(Value::as_str)
                .map(str::to_owned),
            score: SCORES.iter().find_map(|name| score(line.get(*name)?)),
            ..Answer::default()
        });
        Ok(())
    }

    /// POPE's category or MME's task.
    fn family(&self, line: &Map<String, Value>) -> Option<String> {
        if !matches!(self.benchmark, Some(Benchmark::Pope | Benchmark::Mme)) {
            return None;
        }
        let of_task = self.task.and_then(tasks::category_of_lmms_eval);
        let logged = || objects(line).find_map(|object| object.get("category")?.as_str());
        of_task.or_else(logged).map(str::to_owned)
    }

    pub(super) fn file(
        self,
        path: &Path,
        reported: Vec<crate::rescore::Reported>,
        note: Option<String>,
    ) -> AnswerFile {
        let count = self.answers.len();
        let mut notes: Vec<String> = note.into_iter().collect();
        if self.num_several > 0 {
            notes.push(format!(
                "{} of {count} questions have several responses; the first is taken, which is the one that lmms-eval's tasks score",
                self.num_several
            ));
        }
        if self.num_filtered > 0 {
            notes.push(format!(
                "{} of {count} answers were changed by lmms-eval's filters before it scored them; `filtered_resps` is taken, not `resps`",
                self.num_filtered
            ));
        }
        if let (Some(task), None) = (self.task, self.benchmark) {
            notes.push(format!(
                "lmms-eval's task `{task}` isn't known here; only the prompts show whether it is the dataset's"
            ));
        }
        let ids = if self.num_own_ids == count && count > 0 {
            "ids are the questions' own, as lmms-eval's metrics log them, and `doc_id` is the row in the dataset, from 0"
        } else {
            "ids are lmms-eval's `doc_id`, the row in the dataset, from 0"
        };
        AnswerFile {
            path: path.to_owned(),
            answers: self.answers,
            problems: self.problems,
            questions: None,
            origin: Some(Origin {
                tool: "lmms-eval",
                task: self.task.map(str::to_owned),
                benchmark: self.benchmark,
                ids: ids.to_owned(),
                reported,
                notes,
            }),
        }
    }
}

/// The text of a response, and whether there are others. A response is a text, a list of texts, or,
/// in older versions, a list of one such list.
fn response(value: &Value) -> Result<(String, bool), LineFault> {
    let fault = |message: &str| Err((ProblemKind::WrongType, message.to_owned()));
    match value {
        Value::String(text) => Ok((text.clone(), false)),
        Value::Array(items) => match items.as_slice() {
            [] => fault("`filtered_resps` is empty"),
            [one] => response(one),
            [Value::String(first), rest @ ..] if rest.iter().all(Value::is_string) => {
                Ok((first.clone(), true))
            }
            _ => fault(
                "the responses are log-likelihoods of options, not a text that a model generated",
            ),
        },
        _ => fault("`filtered_resps` is not a text"),
    }
}

fn prompt(line: &Map<String, Value>) -> Option<String> {
    let arguments = || {
        let first = line.get("arguments")?.get(0)?;
        Some(first.get(0).unwrap_or(first))
    };
    let input = line.get("input").filter(|input| input.is_string());
    Some(input.or_else(arguments)?.as_str()?.to_owned())
}

/// The objects that may hold the question's id: the row that older versions log, and the input of
/// metrics.
fn objects(line: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let of_key = |name: &str| line.get(name).and_then(Value::as_object);
    let others = line.iter().filter(|(name, _)| *name != "doc");
    let others = others.filter_map(|(_, value)| value.as_object());
    of_key("doc").into_iter().chain(others)
}

fn own_id(line: &Map<String, Value>) -> Option<String> {
    objects(line).find_map(|object| {
        let ids = IDS.iter().filter_map(|name| object.get(*name));
        ids.filter_map(|id| match id {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .next()
    })
}

fn score(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.get("score")?.as_f64())
}
