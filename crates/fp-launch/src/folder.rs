//! Paths inside a launch's folder.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::LaunchError;

/// A launch's folder.
#[derive(Debug, Clone)]
pub struct LaunchFolder(PathBuf);

impl LaunchFolder {
    /// The launch at `path`, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> LaunchFolder {
        LaunchFolder(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The manifest, which states what is run.
    pub fn manifest(&self) -> PathBuf {
        self.0.join("launch.json")
    }

    /// The study's configuration with all flags applied.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    /// The script of the array's tasks.
    pub fn task_script(&self) -> PathBuf {
        self.0.join("task.sh")
    }

    /// The script that merges and reports.
    pub fn finish_script(&self) -> PathBuf {
        self.0.join("finish.sh")
    }

    /// The folder of the jobs' output.
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// The run's folder of a shard, counted from 1.
    pub fn shard(&self, index: usize) -> PathBuf {
        self.0.join("shards").join(format!("{index:04}"))
    }

    /// The last state written by a shard's program.
    pub fn state(&self, index: usize) -> PathBuf {
        self.0.join("state").join(format!("shard-{index:04}.json"))
    }

    /// The result of merging.
    pub fn finish_state(&self) -> PathBuf {
        self.0.join("state").join("finish.json")
    }

    /// Output of one start of a shard, both counted from 1.
    pub fn shard_log(&self, index: usize, start: u64) -> PathBuf {
        self.logs().join(format!("shard-{index:04}.{start}.log"))
    }

    /// The merged run's folder.
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }

    /// Checks that a launch could be written here: nothing, or an empty folder, is at the path.
    ///
    /// # Errors
    /// The folder isn't empty, or can't be read.
    pub fn check_unused(&self) -> Result<(), LaunchError> {
        match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(LaunchError::io("read", &self.0)(error)),
            Ok(mut entries) => match entries.next() {
                None => Ok(()),
                Some(_) => Err(LaunchError::InUse {
                    path: self.0.clone(),
                }),
            },
        }
    }

    /// Creates the folder and its subfolders.
    ///
    /// # Errors
    /// The folder isn't empty, or can't be written to.
    pub fn create(&self) -> Result<(), LaunchError> {
        let create =
            |path: &Path| fs::create_dir_all(path).map_err(LaunchError::io("create", path));
        create(&self.0)?;
        self.check_unused()?;
        for part in ["shards", "state", "logs"] {
            create(&self.0.join(part))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_folder_is_unused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(LaunchFolder::new(dir.path()).check_unused().is_ok());
        assert!(
            LaunchFolder::new(dir.path().join("a"))
                .check_unused()
                .is_ok()
        );
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let check = |path: &Path| LaunchFolder::new(path).check_unused();
        assert!(matches!(check(dir.path()), Err(LaunchError::InUse { .. })));
        assert!(matches!(check(&file), Err(LaunchError::Io { .. })));
    }
}
