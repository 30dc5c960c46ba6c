//! JSON values as YAML: block style, with all strings in double quotes as in JSON.

use std::fmt::Write;

use serde_json::Value;

/// An object or a list as a YAML document.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                // Writing to a string can't fail.
                let _ = write!(out, "{pad}{}:", key_text(key));
                after(value, indent + 2, out);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            for entry in entries {
                let mut inner = String::new();
                block(entry, indent + 2, &mut inner);
                // The first line of an entry follows its dash.
                let _ = write!(out, "{pad}- {}", inner.trim_start());
            }
        }
        scalar => {
            let _ = writeln!(out, "{pad}{scalar}");
        }
    }
}

/// Writes what follows a key.
fn after(value: &Value, indent: usize, out: &mut String) {
    let is_block = match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        block(value, indent, out);
    } else {
        let _ = writeln!(out, " {value}");
    }
}

/// A key; keys of plain characters are written without quotes.
fn key_text(key: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "./-_".contains(c);
    if key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_yaml;

    #[test]
    fn blocks_and_texts() {
        let value = json!({
            "a": {"nvidia.com/gpu": "1", "none": {}},
            "list": [{"x": 1, "y": [true, "no: \"yes\"\n"]}, 2],
        });
        let expected = "a:\n  none: {}\n  nvidia.com/gpu: \"1\"\nlist:\n  - x: 1\n    y:\n      \
                        - true\n      - \"no: \\\"yes\\\"\\n\"\n  - 2\n";
        assert_eq!(to_yaml(&value), expected);
    }
}
