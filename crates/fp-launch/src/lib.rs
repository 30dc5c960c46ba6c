//! Studies on clusters: what is submitted, how far it is, and what it will take.
//!
//! A launch is a folder: `launch.json` says what is run ([`Manifest`]), `shards/` has a run's
//! folder per shard, `state/` what each shard's program last said ([`ShardState`]), `logs/`
//! what they printed, and `run/` the merged run. There is no daemon and no database: how far
//! everything is follows from these files alone ([`Status`]). Every file has one writer.

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
