//! The forms of answer files, one file each. A file has the first form in [`FORMS`] that matches
//! its content.

mod aggregated;
mod lines;
mod lmms_eval;
mod lmms_eval_folder;
mod lmms_eval_logs;
mod mmbench;
mod mme_folder;
mod server;
mod tasks;
mod vlmevalkit;
mod vlmevalkit_scores;

use std::path::Path;

use serde_json::Value;

use super::{AnswerFile, RescoreError};
use crate::dataset::lines::for_each_line;
use crate::dataset::{Benchmark, Dataset, Problems, Reading, TextTable, read_table, read_text};
use crate::sample::Sample;

/// One form.
pub(super) struct Form {
    /// Its name in the message about files in no form; empty for forms without answers.
    name: &'static str,
    /// Whether a file has this form.
    fits: fn(&Path, &Opened) -> bool,
    /// Reads a file of this form.
    read: fn(&Path, Opened) -> Result<AnswerFile, RescoreError>,
}

/// Every form; special ones come before general ones.
const FORMS: [Form; 11] = [
    lmms_eval::FORM,
    lines::FORM,
    aggregated::FORM,
    lmms_eval_logs::FORM,
    vlmevalkit_scores::FORM,
    vlmevalkit::RECORDS,
    server::FORM,
    vlmevalkit::TABLE,
    mmbench::FORM,
    lmms_eval_folder::FORM,
    mme_folder::FORM,
];

/// The type of a file, before its form is known.
pub(super) enum Opened {
    /// A folder.
    Folder,
    /// A file of JSON lines, with its first valid line.
    Lines(Option<Value>),
    /// A JSON file.
    Json(Value),
    /// A tab-separated table or a workbook.
    Table(TextTable),
    /// A file that is recognised only by its name.
    Other,
}

impl Opened {
    fn new(path: &Path) -> Result<Opened, RescoreError> {
        if path.is_dir() {
            return Ok(Opened::Folder);
        }
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl") => Ok(Opened::Lines(first_line(path)?)),
            Some("json") => {
                let text = read_text(path)?;
                let value = serde_json::from_str(&text);
                value
                    .map(Opened::Json)
                    .map_err(|source| RescoreError::Json {
                        path: path.to_owned(),
                        reason: "not a list of answers",
                        source,
                    })
            }
            Some("tsv" | "xlsx") => Ok(Opened::Table(read_table(path)?)),
            _ => Ok(Opened::Other),
        }
    }

    /// The value of `key` if the file is a JSON object.
    fn key(&self, key: &str) -> Option<&Value> {
        match self {
            Opened::Json(value) => value.get(key),
            _ => None,
        }
    }

    fn has_column(&self, name: &str) -> bool {
        matches!(self, Opened::Table(table) if table.header.iter().any(|column| column == name))
    }
}

/// The first line that is valid JSON. Invalid lines before it don't prevent recognition; they are
/// counted as unusable later.
fn first_line(path: &Path) -> Result<Option<Value>, RescoreError> {
    let mut first = None;
    for_each_line(path, |_, line| {
        if first.is_none() {
            first = line.ok().and_then(|line| serde_json::from_str(line).ok());
        }
    })?;
    Ok(first)
}

/// Reads a file in any form.
pub(super) fn read(path: &Path) -> Result<AnswerFile, RescoreError> {
    let opened = Opened::new(path)?;
    let form = FORMS.iter().find(|form| (form.fits)(path, &opened));
    if let Some(form) = form {
        return (form.read)(path, opened);
    }
    let names = FORMS.iter().map(|form| form.name);
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    Err(RescoreError::Form {
        path: path.to_owned(),
        reason: format!(
            "not in a known answer format; expected one of: {}",
            names.join("; ")
        ),
    })
}

/// The questions that a file of answers includes. If some part of the file can't be used, the set
/// of questions is incomplete.
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

/// The name of a file without its folder.
fn file_name(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}
