//! Errors and problems of datasets.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use fp_scoring::Cause;

use crate::embedded::split_names;

/// A dataset that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file that can't be read.
    #[error("can't read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// An error that several readings of a dataset share.
    #[error(transparent)]
    Shared(Arc<DatasetError>),
    /// A dataset whose folder doesn't exist.
    #[error(
        "no folder `{}`{}; expected the folder of a dataset, FOLDER:SPLIT, {}",
        folder.display(),
        fp_scoring::did_you_mean(name, split_names().iter().map(String::as_str)),
        split_names().join(" or ")
    )]
    NoFolder {
        /// The name given, with its split if it has one.
        name: String,
        /// The folder.
        folder: PathBuf,
    },
    /// A folder in no known form of dataset.
    #[error(
        "{} is not a known dataset: it has no {}, no question file of {}, and no Parquet file with the columns of one of them",
        folder.display(), super::benchmark::DESCRIPTION_FILE, super::Benchmark::titles()
    )]
    UnknownForm {
        /// The folder.
        folder: PathBuf,
    },
    /// A folder with a file of a benchmark that the benchmark isn't read from.
    #[error("{} {what}; {benchmark} needs {needed}", path.display())]
    NearMiss {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// Title of the benchmark, as papers write it.
        benchmark: &'static str,
        /// Files that it is read from.
        needed: &'static str,
    },
    /// A folder with several datasets, none of them named.
    #[error(
        "{} holds several datasets; name one: {}",
        folder.display(),
        selectors.join(", ")
    )]
    Ambiguous {
        /// The folder.
        folder: PathBuf,
        /// Selector of each dataset.
        selectors: Vec<String>,
    },
    /// A split that the folder doesn't have.
    #[error(
        "{} has no split `{name}`{}; it has {}",
        folder.display(),
        fp_scoring::did_you_mean(name, known.iter().map(String::as_str)),
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    UnknownPart {
        /// The folder.
        folder: PathBuf,
        /// The name given.
        name: String,
        /// Splits that it has.
        known: Vec<String>,
    },
    /// A missing file that the dataset needs.
    #[error("{} has no {what}; expected one of: {}", folder.display(), names.join(", "))]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// What the file holds.
        what: &'static str,
        /// Names that were looked for.
        names: Vec<String>,
    },
    /// A file with the wrong content.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A file that a parser rejects.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the file is not, or which part of it is meant.
        reason: String,
        /// The parser's error.
        source: Cause,
    },
    /// An image outside of its dataset's folder.
    #[error(
        "{} is a link that leads out of its dataset's folder, to {}; --follow-links allows such links",
        path.display(), found.display()
    )]
    LeadsOut {
        /// Path as the dataset names it.
        path: PathBuf,
        /// Target of the link.
        found: PathBuf,
    },
    /// A column that is missing, or of another type.
    #[error("{}: column `{column}` is {found}; expected {expected}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Expected type.
        expected: String,
        /// Type that was found.
        found: String,
    },
    /// A dataset without reference answers.
    #[error(
        "{name} ({split}) has no reference answers; predictions are scored by {judge}: `finepruner rescore --upload` writes the file"
    )]
    NoAnswers {
        /// The dataset.
        name: String,
        /// Its split.
        split: String,
        /// Who scores it.
        judge: String,
    },
    /// A file or folder that can't be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A folder that would have to be overwritten.
    #[error("{} isn't empty; choose a new or empty folder", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// Samples that a layout has no place for.
    #[error("none of the {count} samples of {name} can be written as {layout}: {reason}")]
    NothingFits {
        /// The dataset.
        name: String,
        /// Number of its samples.
        count: usize,
        /// The layout.
        layout: &'static str,
        /// What the layout asks for.
        reason: &'static str,
    },
    /// Content whose hash differs from the one stated.
    #[error("{} has SHA-256 {found}, its description says {expected}", path.display())]
    Hash {
        /// The file.
        path: PathBuf,
        /// The hash in the description.
        expected: String,
        /// The hash of the file.
        found: String,
    },
    /// Lines, rows or entries that can't be used.
    #[error("{}: {problems}", path.display())]
    Lines {
        /// The file.
        path: PathBuf,
        /// What is wrong with which lines.
        problems: Problems,
    },
    /// A file without a question.
    #[error("{}: no question in it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// Not in the encoding of the other lines.
    Encoding,
    /// Not the JSON object or row that is expected.
    Malformed,
    /// A value of another type than the key or column has.
    WrongType,
    /// An id that an earlier line has already.
    DuplicateId,
    /// An image that doesn't exist.
    MissingImage,
    /// A question that the annotations have no answer to.
    MissingAnswer,
    /// An invalid value.
    InvalidValue,
    /// A box that lies outside its image or extends beyond it.
    BoxOutside,
    /// A stated size that differs from the image's.
    ImageSize,
}

