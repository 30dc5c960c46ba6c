//! Data sets: where samples come from.

mod error;
pub mod plain;
mod sheet;

pub use error::{DatasetError, LineProblem, ProblemKind, Problems};
pub use sheet::{SheetError, SheetOptions, contact_sheet};

use crate::metric::AnswerRule;
use crate::sample::Sample;
use std::path::{Path, PathBuf};

/// A data set, read: what it says of itself, and its samples in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// What it is called.
    pub name: String,
    /// Which part of it this is.
    pub split: String,
    /// How answers are scored.
    pub answer_rule: AnswerRule,
    /// Kinds of question that it holds; empty where it doesn't say.
    pub families: Vec<String>,
    /// Under what terms it may be used.
    pub license: Option<String>,
    /// Where it comes from.
    pub source: Option<String>,
    /// The folder it lies in.
    pub folder: PathBuf,
    /// Files that its content is defined by, beside the images.
    pub files: Vec<PathBuf>,
    /// The samples, in the order of the file.
    pub samples: Vec<Sample>,
}

/// Loads the data set in `folder`, in whichever form it is.
///
/// # Errors
/// A folder in no known form, or as its form's loader.
pub fn load(folder: &Path) -> Result<Dataset, DatasetError> {
    match plain::is_plain(folder) {
        true => plain::load(folder),
        false => Err(DatasetError::UnknownForm {
            folder: folder.to_owned(),
        }),
    }
}
