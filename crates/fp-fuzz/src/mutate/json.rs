//! Damage to JSON, with a writer of its own that can repeat keys and write invalid numbers.

use serde_json::Value;

use super::text::word;
use crate::random::Random;

/// Numbers as text, some of which are invalid JSON.
const NUMBERS: [&str; 26] = [
    "0",
    "-0",
    "-1",
    "1",
    "2",
    "255",
    "65535",
    "1000000",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e999",
    "-1e999",
    "1e308",
    "5e-324",
    "0.5",
    "NaN",
    "Infinity",
    "-Infinity",
    "1.0000000000000000000000000000000000001",
];

/// A JSON value as text, parts of which may be invalid.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// Text that is written unchanged.
    Raw(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    fn of(value: &Value) -> Node {
        match value {
            Value::Array(list) => Node::List(list.iter().map(Node::of).collect()),
            Value::Object(object) => {
                let entries = object.iter();
                Node::Object(entries.map(|(k, v)| (k.clone(), Node::of(v))).collect())
            }
            other => Node::Raw(other.to_string()),
        }
    }

    /// Number of values in it, itself included.
    fn count(&self) -> usize {
        match self {
            Node::Raw(_) => 1,
            Node::List(list) => 1 + list.iter().map(Node::count).sum::<usize>(),
            Node::Object(entries) => 1 + entries.iter().map(|(_, v)| v.count()).sum::<usize>(),
        }
    }

    /// The value at index `place` in the order of the text; 0 is the value itself.
    fn at(&mut self, mut place: usize) -> Option<&mut Node> {
        if place == 0 {
            return Some(self);
        }
        place -= 1;
        let children: Vec<&mut Node> = match self {
            Node::Raw(_) => return None,
            Node::List(list) => list.iter_mut().collect(),
            Node::Object(entries) => entries.iter_mut().map(|(_, value)| value).collect(),
        };
        for child in children {
            let count = child.count();
            if place < count {
                return child.at(place);
            }
            place -= count;
        }
        None
    }

    fn write(&self, text: &mut String) {
        match self {
            Node::Raw(raw) => text.push_str(raw),
            Node::List(list) => {
                text.push('[');
                for (index, value) in list.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    value.write(text);
                }
                text.push(']');
            }
            Node::Object(entries) => {
                text.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    text.push_str(if index == 0 { "" } else { "," });
                    text.push_str(&Value::from(key.as_str()).to_string());
                    text.push(':');
                    value.write(text);
                }
                text.push('}');
            }
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }
}

/// A value of an unusual type or size.
fn strange(random: &mut Random) -> Node {
    let raw = |text: &str| Node::Raw(text.to_owned());
    match random.below(12) {
        0..=4 => raw(random.pick(&NUMBERS).copied().unwrap_or_default()),
        5 => raw("null"),
        6 => raw(if random.one_in(2) { "true" } else { "false" }),
        7 => Node::List(Vec::new()),
        8 => Node::Object(Vec::new()),
        9 => {
            let depth = random.length(3000);
            let (open, close) = if random.one_in(2) {
                ("[", "]")
            } else {
                ("{\"a\":", "}")
            };
            Node::Raw(format!("{}1{}", open.repeat(depth), close.repeat(depth)))
        }
        _ => Node::Raw(Value::from(word(random)).to_string()),
    }
}

/// Makes a list long, or changes its length or order.
fn change_list(list: &mut Vec<Node>, random: &mut Random) {
    let at = random.below(list.len());
    match random.below(6) {
        0 if !list.is_empty() => drop(list.remove(at)),
        1 => list.insert(at, strange(random)),
        2 => list.truncate(at),
        3 if !list.is_empty() => {
            let to = random.below(list.len());
            list.swap(at, to);
        }
        _ => {
            let value = list.get(at).cloned().unwrap_or_else(|| strange(random));
            let times = if random.one_in(8) {
                random.length(3000)
            } else {
                1
            };
            list.splice(at..at, std::iter::repeat_n(value, times));
        }
    }
}

/// Removes, repeats or renames keys, or changes their values.
fn change_object(entries: &mut Vec<(String, Node)>, random: &mut Random) {
    if entries.is_empty() {
        entries.push((word(random), strange(random)));
        return;
    }
    let at = random.below(entries.len());
    let to = random.below(entries.len());
    match random.below(6) {
        0 => drop(entries.remove(at)),
        1 => entries.insert(to, entries[at].clone()),
        2 => entries.insert(to, (entries[at].0.clone(), strange(random))),
        3 => entries[at].0 = word(random),
        4 => {
            let name = entries[to].0.clone();
            entries[at].0 = name;
        }
        _ => {
            let value = entries[to].1.clone();
            entries[at].1 = value;
        }
    }
}

/// Makes one change to a value.
fn change(root: &mut Node, other: &mut Node, random: &mut Random) {
    let place = random.below(root.count());
    let Some(node) = root.at(place) else {
        return;
    };
    if random.one_in(8) {
        // Replaced by a part of the other value.
        let from = random.below(other.count());
        if let Some(part) = other.at(from) {
            *node = part.clone();
        }
        return;
    }
    if random.one_in(16) {
        *node = Node::List(vec![node.clone()]);
        return;
    }
    match node {
        Node::List(list) if !random.one_in(4) => change_list(list, random),
        Node::Object(entries) if !random.one_in(4) => change_object(entries, random),
        Node::Raw(raw) if raw.starts_with('"') && random.one_in(2) => {
            *raw = Value::from(changed_text(raw, random)).to_string();
        }
        Node::Raw(raw) if raw.starts_with(|c: char| c.is_ascii_digit()) && random.one_in(4) => {
            // Slightly more or less.
            let number = raw.parse::<i64>().unwrap_or_default();
            let step = random.length(3) as i64;
            let number = number.wrapping_add(if random.one_in(2) { step } else { -step });
            *raw = number.to_string();
        }
        node => *node = strange(random),
    }
}

