//! The manifest of a launch, `launch.json` in its folder.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fp_eval::study::{LockHolder, ShardPlan, write_whole};
use serde::{Deserialize, Serialize};

use crate::error::LaunchError;
use crate::folder::LaunchFolder;
use crate::slurm::Resources;

/// How long to wait for another program that is changing the launch.
const PATIENCE: Duration = Duration::from_secs(60);

/// Version of the format of launches.
const FORMAT: u32 = 1;

/// What a launch runs. Only its list of submissions grows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub format: u32,
    /// Version of the program that created the launch.
    pub version: String,
    /// Time of creation, in seconds since 1970.
    pub created: u64,
    /// The program that tasks start.
    pub program: PathBuf,
    /// The folder to which names in the configuration are relative.
    pub working_dir: PathBuf,
    /// Flags of `finepruner study` besides configuration, shard and output.
    pub flags: Vec<String>,
    /// Whether the exit code is 0 even if questions failed.
    pub allow_failed: bool,
    /// Number of processes in a task, each with a shard of its own.
    pub procs_per_task: usize,
    /// Resources that a task requests of Slurm.
    pub resources: Resources,
    /// The shards, starting with shard 1.
    pub shards: Vec<ShardEntry>,
    /// The submissions, in order.
    pub submissions: Vec<Submission>,
}

/// A shard of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Number of images.
    pub num_images: usize,
    /// Number of samples.
    pub num_samples: usize,
    /// Estimated cost, in millions of multiply-accumulates.
    pub cost: u64,
}

impl From<&ShardPlan> for ShardEntry {
    fn from(plan: &ShardPlan) -> ShardEntry {
        ShardEntry {
            num_images: plan.num_images,
            num_samples: plan.num_samples,
            cost: plan.cost,
        }
    }
}

/// Jobs that were submitted together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// Time of submission, in seconds since 1970.
    pub time: u64,
    /// Tasks of the array, counted from 1.
    pub tasks: Vec<usize>,
    /// Number of the array job; `None` if all shards were finished and only merging remained.
    pub array_job: Option<String>,
    /// Number of the job that merges and reports; `None` if submitting it failed.
    pub finish_job: Option<String>,
}

impl Manifest {
    /// A new launch without submissions.
    pub fn new(program: PathBuf, working_dir: PathBuf, resources: Resources) -> Manifest {
        Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created: crate::now(),
            program,
            working_dir,
            flags: Vec::new(),
            allow_failed: false,
            procs_per_task: 1,
            resources,
            shards: Vec::new(),
            submissions: Vec::new(),
        }
    }

    /// Reads the manifest of a launch.
    ///
    /// # Errors
    /// A folder without a launch, or a launch of another version.
    pub fn read(folder: &LaunchFolder) -> Result<Manifest, LaunchError> {
        let path = folder.manifest();
        let bytes = match fp_scoring::read_file(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(LaunchError::NotALaunch {
                    path: folder.path().to_owned(),
                });
            }
            Err(error) => return Err(LaunchError::io("read", path)(error)),
        };
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(&bytes).map_err(LaunchError::json(&path))?;
        if version.format != FORMAT {
            return Err(LaunchError::Format {
                path,
                found: version.format,
                expected: FORMAT,
            });
        }
        serde_json::from_slice(&bytes).map_err(LaunchError::json(path))
    }

    /// Writes the manifest atomically.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write(&self, folder: &LaunchFolder) -> Result<(), LaunchError> {
        write_json(&folder.manifest(), self)
    }

    /// Number of tasks in the array.
    pub fn num_tasks(&self) -> usize {
        self.shards.len().div_ceil(self.procs_per_task.max(1))
    }

    /// Shards of a task; both are counted from 1.
    pub fn shards_of(&self, task: usize) -> std::ops::RangeInclusive<usize> {
        let first = (task - 1) * self.procs_per_task + 1;
        first..=(task * self.procs_per_task).min(self.shards.len())
    }

    /// The task that runs a shard; both are counted from 1.
    pub fn task_of(&self, shard: usize) -> usize {
        (shard - 1) / self.procs_per_task.max(1) + 1
    }
}

/// Writes a value as indented JSON, atomically.
pub(crate) fn write_json(
    path: &std::path::Path,
    value: &impl Serialize,
) -> Result<(), LaunchError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(LaunchError::json(path))?;
    text.push(b'\n');
    Ok(write_whole(path, &text)?)
}

/// While this value exists, no other program changes the manifest, submits or merges.
#[derive(Debug)]
pub struct ManifestLock(PathBuf);

impl ManifestLock {
    /// Takes the lock of a launch; waits for some time if another program holds it.
    ///
    /// # Errors
    /// Another program holds the lock for too long, or a file can't be written.
    pub fn take(folder: &LaunchFolder) -> Result<ManifestLock, LaunchError> {
        ManifestLock::take_within(folder, PATIENCE)
    }

    fn take_within(folder: &LaunchFolder, patience: Duration) -> Result<ManifestLock, LaunchError> {
        let path = folder.path().join("launch.lock");
        let begin = Instant::now();
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(mut file) => {
                    let lock = ManifestLock(path.clone());
                    let holder = serde_json::to_vec(&LockHolder::current())
                        .map_err(LaunchError::json(&path))?;
                    file.write_all(&holder)
                        .map_err(LaunchError::io("write", &path))?;
                    return Ok(lock);
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(LaunchError::io("create", path)(error)),
            }
            let holder = fs::read(&path).unwrap_or_default();
            let holder: Option<LockHolder> = serde_json::from_slice(&holder).ok();
            if holder.is_some_and(|holder| holder.is_ended()) {
                // Left behind by a killed program.
                let _ = fs::remove_file(&path);
            } else if begin.elapsed() >= patience {
                return Err(LaunchError::Busy {
                    path: folder.path().to_owned(),
                    lock: path,
                });
            } else {
                std::thread::sleep(Duration::from_millis(200));
            }
        }
    }
}

impl Drop for ManifestLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_share_the_shards() {
        let mut manifest = Manifest::new("a".into(), "b".into(), Resources::default());
        let shard = ShardEntry {
            num_images: 1,
            num_samples: 2,
            cost: 3,
        };
        manifest.shards = vec![shard; 8];
        manifest.procs_per_task = 3;
        assert_eq!(manifest.num_tasks(), 3);
        let shards: Vec<_> = (1..=3).map(|task| manifest.shards_of(task)).collect();
        assert_eq!(shards, [1..=3, 4..=6, 7..=8]);
        let tasks: Vec<_> = (1..=8).map(|shard| manifest.task_of(shard)).collect();
        assert_eq!(tasks, [1, 1, 1, 2, 2, 2, 3, 3]);
    }

    #[test]
    fn one_program_changes_a_launch() {
        let dir = tempfile::tempdir().unwrap();
        let folder = LaunchFolder::new(dir.path());
        let lock = ManifestLock::take(&folder).unwrap();
        let refused = ManifestLock::take_within(&folder, Duration::ZERO);
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("launch.lock"), "{message}");
        drop(lock);
        ManifestLock::take(&folder).unwrap();
    }
}
