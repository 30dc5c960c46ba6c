//! Data sets: where samples come from.

mod error;
pub mod plain;
mod sheet;

pub use error::{DatasetError, LineProblem, ProblemKind, Problems};
pub use sheet::{SheetError, SheetOptions, contact_sheet};

use crate::sample::Sample;
use std::path::PathBuf;

/// A data set, read: what it says of itself, and its samples in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What it is called.
    pub name: String,
    /// Which part of it this is.
    pub split: String,
    /// How answers are scored.
    pub answer_rule: String,
    /// Kinds of question that it holds; empty where it doesn't say.
    pub families: Vec<String>,
    /// Under what terms it may be used.
    pub license: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// Files that its content is defined by, beside the images.
    pub files: Vec<PathBuf>,
    /// The samples, in the order of the file.
    pub samples: Vec<Sample>,
}
