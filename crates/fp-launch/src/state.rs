//! The state that a shard's program writes.

use std::path::Path;

use fp_eval::study::{Counted, LockHolder};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::LaunchError;
use crate::folder::LaunchFolder;
use crate::manifest::write_json;

/// Number of consecutive starts without a new record after which a shard counts as failed.
pub const MOST_FRUITLESS: u64 = 3;

/// How a start of a shard ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every sample is recorded.
    Done,
    /// It stopped on request or was killed; the next start continues it.
    Interrupted,
    /// It ended with an error that another start doesn't fix by itself.
    Failed,
}

/// The last state written by the program that runs a shard, and the history of its starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardState {
    /// Number of the shard, counted from 1.
    pub shard: usize,
    /// Number of starts so far.
    pub starts: u64,
    /// Number of consecutive starts that recorded nothing.
    pub fruitless: u64,
    /// The program that runs the shard, or ran it last.
    pub holder: LockHolder,
    /// Time at which this start began, in seconds since 1970.
    pub started: u64,
    /// Time of the last write, in seconds since 1970.
    pub heartbeat: u64,
    /// Number of records at the beginning of this start.
    pub before: u64,
    /// Time of this start's first new record, and the number of records then.
    pub first: Option<(u64, u64)>,
    /// State of counting the records.
    pub counted: Counted,
    /// How this start ended; `None` while it is running, or if the program was killed.
    pub outcome: Option<Outcome>,
    /// The study's exit code, or the signal that ended it, in words.
    pub ended_by: Option<String>,
}

impl ShardState {
    /// Reads the state of a shard; `None` if it never started.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(folder: &LaunchFolder, shard: usize) -> Result<Option<ShardState>, LaunchError> {
        read_json(&folder.state(shard))
    }

    /// Writes the state atomically.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&self, folder: &LaunchFolder) -> Result<(), LaunchError> {
        write_json(&folder.state(self.shard), self)
    }
}

/// Result of merging and reporting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishState {
    /// Time in seconds since 1970.
    pub time: u64,
    /// Whether the merged run exists with its report.
    pub is_done: bool,
    /// The message printed.
    pub message: String,
}

impl FinishState {
    /// Reads the result; `None` before merging.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read(folder: &LaunchFolder) -> Result<Option<FinishState>, LaunchError> {
        read_json(&folder.finish_state())
    }

    /// Writes the result atomically.
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
