//! Errors of running, resuming and reading studies.

use std::path::PathBuf;

use fp_scoring::error_text;

use super::config::ConfigError;
use super::grid::GridError;
use super::line::LineError;
use super::records::{BlockError, RECORDS_FILE};

/// A study can't be run, resumed, or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// An error of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration doesn't fit this model.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// An error of a file of selections.
    #[error(transparent)]
    Selections(#[from] super::selection_file::SelectionFileError),
    /// An error of a dataset.
    #[error(transparent)]
    Dataset(#[from] fp_data::dataset::DatasetError),
    /// Several datasets can't be used, each with its error.
    #[error("{} datasets can't be used\n{}", .0.len(), texts(.0))]
    Several(Vec<StudyError>),
    /// An error of the shipped files.
    #[error(transparent)]
    Embedded(#[from] fp_data::embedded::EmbeddedError),
    /// An error of the model.
    #[error(transparent)]
    Model(#[from] fp_model::ModelError),
    /// An unknown device name, or a device that isn't available.
    #[error("device `{name}` can't be used")]
    Device {
        /// The name as configured.
        name: String,
        /// The device's error.
        source: fp_model::ModelError,
    },
    /// The model is too large for its device.
    #[error(transparent)]
    Memory(#[from] super::needs::DoesNotFit),
    /// A file or folder can't be read or written.
    #[error("can't {doing} {}", path.display())]
    Io {
        /// The action that failed.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file of a run folder has invalid content.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of a run folder isn't the expected JSON.
    #[error("{} isn't the JSON of a run", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// A line of the records was changed or damaged, or doesn't belong to this run.
    #[error("{}, line {line} {}", path.display(), what_of_line(source))]
    Line {
        /// The records file.
        path: PathBuf,
        /// Number of the line, counted from 1.
        line: usize,
        /// What is wrong.
        source: LineError,
    },
    /// A block of the records was changed or damaged, or doesn't belong to this run.
    #[error("{}, block {block} {}", path.display(), what_of_block(source, *offset))]
    Block {
        /// The records file.
        path: PathBuf,
        /// Number of the block, counted from 1.
        block: usize,
        /// Bytes of the blocks before it.
        offset: u64,
        /// What is wrong.
        source: BlockError,
    },
    /// A record is of another sample than expected at its place.
    #[error("{}, record {line}: it is sample {found}; expected {expected}", path.display())]
    Order {
        /// The records file.
        path: PathBuf,
        /// Its place in the file, counted from 1.
        line: usize,
        /// The sample found.
        found: usize,
        /// The expected sample, or the end.
        expected: String,
    },
    /// The folder of a run is expected, and this is none.
    #[error("{} is not the folder of a run: {}", path.display(), if path.is_dir() { "it has no run.json" } else { "there is no such folder" })]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// The folder contains other files.
    #[error("{} isn't the folder of a run and isn't empty; name a new one", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// The run was started with different settings.
    #[error(
        "{} was started with different settings: {}; resume it with the original settings, name another folder, or accept the change (--accept-changes)",
        path.display(), changes.join(", ")
    )]
    Changed {
        /// The run's folder.
        path: PathBuf,
        /// The differences, in words.
        changes: Vec<String>,
    },
    /// No records can be added to the run, even if changes are accepted.
    #[error("{}: {reason}; no records can be added to it; name another folder", path.display())]
    Incompatible {
        /// The run's folder.
        path: PathBuf,
        /// The difference.
        reason: String,
    },
    /// Another program writes to the folder.
    #[error("another run is writing to {}: {holder}", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
        /// Description of the program.
        holder: String,
    },
    /// A program that can't be checked from here is writing to the folder, or left its lock there.
    #[error(
        "{} is locked by {holder}, which can't be checked from here; if that has ended, delete {} and start again",
        path.display(), lock.display()
    )]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// Description of the program.
        holder: String,
    },
    /// The runs aren't shards of one run.
    #[error("{} and {} can't be merged: {reason}", first.display(), second.display())]
    Merge {
        /// One folder.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Shards don't cover the whole run.
    #[error(
        "{missing} of {expected} samples are in none of the folders, the first one is sample {first}{}",
        listed(holes)
    )]
    Incomplete {
        /// Number of missing samples.
        missing: usize,
        /// Number of samples of the whole run.
        expected: usize,
        /// The first missing sample.
        first: usize,
        /// Shards that weren't given or aren't finished, in words.
        holes: Vec<String>,
    },
    /// An invalid setting of the run itself.
    #[error("{what}: {found}; {expected}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What was given.
        found: String,
        /// What is expected.
        expected: String,
    },
    /// Threads can't be started.
    #[error("cannot start threads")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The run stopped on request, with everything recorded so far on disk.
    #[error("stopped with {done} of {total} samples recorded in {}", folder.display())]
    Stopped {
        /// The run's folder; starting the same study with it resumes the run.
        folder: PathBuf,
        /// Number of recorded samples.
        done: usize,
        /// Number of samples of this run or shard.
        total: usize,
    },
}

/// Description of a faulty line and how to fix it. Truncating the file helps with a torn or damaged
/// line, but would hide the fault if records and run don't belong together.
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

/// The same for a block.
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

/// Appends parts after a colon, if there are any.
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
