//! A problem and its position.

use std::fmt;

/// A problem of a file or of a setting.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Line, counted from 1, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column, counted from 1, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The key, such as `budgets[1].retention`, or the flag, such as `--keep`; empty for a file as
    /// a whole.
    pub place: String,
    /// What was found, and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem of the value at `place`, whose line is not known yet.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem {
            line: None,
            column: None,
            place: place.into(),
            message: message.into(),
        }
    }
}

/// `place: message`, without the line.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.place, self.message)
        }
    }
}
