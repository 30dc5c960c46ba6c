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
    /// The run's folder.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// A record that doesn't fit the run that it is from.
    #[error("sample {index} ({id}): {reason}")]
    Record {
        /// Position of the sample in the run.
        index: usize,
        /// Its id.
        id: String,
        /// What is wrong.
        reason: String,
    },
    /// Kept tokens that no image has.
    #[error("the tokens that sample {index} ({id}) kept can't be")]
    Kept {
        /// Position of the sample in the run.
        index: usize,
        /// Its id.
        id: String,
        /// What is wrong with them.
        source: ScoringError,
    },
    /// Costs that can't be counted.
    #[error("the costs of the run's cells can't be counted")]
    Costs(#[from] BudgetError),
    /// Nothing to report on.
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
        /// The other's.
        second: PathBuf,
        /// Why.
        reason: String,
    },
    /// A measurement of efficiency that can't be read.
    #[error(transparent)]
    Efficiency(#[from] fp_eval::efficiency::EfficiencyError),
    /// The published rows that stand beside figures.
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
        /// What was to be written.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// A file that can't be written.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
