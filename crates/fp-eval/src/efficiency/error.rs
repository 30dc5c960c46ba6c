//! Why efficiency can't be measured.

use std::path::PathBuf;

/// Why efficiency can't be measured, or a measurement can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EfficiencyError {
    /// The model, or what it was asked to do.
    #[error(transparent)]
    Model(#[from] fp_model::ModelError),
    /// A study's folder, configuration or data.
    #[error(transparent)]
    Study(#[from] crate::study::StudyError),
    /// A model that is too large for its device.
    #[error(transparent)]
    Memory(#[from] crate::study::DoesNotFit),
    /// The shipped files.
    #[error(transparent)]
    Embedded(#[from] fp_data::embedded::EmbeddedError),
    /// The data that an image and a question are taken from.
    #[error(transparent)]
    Dataset(#[from] fp_data::dataset::DatasetError),
    /// A number out of range.
    #[error(transparent)]
    OutOfRange(#[from] super::settings::SettingOutOfRange),
    /// A setting that nothing can be measured with.
    #[error("{what} is {found}; expected {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What was given.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A file that can't be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is no measurement of this version.
    #[error("{} is not a measurement that this version can read", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A measurement that can't be written as JSON.
    #[error("cannot write the measurement as JSON")]
    Json(#[from] serde_json::Error),
    /// Threads that couldn't be started.
    #[error("cannot start {count} threads: {reason}")]
    Threads {
        /// How many.
        count: usize,
        /// Why.
        reason: String,
    },
}

impl From<fp_scoring::BudgetError> for EfficiencyError {
    fn from(error: fp_scoring::BudgetError) -> EfficiencyError {
        EfficiencyError::Model(error.into())
    }
}

impl From<fp_scoring::ScoringError> for EfficiencyError {
    fn from(error: fp_scoring::ScoringError) -> EfficiencyError {
        EfficiencyError::Model(error.into())
    }
}

impl From<candle_core::Error> for EfficiencyError {
    fn from(error: candle_core::Error) -> EfficiencyError {
        EfficiencyError::Model(error.into())
    }
}
