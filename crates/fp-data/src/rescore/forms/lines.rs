//! JSON lines as LLaVA writes them: `question_id`, `prompt`, `text`.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Form, Opened};
use crate::dataset::Problems;
use crate::dataset::lines::{LineFault, for_each_line, parse};
use crate::dataset::llava::Id;
use crate::rescore::{Answer, AnswerFile, RescoreError};

pub(super) const FORM: Form = Form {
    name: ".jsonl as LLaVA writes it (question_id, prompt, text)",
    fits: |_, opened| matches!(opened, Opened::Lines(_)),
    read,
};

#[derive(Deserialize)]
struct Line {
    question_id: Id,
    #[serde(default)]
    prompt: Option<String>,
    /// LLaVA writes no such key; other programs write more than a name.
    #[serde(default)]
    image: Option<serde_json::Value>,
    text: String,
}

fn read(path: &Path, _: Opened) -> Result<AnswerFile, RescoreError> {
    let mut answers = Vec::new();
    let mut problems = Problems::default();
    let mut first = None;
    for_each_line(path, |number, line| {
        if line.as_ref().is_ok_and(|line| line.trim().is_empty()) {
            return;
        }
        if first.is_none() {
            first = Some(format!("line {number} {}", what_it_is(&line)));
        }
        match line.and_then(parse::<Line>) {
            Ok(line) => answers.push(Answer {
                id: line.question_id.into_text(),
                prompt: line.prompt.filter(|prompt| !prompt.trim().is_empty()),
                image: line
                    .image
                    .as_ref()
                    .and_then(|name| name.as_str())
                    .map(str::to_owned),
                text: line.text,
                ..Answer::default()
            }),
            Err((kind, message)) => problems.add(number, kind, message),
        }
    })?;
    if answers.is_empty() {
        let first = first.as_deref().unwrap_or("the file is empty");
        return Err(RescoreError::Form {
            path: path.to_owned(),
            reason: format!("no line has `question_id` and `text`; {first}"),
        });
    }
    Ok(AnswerFile {
        path: path.to_owned(),
        answers,
        problems,
        ..AnswerFile::default()
    })
}

/// What a line is that may be no answer, as it continues `line 1`.
fn what_it_is(line: &Result<&str, LineFault>) -> String {
    let text = match line {
        Ok(text) => text,
        Err((_, message)) => return format!("can't be read: {message}"),
    };
    let Keys(keys) = match serde_json::from_str(text) {
        Ok(keys) => keys,
        Err(error) if error.is_data() => return "is not a JSON object".to_owned(),
        Err(_) => return "is not JSON".to_owned(),
    };
    match parse::<Line>(text) {
        Err((_, message)) if ["question_id", "text"].iter().all(|key| has(&keys, key)) => {
            format!("can't be used: {message}")
        }
        _ if keys.is_empty() => "has no keys".to_owned(),
        _ => format!("has the keys {}", named(&keys)),
    }
}

fn has(keys: &[String], key: &str) -> bool {
    keys.iter().any(|other| other == key)
}

/// The first keys, each cut where it is longer than any key of an answer.
fn named(keys: &[String]) -> String {
    const MOST_NAMED: usize = 8;
    const LONGEST: usize = 40;
    let first = keys.iter().take(MOST_NAMED);
    let first = first.map(|key| format!("`{}`", key.chars().take(LONGEST).collect::<String>()));
    let names = first.collect::<Vec<_>>().join(", ");
    match keys.len().saturating_sub(MOST_NAMED) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// The keys of a JSON object, in its order.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn files_without_an_answer_say_what_they_hold_instead() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let many: Vec<String> = (0..10).map(|at| format!("\"k{at}\": 1")).collect();
        for (content, expected) in [
            (
                "{\"question_id\": \"x\", \"answer\": \"4\"}\n".to_owned(),
                "line 1 has the keys `question_id`, `answer`",
            ),
            (
                "\n\nnot json\n{\"question_id\": 1}\n".to_owned(),
                "line 3 is not JSON",
            ),
            ("{\"question_id\": 1".to_owned(), "line 1 is not JSON"),
            ("[1, 2]\n".to_owned(), "line 1 is not a JSON object"),
            ("{}\n".to_owned(), "line 1 has no keys"),
            (
                format!("{{{}}}", many.join(", ")),
                "line 1 has the keys `k0`, `k1`, `k2`, `k3`, `k4`, `k5`, `k6`, `k7` and 2 more",
            ),
            (
                "{\"question_id\": 1, \"text\": 3}".to_owned(),
                "line 1 can't be used: invalid type: integer `3`, expected a string",
            ),
            ("\n".to_owned(), "the file is empty"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = crate::rescore::AnswerFile::read(&path).unwrap_err();
            let expected = format!(
                "{}: no line has `question_id` and `text`; {expected}",
                path.display()
            );
            let error = error.to_string();
            assert!(error.starts_with(&expected), "{error}");
        }
        // One answer is enough; the other lines are counted.
        std::fs::write(&path, "not json\n{\"question_id\": 1, \"text\": \"a\"}\n").unwrap();
        let file = crate::rescore::AnswerFile::read(&path).unwrap();
        assert_eq!((file.answers.len(), file.problems.len()), (1, 1));
    }
}
