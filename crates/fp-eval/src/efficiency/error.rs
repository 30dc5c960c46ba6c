//! Errors of efficiency measurements.

use std::path::PathBuf;

/// Efficiency can't be measured, or a measurement can't be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EfficiencyError {
    /// An error of the model.
    #[error(transparent)]
    Model(#[from] fp_model::ModelError),
    /// An error of a study's folder, configuration or data.
    #[error(transparent)]
    Study(#[from] crate::study::StudyError),
    /// The model is too large for its device.
    #[error(transparent)]
    Memory(#[from] crate::study::DoesNotFit),
    /// An error of the shipped files.
    #[error(transparent)]
    Embedded(#[from] fp_data::embedded::EmbeddedError),
    /// An error of the dataset that provides the image and the question.
    #[error(transparent)]
    Dataset(#[from] fp_data::dataset::DatasetError),
    /// A number is out of range.
    #[error(transparent)]
    OutOfRange(#[from] super::settings::SettingOutOfRange),
    /// An invalid setting.
    #[error("{what} is {found}; expected {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What was given.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// A file can't be read or written.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// The action that failed.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that isn't a measurement of this version.
    #[error("{} is not a measurement that this version can read", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The error in its content.
        source: serde_json::Error,
    },
    /// A measurement can't be written as JSON.
    #[error("cannot write the measurement as JSON")]
    Json(#[from] serde_json::Error),
    /// Threads can't be started.
    #[error("cannot start {count} threads: {reason}")]
    Threads {
        /// Number of threads.
        count: usize,
        /// The reason.
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
