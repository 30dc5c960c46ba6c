//! Checks values against JSON schemas; supports the keywords that the project's own schemas use.

use fp_scoring::did_you_mean;
use serde_json::{Map, Value};

use super::Path;

/// A violation of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Path of the value; for a missing key, of the object that lacks it.
    pub path: Path,
    /// What was found, and what would be right.
    pub message: String,
}

/// All violations of `schema` in `value`, in the order of the schema.
///
/// Supported keywords are `type`, `enum`, `minimum`, `maximum`, `exclusiveMinimum`,
/// `exclusiveMaximum`, `pattern` (of fractions such as 3/4), `examples`, `minItems`, `uniqueItems`,
/// `items`, `required`, `properties`, `additionalProperties` and `oneOf`.
pub fn check(schema: &Value, value: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    Checker {
        faults: &mut faults,
    }
    .value(schema, value, &Path::default());
    faults
}

struct Checker<'a> {
    faults: &'a mut Vec<Fault>,
}

impl Checker<'_> {
    fn add(&mut self, path: &Path, message: String) {
        self.faults.push(Fault {
            path: path.clone(),
            message,
        });
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &Path) {
        if let Some(branches) = list(schema, "oneOf") {
            return self.one_of(branches, value, path);
        }
        if !accepts(schema, value) {
            return self.add(path, format!("{}; expected {}", shown(value), kind(schema)));
        }
        if let Some(known) = list(schema, "enum")
            && !known.contains(value)
        {
            return self.add(path, not_among(known, value));
        }
        match value {
            Value::Number(_) => self.number(schema, value, path),
            Value::String(text) => self.text(schema, text, path),
            Value::Array(entries) => self.array(schema, entries, path),
            Value::Object(keys) => self.object(schema, keys, path),
            _ => {}
        }
    }

    /// Checks a value against the branch for its type, so that the fault names what is wrong in
    /// that branch rather than that no branch matches.
    fn one_of(&mut self, branches: &[Value], value: &Value, path: &Path) {
        let fitting: Vec<&Value> = branches.iter().filter(|b| accepts(b, value)).collect();
        match (fitting.as_slice(), value) {
            ([], _) => {
                let mut kinds: Vec<String> = Vec::new();
                for branch in branches {
                    let kind = kind(branch);
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
                let expected = kinds.join(" or ");
                self.add(path, format!("{}; expected {expected}", shown(value)));
            }
            // A name as an alternative to other forms: the message lists all forms that are valid.
            ([only], _) if list(only, "enum").is_some_and(|known| !known.contains(value)) => {
                let expected = kind(&Value::from_iter([("oneOf", branches)]));
                self.add(path, format!("{}; expected {expected}", shown(value)));
            }
            ([only], _) => self.value(only, value, path),
            (several, Value::Object(keys)) => self.one_key(several, keys, path),
            (several, _) => {
                let known: Vec<Value> = several
                    .iter()
                    .filter_map(|branch| list(branch, "enum"))
                    .flatten()
                    .cloned()
                    .collect();
                self.add(path, not_among(&known, value));
            }
        }
    }

    /// Selects among objects of one key each, by that key.
    fn one_key(&mut self, branches: &[&Value], keys: &Map<String, Value>, path: &Path) {
        let known: Vec<(&str, &Value)> = branches
            .iter()
            .filter_map(|branch| branch.get("properties")?.as_object())
            .flatten()
            .map(|(key, schema)| (key.as_str(), schema))
            .collect();
        let names = known.iter().map(|(key, _)| *key);
        let mut found = 0;
        let mut listed_for = None;
        for (key, value) in keys {
            match known.iter().find(|(name, _)| name == key) {
                Some((_, schema)) => {
                    found += 1;
                    self.value(schema, value, &path.key(key));
                }
                None => {
                    let message = unknown_key(key, names.clone(), &mut listed_for);
                    self.add(&path.key(key), message);
                }
            }
        }
        let expected = names.collect::<Vec<_>>().join(", ");
        match found {
            0 if keys.is_empty() => self.add(path, format!("{{}}; expected one of: {expected}")),
            0 | 1 => {}
            _ => self.add(
                path,
                format!("{found} keys that exclude each other; expected one of: {expected}"),
            ),
        }
    }

    fn number(&mut self, schema: &Value, value: &Value, path: &Path) {
        let number = value.as_f64().unwrap_or(f64::NAN);
        let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
        let least = (limit("minimum"), limit("exclusiveMinimum"));
        let most = (limit("maximum"), limit("exclusiveMaximum"));
        let is_inside = least.0.is_none_or(|least| number >= least)
            && least.1.is_none_or(|least| number > least)
            && most.0.is_none_or(|most| number <= most)
            && most.1.is_none_or(|most| number < most);
        if is_inside {
            return;
        }
        let bounds = match (least, most) {
            ((Some(least), _), (Some(most), _)) => format!("between {least} and {most}"),
            ((_, Some(least)), (_, Some(most))) => {
                format!("between {least} and {most}, both excluded")
            }
            ((_, Some(least)), (Some(most), _)) => format!("above {least} and at most {most}"),
            ((Some(least), _), (_, Some(most))) => format!("at least {least} and below {most}"),
            ((Some(least), _), _) => format!("at least {least}"),
            ((_, Some(least)), _) => format!("above {least}"),
            (_, (Some(most), _)) => format!("at most {most}"),
            (_, (_, Some(most))) => format!("below {most}"),
            _ => return,
        };
        self.add(path, format!("{value}; must be {bounds}"));
    }

    fn text(&mut self, schema: &Value, text: &str, path: &Path) {
        if schema.get("pattern").is_some() && !is_share(text) {
            let examples = list(schema, "examples").unwrap_or_default();
            let examples: Vec<String> = examples.iter().map(Value::to_string).collect();
            let expected = examples.join(" or ");
            self.add(
                path,
                format!("`{text}`; expected a share such as {expected}"),
            );
        }
    }

    fn array(&mut self, schema: &Value, entries: &[Value], path: &Path) {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if (entries.len() as u64) < least {
            self.add(path, "[]; at least one is needed".to_owned());
        }
        let is_unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        for (index, entry) in entries.iter().enumerate() {
            let path = path.index(index);
            if let Some(items) = schema.get("items") {
                self.value(items, entry, &path);
            }
            if is_unique && entries.iter().take(index).any(|earlier| earlier == entry) {
                let entry = match entry {
                    Value::Object(_) => entry.to_string(),
                    other => shown(other),
                };
                self.add(&path, format!("{entry} is listed twice"));
            }
        }
    }

    fn object(&mut self, schema: &Value, keys: &Map<String, Value>, path: &Path) {
        let empty = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let properties = properties.unwrap_or(&empty);
        for required in list(schema, "required").unwrap_or_default() {
            let name = required.as_str().unwrap_or_default();
            if !keys.contains_key(name) {
                let expected = properties.get(name).map_or(String::new(), |schema| {
                    format!("; expected {}", kind(schema))
                });
                self.add(path, format!("key `{name}` is missing{expected}"));
            }
        }
        let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        // The known keys may be many; they are listed once.
        let mut listed_for = None;
        for (key, value) in keys {
            match properties.get(key) {
                Some(schema) => self.value(schema, value, &path.key(key)),
                None if is_closed => {
                    let names = properties.keys().map(String::as_str);
                    let message = unknown_key(key, names, &mut listed_for);
                    self.add(&path.key(key), message);
                }
                None => {}
            }
        }
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> Option<&'a [Value]> {
    schema.get(key).and_then(Value::as_array).map(Vec::as_slice)
}

/// Whether a value has the type that a schema expects; its content may still be invalid.
fn accepts(schema: &Value, value: &Value) -> bool {
    if let Some(branches) = list(schema, "oneOf") {
        return branches.iter().any(|branch| accepts(branch, value));
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("number") => value.is_number(),
        // A negative number is an integer out of bounds, which makes the better message.
        Some("integer") => value.is_u64() || value.is_i64(),
        _ => match list(schema, "enum") {
            Some(known) => known
                .iter()
                .any(|known| std::mem::discriminant(known) == std::mem::discriminant(value)),
            None => true,
        },
    }
}

/// The type that a schema expects, in words.
fn kind(schema: &Value) -> String {
    if let Some(known) = list(schema, "enum") {
        let known: Vec<String> = known.iter().map(plain).collect();
        return match known.as_slice() {
            [only] => format!("\"{only}\""),
            several => format!("one of: {}", several.join(", ")),
        };
    }
    if let Some(branches) = list(schema, "oneOf") {
        let kinds: Vec<String> = branches.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let num_keys = properties.map_or(0, Map::len);
    let key = || {
        let keys: Option<Vec<&str>> =
            properties.map(|keys| keys.keys().map(String::as_str).collect());
        keys.unwrap_or_default().join(", ")
    };
    match schema.get("type").and_then(Value::as_str) {
        Some("object") if num_keys == 1 => {
            format!("{{\"{}\": …}}", key())
        }
        Some("object") => "an object".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("string") if schema.get("pattern").is_some() => {
            let examples = list(schema, "examples").unwrap_or_default();
            let examples: Vec<String> = examples.iter().map(Value::to_string).collect();
            format!("a share such as {}", examples.join(" or "))
        }
        Some("string") => "a text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("number") => "a number".to_owned(),
        Some("integer") => "a whole number".to_owned(),
        _ => "another value".to_owned(),
    }
}

fn not_among(known: &[Value], value: &Value) -> String {
    let known: Vec<String> = known.iter().map(plain).collect();
    let meant = match value {
        Value::String(name) => did_you_mean(name, known.iter().map(String::as_str)),
        _ => String::new(),
    };
    format!(
        "{}{meant}; expected one of: {}",
        shown(value),
        known.join(", ")
    )
}

/// Message about an unknown key, whose path names it. `listed_for` is the key whose message lists
/// the known ones, if there is one.
fn unknown_key<'a>(
    key: &'a str,
    names: impl Iterator<Item = &'a str> + Clone,
    listed_for: &mut Option<&'a str>,
) -> String {
    let meant = did_you_mean(key, names.clone());
    if !meant.is_empty() {
        return format!("unknown key{meant}");
    }
    match listed_for {
        Some(earlier) => format!("unknown key; expected one of those listed for `{earlier}`"),
        None => {
            *listed_for = Some(key);
            let names: Vec<&str> = names.collect();
            format!("unknown key; expected one of: {}", names.join(", "))
        }
    }
}

/// A value as a message quotes it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether the text matches the pattern of fractions: two numbers without leading zeros.
fn is_share(text: &str) -> bool {
    let is_number = |part: &str| {
        !part.is_empty() && !part.starts_with('0') && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split_once('/')
        .is_some_and(|(numerator, denominator)| is_number(numerator) && is_number(denominator))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(schema: &Value, value: &Value) -> Vec<String> {
        let faults = check(schema, value);
        let say = |fault: &Fault| match fault.path.to_string() {
            path if path.is_empty() => fault.message.clone(),
            path => format!("{path}: {}", fault.message),
        };
        faults.iter().map(say).collect()
    }

    #[test]
    fn every_fault_is_found_with_its_place() {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["kind", "size"],
            "properties": {
                "kind": {"enum": ["small", "large"]},
                "size": {"type": "integer", "minimum": 1},
                "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "sure": {"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1},
                "names": {"type": "array", "minItems": 1, "uniqueItems": true,
                          "items": {"type": "string"}},
            },
        });
        let value = json!({
            "kind": "smal", "share": 1.5, "sure": 1, "names": ["a", 3, "a"], "nmes": [],
            "other": 1, "zone": 2,
        });
        assert_eq!(
            said(&schema, &value),
            [
                "key `size` is missing; expected a whole number",
                "kind: `smal` (did you mean `small`?); expected one of: small, large",
                "names[1]: 3; expected a text",
                "names[2]: `a` is listed twice",
                "nmes: unknown key (did you mean `names`?)",
                "other: unknown key; expected one of: kind, names, share, size, sure",
                "share: 1.5; must be above 0 and at most 1",
                "sure: 1; must be between 0.5 and 1, both excluded",
                "zone: unknown key; expected one of those listed for `other`",
            ]
        );
        assert_eq!(said(&schema, &json!([])), ["a list; expected an object"]);
        assert_eq!(
            said(&schema, &json!({"kind": 3, "size": -1, "names": []})),
            [
                "kind: 3; expected one of: small, large",
                "names: []; at least one is needed",
                "size: -1; must be at least 1"
            ]
        );
    }

    #[test]
    fn a_choice_is_held_to_what_it_is_meant_to_be() {
        let one = |key: &str, most: f64| {
            json!({"type": "object", "additionalProperties": false, "required": [key],
                   "properties": {key: {"type": "number", "maximum": most}}})
        };
        let schema = json!({"oneOf": [one("kept", 9.0), one("share", 1.0)]});
        assert!(said(&schema, &json!({"kept": 4})).is_empty());
        for (value, expected) in [
            (json!({"share": 4}), "share: 4; must be at most 1"),
            (json!({"kep": 4}), "kep: unknown key (did you mean `kept`?)"),
            (json!({}), "{}; expected one of: kept, share"),
            (
                json!({"kept": 1, "share": 1}),
                "2 keys that exclude each other; expected one of: kept, share",
            ),
            (json!(7), "7; expected {\"kept\": …} or {\"share\": …}"),
        ] {
            assert_eq!(said(&schema, &value), [expected]);
        }
        let heads = json!({"oneOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": "^[1-9][0-9]*/[1-9][0-9]*$", "examples": ["3/4"]},
        ]});
        for (value, expected) in [
            (json!(0), "0; must be at least 1"),
            (json!("x"), "`x`; expected a share such as \"3/4\""),
            (
                json!(1.5),
                "1.5; expected a whole number or a share such as \"3/4\"",
            ),
        ] {
            assert_eq!(said(&heads, &value), [expected]);
        }
        let all = json!({"oneOf": [{"enum": ["all"]}, {"type": "array"}]});
        assert_eq!(
            said(&all, &json!("al")),
            ["`al`; expected \"all\" or a list"]
        );
        assert_eq!(said(&all, &json!(1)), ["1; expected \"all\" or a list"]);
    }
}