impl ProblemKind {
    /// The kind for an error of the JSON parser.
    pub(crate) fn of_json(error: &serde_json::Error) -> ProblemKind {
        if error.to_string().starts_with("invalid type") {
            ProblemKind::WrongType
        } else {
            ProblemKind::Malformed
        }
    }

    /// Description that follows a count.
    pub const fn name(self) -> &'static str {
        match self {
            ProblemKind::Encoding => "in another encoding",
            ProblemKind::Malformed => "malformed",
            ProblemKind::WrongType => "with a value of the wrong type",
            ProblemKind::DuplicateId => "with a duplicate id",
            ProblemKind::MissingImage => "with a missing image",
            ProblemKind::MissingAnswer => "without an answer to score by",
            ProblemKind::InvalidValue => "with an invalid value",
            ProblemKind::BoxOutside => "with a box outside its image",
            ProblemKind::ImageSize => "with another size than the image's",
        }
    }
}

/// One line that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LineProblem {
    /// Number of the line, from 1.
    pub line: usize,
    /// What kind of problem.
    pub kind: ProblemKind,
    /// What was found, and what would be right.
    pub message: String,
}

/// Lines that can't be used, counted by kind; the first ones in full.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problems {
    unit: &'static str,
    counts: BTreeMap<ProblemKind, usize>,
    num_lines: usize,
    first: Vec<LineProblem>,
    #[serde(skip)]
    last_line: usize,
}

impl Default for Problems {
    fn default() -> Self {
        Problems::of("line")
    }
}

impl Problems {
    /// No problems yet, of lines that are called `unit`, such as `line`.
    pub(crate) fn of(unit: &'static str) -> Self {
        Problems {
            unit,
            counts: BTreeMap::new(),
            num_lines: 0,
            first: Vec::new(),
            last_line: 0,
        }
    }

    /// Number of problems that are kept in full.
    pub const MOST_KEPT: usize = 100_000;
    /// Number of problems that a message names.
    const MOST_SHOWN: usize = 10;

    pub(crate) fn add(&mut self, line: usize, kind: ProblemKind, message: impl Into<String>) {
        *self.counts.entry(kind).or_default() += 1;
        // Lines come in order; each may have several problems.
        if line != self.last_line {
            self.num_lines += 1;
            self.last_line = line;
        }
        if self.first.len() < Self::MOST_KEPT {
            self.first.push(LineProblem {
                line,
                kind,
                message: message.into(),
            });
        }
    }

    /// Adds the counts of problems that `other` has beyond those it keeps in full.
    pub(crate) fn add_counts_beyond(&mut self, other: &Problems) {
        let mut beyond = other.counts.clone();
        for problem in &other.first {
            if let Some(count) = beyond.get_mut(&problem.kind) {
                *count -= 1;
            }
        }
        for (kind, count) in beyond {
            if count > 0 {
                *self.counts.entry(kind).or_default() += count;
            }
        }
        self.num_lines = self.num_lines.max(other.num_lines);
    }

    /// All problems but those of one kind.
    pub(crate) fn without(&self, kind: ProblemKind) -> Problems {
        let mut others = Problems::of(self.unit);
        for problem in self.first.iter().filter(|problem| problem.kind != kind) {
            others.add(problem.line, problem.kind, problem.message.as_str());
        }
        // Problems that were only counted; each is taken to be on a line of its own.
        for (&kind, &count) in self.counts.iter().filter(|(other, _)| **other != kind) {
            let kept = others.counts.get(&kind).copied().unwrap_or_default();
            if count > kept {
                others.counts.insert(kind, count);
                others.num_lines += count - kept;
            }
        }
        others
    }

    /// Whether every line can be used.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Number of problems; a line may have several.
    pub fn len(&self) -> usize {
        self.counts.values().sum()
    }

    /// Number of lines with a problem.
    pub fn num_lines(&self) -> usize {
        self.num_lines
    }

    /// What a line is called: `line`, `row` or `entry`.
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// `1 line`, `2 lines`, `3 entries`.
    pub fn count_of_lines(&self) -> String {
        match (self.num_lines, self.unit) {
            (1, unit) => format!("1 {unit}"),
            (count, "entry") => format!("{count} entries"),
            (count, unit) => format!("{count} {unit}s"),
        }
    }

    /// Number of problems of each kind.
    pub fn counts(&self) -> &BTreeMap<ProblemKind, usize> {
        &self.counts
    }

    /// The first [`Problems::MOST_KEPT`] problems, in the order of the file.
    pub fn first(&self) -> &[LineProblem] {
        &self.first
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.unit;
        write!(f, "{} can't be used (", self.count_of_lines())?;
        for (index, (kind, count)) in self.counts.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {}", kind.name())?;
        }
        f.write_str(")")?;
        for problem in self.first.iter().take(Self::MOST_SHOWN) {
            write!(f, "\n  {unit} {}: {}", problem.line, problem.message)?;
        }
        if self.len() > Self::MOST_SHOWN {
            write!(f, "\n  and {} more", self.len() - Self::MOST_SHOWN)?;
        }
        Ok(())
    }
}
