//! Where a launch keeps what.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::LaunchError;

/// A launch's folder.
#[derive(Debug, Clone)]
pub struct LaunchFolder(PathBuf);

impl LaunchFolder {
    /// The launch at `path`, whether it is there or not.
    pub fn new(path: impl Into<PathBuf>) -> LaunchFolder {
        LaunchFolder(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is run.
    pub fn manifest(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    /// The study's configuration with every flag applied.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    /// The script of a task of the array.
    pub fn task_script(&self) -> PathBuf {
        self.0.join("task.sh")
    }

    /// The script that merges and reports.
    pub fn finish_script(&self) -> PathBuf {
        self.0.join("finish.sh")
    }

    /// What jobs print.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The run's folder of a shard, counted from 1.
    pub fn shard(&self, index: usize) -> PathBuf {
        self.0.join("shards").join(format!("{index:04}"))
    }

    /// What a shard's program last said.
    pub fn state(&self, index: usize) -> PathBuf {
        self.0.join("state").join(format!("shard-{index:04}.json"))
    }

    /// What came of merging.
    pub fn finish_state(&self) -> PathBuf {
        self.0.join("state").join("finish.json")
    }

    /// What a shard printed in one of its starts, counted from 1.
    pub fn shard_log(&self, index: usize, start: u64) -> PathBuf {
        self.logs().join(format!("shard-{index:04}.{start}.log"))
    }

    /// The merged run.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// Makes the folder with its parts.
    ///
    /// # Errors
    /// Something lies there already, or it can't be written to.
    pub fn create(&self) -> Result<(), LaunchError> {
        let create =
            |path: &Path| fs::create_dir_all(path).map_err(LaunchError::io("create", path));
        create(&self.0)?;
        let mut entries = fs::read_dir(&self.0).map_err(LaunchError::io("read", &self.0))?;
        if entries.next().is_some() {
            return Err(LaunchError::InUse {
                path: self.0.clone(),
            });
        }
        for part in ["shards", "state", "logs"] {
            create(&self.0.join(part))?;
        }
        Ok(())
    }
}
