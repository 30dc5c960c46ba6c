//! The JSON schemas of the plain form's files, against which they are checked.

use serde_json::{Value, json};

use crate::metric::AnswerRule;

/// Schema of `benchmark.json`.
pub fn description() -> Value {
    let rules = AnswerRule::ALL.map(AnswerRule::name).to_vec();
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "split", "answer_rule"],
        "properties": {
            "name": {"type": "string"},
            "split": {"type": "string"},
            "answer_rule": {"enum": rules},
            "families": {"type": "array", "uniqueItems": true, "items": {"type": "string"}},
            "license": {"type": "string"},
            "source": {"type": "string"},
            "images": {"type": "string"},
            "judge": {"type": "string"},
            "sha256": {"type": "string"},
        },
    })
}

/// Schema of a line of `questions.jsonl`.
pub fn line() -> Value {
    let numbers = json!({"type": "array", "items": {"type": "number"}});
    let texts = json!({"type": "array", "items": {"type": "string"}});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["id", "question", "answers", "family"],
        "properties": {
            "id": {"type": "string"},
            "image": {"type": "string"},
            "image_id": {"type": "string"},
            "image_size": {"type": "array", "items": {"type": "integer", "minimum": 1}},
            "question": {"type": "string"},
            "answers": texts,
            "choices": texts,
            "family": {"type": "string"},
            "keys": {"type": "object"},
            "boxes": {"type": "array", "items": numbers},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Description, Line};
    use super::*;

    /// The structures accept the keys that the schemas accept, and no others.
    #[test]
    fn schemas_and_structures_have_the_same_keys() {
        let full = json!({
            "name": "n", "split": "s", "answer_rule": "exact", "families": ["f"],
            "license": "l", "source": "s", "images": "i", "judge": "j", "sha256": "h",
        });
        let keys = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(keys(&description()["properties"]), keys(&full));
        let parsed: Description = serde_json::from_value(full.clone()).unwrap();
        assert_eq!(serde_json::to_value(parsed).unwrap(), full);
        let full = json!({
            "id": "1", "image": "a.png", "image_id": "a", "image_size": [4, 4],
            "question": "q", "answers": ["x"], "choices": ["x"], "family": "f",
            "keys": {"k": "v"}, "boxes": [[0.0, 0.0, 1.0, 1.0]],
        });
        assert_eq!(keys(&line()["properties"]), keys(&full));
        let parsed: Line = serde_json::from_value(full.clone()).unwrap();
        assert_eq!(serde_json::to_value(parsed).unwrap(), full);
        assert!(crate::json::schema::check(&line(), &full).is_empty());
    }
}
