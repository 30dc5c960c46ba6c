//! What can be wrong with a data set.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A data set that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file that can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder in no known form.
    #[error(
        "{} isn't a data set: no {} in it",
        folder.display(), super::plain::DESCRIPTION_FILE
    )]
    UnknownForm {
        /// The folder.
        folder: PathBuf,
    },
    /// A description that isn't what it has to be.
    #[error("{}: {reason}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// Content that isn't what its own hash says.
    #[error("{} has SHA-256 {found}, its description says {expected}", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// The hash in the description.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// Lines that can't be used.
    #[error("{}: {problems}", path.display())]
    Lines {
        /// The file.
        path: PathBuf,
        /// What is wrong with which lines.
        problems: Problems,
    },
    /// Nothing to ask.
    #[error("{}: no question in it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// Not the JSON object that a line has to be.
    Malformed,
    /// An id that an earlier line has.
    DuplicateId,
    /// An image that isn't there.
    MissingImage,
    /// A value that can't be meant.
    InvalidValue,
}

impl ProblemKind {
    /// In words, for a count before it.
    pub const fn name(self) -> &'static str {
        match self {
            ProblemKind::Malformed => "malformed",
            ProblemKind::DuplicateId => "with a duplicate id",
            ProblemKind::MissingImage => "with a missing image",
            ProblemKind::InvalidValue => "with an invalid value",
        }
    }
}

/// One line that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineProblem {
    /// Counted from 1.
    pub line: usize,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What was found, and what would be right.
    pub message: String,
}

/// Every line that can't be used, counted by kind; the first ones in full.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    counts: BTreeMap<ProblemKind, usize>,
    first: Vec<LineProblem>,
}

impl Problems {
    /// How many problems are kept in full.
    pub const MOST_KEPT: usize = 1000;
    /// How many problems a message names.
    const MOST_SHOWN: usize = 10;

    pub(crate) fn add(&mut self, line: usize, kind: ProblemKind, message: impl Into<String>) {
        *self.counts.entry(kind).or_default() += 1;
        if self.first.len() < Self::MOST_KEPT {
            self.first.push(LineProblem {
                line,
                kind,
                message: message.into(),
            });
        }
    }

    /// Whether every line can be used.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Lines that can't be used.
    pub fn len(&self) -> usize {
        self.counts.values().sum()
    }

    /// Lines of each kind of problem.
    pub fn counts(&self) -> &BTreeMap<ProblemKind, usize> {
        &self.counts
    }

    /// The first [`Problems::MOST_KEPT`], in the order of the file.
    pub fn first(&self) -> &[LineProblem] {
        &self.first
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.len() == 1 { "line" } else { "lines" };
        write!(f, "{} {plural} can't be used (", self.len())?;
        for (index, (kind, count)) in self.counts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {}", kind.name())?;
        }
        f.write_str(")")?;
        for problem in self.first.iter().take(Self::MOST_SHOWN) {
            write!(f, "\n  line {}: {}", problem.line, problem.message)?;
        }
        if self.len() > Self::MOST_SHOWN {
            write!(f, "\n  and {} more", self.len() - Self::MOST_SHOWN)?;
        }
        Ok(())
    }
}
