//! One thing that is wrong, and where.

use std::fmt;

/// One thing that is wrong with a file or with a setting.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// The line that it stands in, counted from 1, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, counted from 1, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The key, such as `budgets[1].retention`, or the flag, such as `--keep`; empty for
    /// a file as a whole.
    pub place: String,
    /// What was found, and what would be right.
    pub message: String,
}

impl Problem {
    /// Of the value at `place`; its line is not known yet.
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
