//! Reads `benchmark.json` as far as possible.

use std::path::Path;

use super::Description;
use super::schema::description;
use crate::dataset::DatasetError;
use crate::dataset::encoding::read_text;
use crate::json::schema::check;
use crate::json::{Document, Problem, Step};

/// The readable part of the description, and everything that is wrong with it.
pub(super) fn read(path: &Path) -> (Description, Vec<DatasetError>) {
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => return (Description::default(), vec![error]),
    };
    let wrong = |reason: String| DatasetError::Content {
        path: path.to_owned(),
        reason,
    };
    let mut document = match Document::parse(&text) {
        Ok(document) => document,
        Err(problem) => {
            let place = problem
                .line
                .map_or(String::new(), |line| format!("line {line}: "));
            let reason = format!("{place}{}", problem.message);
            return (Description::default(), vec![wrong(reason)]);
        }
    };
    let mut problems = std::mem::take(&mut document.duplicates);
    let faults = check(&description(), &document.value);
    for fault in &faults {
        let mut problem = Problem::new(fault.path.to_string(), fault.message.clone());
        document.locate(&mut problem);
        problems.push(problem);
    }
    problems.sort_by_key(|problem| problem.line);
    let mut errors: Vec<DatasetError> = problems
        .iter()
        .map(|problem| match problem.line {
            Some(line) => wrong(format!("line {line}: {problem}")),
            None => wrong(problem.to_string()),
        })
        .collect();
    let mut value = document.value;
    if let Some(keys) = value.as_object_mut() {
        for fault in &faults {
            if let Some(Step::Key(key)) = fault.path.0.first() {
                keys.remove(key);
            }
        }
        for key in ["name", "split", "answer_rule"] {
            keys.entry(key).or_insert_with(|| "".into());
        }
    }
    match serde_json::from_value(value) {
        Ok(description) => (description, errors),
        Err(error) => {
            if errors.is_empty() {
                errors.push(wrong(error.to_string()));
            }
            (Description::default(), errors)
        }
    }
}
