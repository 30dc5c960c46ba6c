//! A JSON text with the positions of its values.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{Path, Problem};

/// A valid JSON text.
#[derive(Debug)]
pub struct Document {
    /// The parsed value; of a repeated key, the last value.
    pub value: Value,
    /// Line and column of every value, both counted from 1, by its displayed path.
    places: HashMap<String, (usize, usize)>,
    /// Keys that occur more than once in an object.
    pub duplicates: Vec<Problem>,
}

impl Document {
    /// Parses a text.
    ///
    /// # Errors
    /// Invalid JSON, with line and column.
    pub fn parse(text: &str) -> Result<Document, Problem> {
        if text.trim().is_empty() {
            return Err(Problem::new(
                "",
                "the file is empty; expected a JSON object",
            ));
        }
        let value = serde_json::from_str(text).map_err(|error| {
            let said = error.to_string();
            let said = said.split(" at line ").next().unwrap_or(&said);
            Problem {
                line: Some(error.line()),
                column: Some(error.column()),
                ..Problem::new("", format!("not valid JSON: {said}"))
            }
        })?;
        let mut scanner = Scanner {
            text,
            at: 0,
            line: 1,
            line_start: 0,
            places: HashMap::new(),
            duplicates: Vec::new(),
        };
        scanner.value(&Path::default());
        Ok(Document {
            value,
            places: scanner.places,
            duplicates: scanner.duplicates,
        })
    }

    /// Adds line and column to a problem whose place is in the document.
    pub fn locate(&self, problem: &mut Problem) {
        if problem.line.is_none()
            && let Some(&(line, column)) = self.places.get(&problem.place)
        {
            (problem.line, problem.column) = (Some(line), Some(column));
        }
    }
}

/// Walks a text that is known to be valid JSON, which keeps this simple. The parser has limited the
/// nesting, so the recursion is bounded.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    line_start: usize,
    places: HashMap<String, (usize, usize)>,
    duplicates: Vec<Problem>,
}

impl Scanner<'_> {
    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn skip_space(&mut self) {
        while self.peek().is_ascii_whitespace() {
            if self.peek() == b'\n' {
                self.line += 1;
                self.line_start = self.at + 1;
            }
            self.at += 1;
        }
    }

    fn column(&self) -> usize {
        let before = self.text.get(self.line_start..self.at);
        before.map_or(0, |before| before.chars().count()) + 1
    }

    fn value(&mut self, path: &Path) {
        self.skip_space();
        // Of a repeated key the last value counts, as in the parser.
        let place = (self.line, self.column());
        self.places.insert(path.to_string(), place);
        match self.peek() {
            b'{' => self.object(path),
            b'[' => self.array(path),
            b'"' => self.string(),
            _ => {
                while !matches!(self.peek(), b',' | b']' | b'}' | 0)
                    && !self.peek().is_ascii_whitespace()
                {
                    self.at += 1;
                }
            }
        }
        self.skip_space();
    }

    fn object(&mut self, path: &Path) {
        let mut keys = HashSet::new();
        self.at += 1;
        self.skip_space();
        while self.peek() == b'"' {
            let (start, line, column) = (self.at, self.line, self.column());
            self.string();
            let key: String = self
                .text
                .get(start..self.at)
                .and_then(|key| serde_json::from_str(key).ok())
                .unwrap_or_default();
            self.skip_space();
            self.at += 1; // The colon.
            let inner = path.key(&key);
            self.value(&inner);
            if !keys.insert(key) {
                self.duplicates.push(Problem {
                    line: Some(line),
                    column: Some(column),
                    ..Problem::new(
                        inner.to_string(),
                        "the key is given twice; remove one of them",
                    )
                });
            }
            self.comma();
        }
        self.at += 1;
    }

    fn array(&mut self, path: &Path) {
        self.at += 1;
        self.skip_space();
        let mut index = 0;
        while !matches!(self.peek(), b']' | 0) {
            self.value(&path.index(index));
            index += 1;
            self.comma();
        }
        self.at += 1;
    }

    fn comma(&mut self) {
        if self.peek() == b',' {
            self.at += 1;
            self.skip_space();
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while !matches!(self.peek(), b'"' | 0) {
            self.at += 1 + usize::from(self.peek() == b'\\');
        }
        self.at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(document: &Document, place: &str) -> (usize, usize) {
        let mut problem = Problem::new(place, "");
        document.locate(&mut problem);
        (problem.line.unwrap(), problem.column.unwrap())
    }

    #[test]
    fn every_value_has_its_line_and_column() {
        let text = "{\n  \"a\": [1, {\"b\\\"}\": \"é,]\", \"c\": null}],\r\n\t\"d\":{ }\n, \"e\" : -1.5e3 }";
        let document = Document::parse(text).unwrap();
        for (path, expected) in [
            ("", (1, 1)),
            ("a", (2, 8)),
            ("a[0]", (2, 9)),
            ("a[1]", (2, 12)),
            ("a[1].b\"}", (2, 21)),
            ("a[1].c", (2, 33)),
            ("d", (3, 6)),
            ("e", (4, 9)),
        ] {
            assert_eq!(place(&document, path), expected, "{path}");
        }
        assert!(document.duplicates.is_empty());
    }

    #[test]
    fn keys_that_come_twice_are_named() {
        let document =
            Document::parse("{\"a\": 1,\n \"b\": {\"a\": 1, \"a\": 2},\n\"a\": 3}").unwrap();
        let found: Vec<_> = document
            .duplicates
            .iter()
            .map(|problem| (problem.line.unwrap(), problem.place.as_str()))
            .collect();
        assert_eq!(found, [(2, "b.a"), (3, "a")]);
    }

    #[test]
    fn what_is_no_json_says_where_once() {
        let problem = Document::parse("{\n \"a\": }").unwrap_err();
        assert_eq!((problem.line, problem.column), (Some(2), Some(7)));
        assert_eq!(problem.message, "not valid JSON: expected value");
        let problem = Document::parse(" \n").unwrap_err();
        assert!(problem.message.contains("is empty"), "{problem}");
    }

    #[test]
    fn deep_nesting_is_an_error_of_the_parser() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(Document::parse(&deep).is_err());
    }
}
