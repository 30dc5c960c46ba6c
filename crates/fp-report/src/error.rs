//! Why a report can't be made.

use std::path::PathBuf;

use fp_data::metric::MetricError;
use fp_eval::study::StudyError;
use fp_scoring::{BudgetError, ScoringError};
use fp_stats::StatsError;

/// Why a report can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The run's folder can't be used.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// A record that doesn't fit its run.
    #[error("sample {index} ({id}): {reason}")]
    Record {
        /// Index of the sample in the run.
        index: usize,
        /// Its id.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// Impossible kept tokens.
    #[error("sample {index} ({id}) has invalid kept tokens")]
    Kept {
        /// Index of the sample in the run.
        index: usize,
        /// Its id.
        id: String,
        /// What is wrong with the tokens.
        source: ScoringError,
    },
    /// Costs that can't be counted.
    #[error("the costs of the run's cells can't be counted")]
    Costs(#[from] BudgetError),
    /// A run without samples.
    #[error("{} holds no sample yet; run the study first", folder.display())]
    NoSamples {
        /// The run's folder.
        folder: PathBuf,
    },
    /// Two runs that have nothing in common.
    #[error("{} and {} can't be compared: {reason}", first.display(), second.display())]
    Incomparable {
        /// One run's folder.
        first: PathBuf,
        /// The other run's folder.
        second: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A measurement of efficiency that can't be read.
    #[error(transparent)]
    Efficiency(#[from] fp_eval::efficiency::EfficiencyError),
    /// Published rows that can't be used.
    #[error(transparent)]
    Published(#[from] crate::published::PublishedError),
    /// A statistic that can't be computed.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A measure of visual tokens that can't be computed.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// Results that can't be written as JSON.
    #[error("cannot write {what} as JSON")]
    Json {
        /// Name of the value.
        what: &'static str,
        /// The cause.
        source: serde_json::Error,
    },
    /// A file that can't be written.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}
