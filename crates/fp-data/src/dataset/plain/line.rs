//! A line of `questions.jsonl`.

use serde_json::Value;

use super::{Line, schema};
use crate::dataset::lines::{self, LineFault};
use crate::json::schema::{Fault, check};

/// Parses a line, or reports everything that is wrong with it.
pub(super) fn parse(line: &str) -> Result<Line, LineFault> {
    lines::parse::<Line>(line).map_err(|(kind, message)| {
        let mut value: Value = serde_json::from_str(line).unwrap_or_default();
        // An empty image means a text-only question, as a missing key does.
        if let Some(keys) = value.as_object_mut() {
            keys.retain(|key, value| key != "image" || !value.is_null());
        }
        match faults_of(&schema::line(), &value) {
            // It isn't JSON, or wrong in a way that the schema can't describe.
            found if found.is_empty() => (kind, message),
            found => (kind, found),
        }
    })
}

fn faults_of(schema: &Value, value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let faults = check(schema, value);
    let text = |fault: &Fault| match fault.path.to_string() {
        path if path.is_empty() => fault.message.clone(),
        path => format!("{path}: {}", fault.message),
    };
    faults.iter().map(text).collect::<Vec<_>>().join("; ")
}
