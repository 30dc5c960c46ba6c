//! Studies on clusters: submitting them, their progress, and their expected time.
//!
//! A launch is a folder: `launch.json` states what is run ([`Manifest`]), `shards/` has a run's
//! folder per shard, `state/` the last state of each shard's program ([`ShardState`]), `logs/`
//! their output, and `run/` the merged run. There is no daemon and no database: all progress is
//! derived from these files alone ([`Status`]). Every file has one writer.
//!
//! ```
//! use fp_launch::slurm::{Resources, task_script};
//! use fp_launch::{LaunchFolder, Manifest};
//!
//! let resources = Resources {
//!     name: "pope".to_owned(),
//!     time: Some("1:00:00".to_owned()),
//!     warn_seconds: 120,
//!     ..Resources::default()
//! };
//! resources.check()?;
//! let manifest = Manifest::new("/opt/finepruner".into(), "/home/user".into(), resources);
//! let script = task_script(&LaunchFolder::new("/data/pope"), &manifest);
//! assert!(script.contains("#SBATCH --time=1:00:00\n"));
//! # Ok::<(), fp_launch::LaunchError>(())
//! ```

#[cfg(test)]
mod error_kinds;

mod error;
mod folder;
pub mod hours;
pub mod k8s;
mod manifest;
mod pin;
pub mod slurm;
mod state;
mod status;
mod tail;

pub use error::LaunchError;
pub use folder::LaunchFolder;
pub use manifest::{Manifest, ManifestLock, ShardEntry, Submission};
pub use pin::{Node, Part};
pub use state::{FinishState, MOST_FRUITLESS, Outcome, ShardState};
pub use status::{ShardPhase, ShardStatus, Status, now};
pub use tail::last_lines;