/// Inserts something into a text, truncates it or repeats it.
fn changed_text(raw: &str, random: &mut Random) -> String {
    let text: String = serde_json::from_str(raw).unwrap_or_default();
    let letters: Vec<char> = text.chars().collect();
    let at = random.below(letters.len() + 1);
    let (before, after) = letters.split_at(at);
    let [before, after]: [String; 2] = [before, after].map(|part| part.iter().collect());
    match random.below(4) {
        0 => before,
        1 => after,
        2 => text.repeat(random.length(300)),
        _ => before + &word(random) + &after,
    }
}

/// Makes one change to a document; `None` if it is no JSON.
pub(super) fn document(seed: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    let mut root = Node::of(&serde_json::from_slice(seed).ok()?);
    let other = serde_json::from_slice(other).unwrap_or(Value::Null);
    change(&mut root, &mut Node::of(&other), random);
    Some(root.text().into_bytes())
}

/// The beginning of a line of a run's records; its checksum is recomputed.
const CHECKED: &[u8] = b"{\"crc32\":\"";

/// Makes one change to a line, or to the order of lines.
pub(super) fn lines(seed: &[u8], other: &[u8], random: &mut Random) -> Option<Vec<u8>> {
    if random.one_in(6) {
        return super::text::table(seed, other, random);
    }
    let mut lines: Vec<Vec<u8>> = seed.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let others: Vec<&[u8]> = other.split(|b| *b == b'\n').collect();
    let at = random.below(lines.len());
    let other = random.pick(&others).copied().unwrap_or_default();
    lines[at] = if lines[at].starts_with(CHECKED) && !random.one_in(8) {
        let value: Value = serde_json::from_slice(&lines[at]).ok()?;
        let content = value["sample"].to_string();
        let other: Value = serde_json::from_slice(other).unwrap_or_default();
        let other = other["sample"].to_string();
        let content = document(content.as_bytes(), other.as_bytes(), random)?;
        checked_line(&content)
    } else {
        document(&lines[at], other, random)?
    };
    Some(lines.join(&b'\n'))
}

fn checked_line(content: &[u8]) -> Vec<u8> {
    let sum = crc32fast::hash(content);
    let mut line = format!("{{\"crc32\":\"{sum:08x}\",\"sample\":").into_bytes();
    line.extend_from_slice(content);
    line.push(b'}');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &[u8] = br#"{"a":[1,{"b":"x"}],"c":null}"#;

    #[test]
    fn values_are_found_in_the_order_of_the_text() {
        let mut node = Node::of(&serde_json::from_slice(SEED).unwrap());
        assert_eq!(node.count(), 6);
        let texts: Vec<String> = (0..6).map(|at| node.at(at).unwrap().text()).collect();
        let expected = [
            r#"{"a":[1,{"b":"x"}],"c":null}"#,
            r#"[1,{"b":"x"}]"#,
            "1",
            r#"{"b":"x"}"#,
            r#""x""#,
            "null",
        ];
        assert_eq!(texts, expected);
        assert_eq!(node.at(6), None);
    }

    /// Most damaged documents are still JSON; keys are repeated and numbers become extreme.
    #[test]
    fn damage_reaches_past_the_parser() {
        let damaged = (0..2000).map(|number| {
            let mut random = Random::of_input(5, "json", number);
            document(SEED, SEED, &mut random).unwrap()
        });
        let damaged: Vec<Vec<u8>> = damaged.collect();
        let is_json = |text: &&Vec<u8>| serde_json::from_slice::<Value>(text).is_ok();
        assert!(damaged.iter().filter(is_json).count() > 1500);
        let has = |part: &str| {
            let part = part.as_bytes();
            damaged
                .iter()
                .any(|text| text.windows(part.len()).any(|window| window == part))
        };
        assert!(has("1e999") && has("[[[[[[[[") && has("18446744073709551616"));
        assert!(has(r#""c":null,"c":null"#));
    }

    #[test]
    fn checksums_fit_again() {
        let line = checked_line(br#"{"index":3}"#);
        let text = String::from_utf8(line.clone()).unwrap();
        assert!(text.ends_with(r#"","sample":{"index":3}}"#), "{text}");
        let fitting = (0..200).filter(|number| {
            let mut random = Random::of_input(1, "lines", *number);
            let Some(damaged) = lines(&line, &line, &mut random) else {
                return false;
            };
            let rest = damaged.strip_prefix(CHECKED);
            let sum = rest.and_then(|rest| rest.get(..8));
            let content = damaged.get(29..damaged.len().saturating_sub(1));
            content.is_some_and(|content| {
                sum == Some(format!("{:08x}", crc32fast::hash(content)).as_bytes())
                    && content != br#"{"index":3}"#
            })
        });
        assert!(fitting.count() > 100);
    }
}
