//! What a shard's program last said of itself.

use std::path::Path;

use fp_eval::study::{Counted, LockHolder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::LaunchError;
use crate::folder::LaunchFolder;
use crate::manifest::write_json;

/// Starts in a row that record nothing before a shard counts as failed.
pub const MOST_FRUITLESS: u64 = 3;

/// How a start of a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every sample is recorded.
    Done,
    /// It was asked to stop, or killed; its next start continues it.
    Interrupted,
    /// An error that another start doesn't mend by itself.
    Failed,
}

/// What the program that runs a shard last wrote, and what its starts came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardState {
    /// Which shard, counted from 1.
    pub shard: usize,
    /// Its starts so far.
    pub starts: u64,
    /// Starts in a row that recorded nothing.
    pub fruitless: u64,
    /// The program that runs it, or ran it last.
    pub holder: LockHolder,
    /// When this start began, in seconds since 1970.
    pub started: u64,
    /// When this was written last.
    pub heartbeat: u64,
    /// Records at the beginning of this start.
    pub before: u64,
    /// When this start's first new record was seen, and how many records there were then.
    pub first: Option<(u64, u64)>,
    /// How far the records were counted.
    pub counted: Counted,
    /// How this start ended; none while it runs, and where its program was killed.
    pub outcome: Option<Outcome>,
    /// The study's exit code, or the signal that ended it, in words.
    pub ended_by: Option<String>,
}

impl ShardState {
    /// Reads the state of a shard; none where it never started.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(folder: &LaunchFolder, shard: usize) -> Result<Option<ShardState>, LaunchError> {
        read_json(&folder.state(shard))
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&self, folder: &LaunchFolder) -> Result<(), LaunchError> {
        write_json(&folder.state(self.shard), self)
    }
}

/// What came of merging and reporting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishState {
    /// When, in seconds since 1970.
    pub time: u64,
    /// Whether the merged run is there with its report.
    pub is_done: bool,
    /// What was said.
    pub message: String,
}

impl FinishState {
    /// Reads it; none where nothing was merged yet.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(folder: &LaunchFolder) -> Result<Option<FinishState>, LaunchError> {
        read_json(&folder.finish_state())
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&self, folder: &LaunchFolder) -> Result<(), LaunchError> {
        write_json(&folder.finish_state(), self)
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LaunchError> {
    match fp_scoring::read_file(path) {
        Ok(bytes) => {
            let value = serde_json::from_slice(&bytes).map_err(LaunchError::json(path))?;
            Ok(Some(value))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LaunchError::io("read", path)(error)),
    }
}
