//! Why a study can't be run, resumed, or read.

use std::path::PathBuf;

use fp_scoring::error_text;

use super::config::ConfigError;
use super::grid::GridError;
use super::line::LineError;
use super::records::{BlockError, RECORDS_FILE};

/// Why a study can't be run, resumed, or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration on this model.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// A file of selections.
    #[error(transparent)]
    Selections(#[from] super::selection_file::SelectionFileError),
    /// The data.
    #[error(transparent)]
    Dataset(#[from] fp_data::dataset::DatasetError),
    /// Several datasets, each with what is wrong with it.
    #[error("{} datasets can't be used\n{}", .0.len(), texts(.0))]
    Several(Vec<StudyError>),
    /// The shipped files.
    #[error(transparent)]
    Embedded(#[from] fp_data::embedded::EmbeddedError),
    /// The model.
    #[error(transparent)]
    Model(#[from] fp_model::ModelError),
    /// A name that no device has, or a device that isn't there.
    #[error("device `{name}` can't be used")]
    Device {
        /// As configured.
        name: String,
        /// What is wrong.
        source: fp_model::ModelError,
    },
    /// A model that is too large for its device.
    #[error(transparent)]
    Memory(#[from] super::needs::DoesNotFit),
    /// A file or folder that can't be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of a run folder that isn't what it has to be.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of a run folder that isn't the JSON that it has to be.
    #[error("{} doesn't hold the JSON of a run", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A line of the records that was changed or damaged, or that is none of this run.
    #[error("{}, line {line} {}", path.display(), what_of_line(source))]
    Line {
        /// The records.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        source: LineError,
    },
    /// A block of the records that was changed or damaged, or that is none of this run.
    #[error("{}, block {block} {}", path.display(), what_of_block(source, *offset))]
    Block {
        /// The records.
        path: PathBuf,
        /// Counted from 1.
        block: usize,
        /// Bytes of the blocks before it.
        offset: u64,
        /// What is wrong.
        source: BlockError,
    },
    /// A record that isn't the one that belongs there.
    #[error("{}, record {line}: it is sample {found}; expected {expected}", path.display())]
    Order {
        /// The records.
        path: PathBuf,
        /// Its place in the file, counted from 1.
        line: usize,
        /// The sample found.
        found: usize,
        /// The sample, or end, that belongs there.
        expected: String,
    },
    /// A folder with other files in it.
    #[error("{} isn't the folder of a run and isn't empty; name a new one", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// A run that was started otherwise.
    #[error(
        "{} was started with {} than now; resume it with the original settings, name another folder, or accept the change (--accept-changes)",
        path.display(), changes.join(", ")
    )]
    Changed {
        /// The run's folder.
        path: PathBuf,
        /// What differs.
        changes: Vec<String>,
    },
    /// A run whose records can't be added to, whatever is accepted.
    #[error("{}: {reason}; its records can't be added to; name another folder", path.display())]
    Incompatible {
        /// The run's folder.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// Another program writes to the folder.
    #[error("another run is writing to {}: {holder}", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
        /// Which program.
        holder: String,
    },
    /// A program that can't be checked from here writes to the folder, or did when it
    /// ended.
    #[error(
        "{} is locked by {holder}, which can't be checked from here; if that has ended, delete {} and start again",
        path.display(), lock.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The lock.
        lock: PathBuf,
        /// Which program.
        holder: String,
    },
    /// Runs that aren't shards of one.
    #[error("{} and {} can't be merged: {reason}", first.display(), second.display())]
    Merge {
        /// One folder.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Why.
        reason: String,
    },
    /// Shards that don't make a whole.
    #[error(
        "{missing} of {expected} samples are in none of the folders, the first one is sample {first}{}",
        listed(holes)
    )]
    Incomplete {
        /// Samples missing.
        missing: usize,
        /// Samples of the whole run.
        expected: usize,
        /// The first one missing.
        first: usize,
        /// Shards that aren't given or aren't finished, in words.
        holes: Vec<String>,
    },
    /// A setting of the run itself.
    #[error("{what}: {found}; {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What was given.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// Threads that couldn't be started.
    #[error("cannot start threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// Stopped as it was asked to, with everything recorded so far on the disk.
    #[error("stopped with {done} of {total} samples recorded in {}", folder.display())]
    Stopped {
        /// The run's folder; the same study with the same folder is resumed there.
        folder: PathBuf,
        /// Samples that are recorded.
        done: usize,
        /// Samples of this run or shard.
        total: usize,
    },
}

/// What a line is, and what can be done about it: cutting the file helps where a line is torn
/// or damaged, and hides the fault where records and run don't belong together.
fn what_of_line(error: &LineError) -> &'static str {
    match error {
        LineError::Frame | LineError::Checksum { .. } => {
            "was damaged or changed after it was written; unless it was edited, the lines before \
             it are intact, and the run can be resumed after truncating the file there"
        }
        LineError::Content(_) => {
            "is intact, but isn't a record that this version reads; another version or program wrote it"
        }
        LineError::Value { .. } => {
            "is intact, but doesn't match the run that run.json beside it describes: one of the \
             two was edited or comes from another run, so restore them together"
        }
    }
}

/// The same of a block.
fn what_of_block(error: &BlockError, offset: u64) -> String {
    match error {
        BlockError::Header | BlockError::Checksum { .. } => format!(
            "was damaged or changed after it was written; if there is no copy of the file, the \
             blocks before it are intact, and the run can be resumed after truncating the file \
             to its first {offset} bytes (and deleting {RECORDS_FILE} beside it, if there is one)"
        ),
        BlockError::Content { .. } => {
            "is intact, but isn't a block that this version reads; another version or program wrote it"
                .to_owned()
        }
        BlockError::Record { source, .. } => what_of_line(source).to_owned(),
    }
}

/// What follows a sentence, behind a colon.
fn listed(parts: &[String]) -> String {
    if parts.is_empty() {
        String::new()
    } else {
        format!(": {}", parts.join(", "))
    }
}

fn texts(errors: &[StudyError]) -> String {
    let texts: Vec<String> = errors.iter().map(|error| error_text(error)).collect();
    texts.join("\n")
}

impl StudyError {
    pub(crate) fn json(path: impl Into<PathBuf>) -> impl FnOnce(serde_json::Error) -> StudyError {
        let path = path.into();
        move |source| StudyError::Json { path, source }
    }

    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> StudyError {
        let path = path.into();
        move |source| StudyError::Io {
            doing,
            path,
            source,
        }
    }
}
