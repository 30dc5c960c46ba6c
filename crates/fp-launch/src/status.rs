//! Progress of a launch, from its files alone.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use fp_eval::study::{Counted, count_records, read_lock};
use serde::Serialize;

use crate::error::LaunchError;
use crate::folder::LaunchFolder;
use crate::manifest::Manifest;
use crate::state::{FinishState, Outcome, ShardState};
use crate::tail::last_lines;

/// A program on another host that hasn't written for this many seconds counts as lost.
const SILENCE: u64 = 60;
/// Number of lines of a failed shard's log to show.
const NUM_LINES: usize = 3;

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Phase of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardPhase {
    /// It has not started.
    Waiting,
    /// It is running.
    Running,
    /// It stopped on request or was killed by a signal, and waits for its next start.
    Interrupted,
    /// Its program disappeared without writing an outcome: it was killed, or its host failed.
    Lost,
    /// It ended with an error.
    Failed,
    /// Every sample is recorded.
    Done,
}

impl ShardPhase {
    /// All phases.
    pub const ALL: [ShardPhase; 6] = [
        ShardPhase::Waiting,
        ShardPhase::Running,
        ShardPhase::Interrupted,
        ShardPhase::Lost,
        ShardPhase::Failed,
        ShardPhase::Done,
    ];

    /// The name for tables.
    pub fn name(self) -> &'static str {
        match self {
            ShardPhase::Waiting => "waiting",
            ShardPhase::Running => "running",
            ShardPhase::Interrupted => "interrupted",
            ShardPhase::Lost => "lost",
            ShardPhase::Failed => "failed",
            ShardPhase::Done => "done",
        }
    }
}

/// Progress of one shard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShardStatus {
    /// Number of the shard, counted from 1.
    pub shard: usize,
    /// The shard's phase.
    pub phase: ShardPhase,
    /// Number of recorded samples.
    pub done: u64,
    /// Number of samples of the shard.
    pub total: u64,
    /// Number of starts so far.
    pub starts: u64,
    /// Samples per second in this start; `None` before its second record.
    pub rate: Option<f64>,
    /// Seconds remaining at that rate.
    pub seconds_left: Option<f64>,
    /// The host that it is running on, or ran on last.
    pub host: Option<String>,
    /// The study's exit code, or the signal that ended it, in words.
    pub ended_by: Option<String>,
    /// The last lines of the log of a failed or lost shard.
    pub last_lines: Vec<String>,
    /// The log of its last start.
    pub log: Option<PathBuf>,
}

impl ShardStatus {
    /// Reads the status of a shard, counted from 1.
    ///
    /// # Errors
    /// Files that can't be read.
    pub fn read(
        folder: &LaunchFolder,
        manifest: &Manifest,
        shard: usize,
    ) -> Result<ShardStatus, LaunchError> {
        let state = ShardState::read(folder, shard)?;
        let total = manifest.shards[shard - 1].num_samples as u64;
        let before = state
            .as_ref()
            .map_or(Counted::default(), |state| state.counted);
        let done = count_records(&folder.shard(shard), before)?.lines;
        let Some(state) = state else {
            return Ok(ShardStatus {
                shard,
                phase: if done >= total {
                    ShardPhase::Done
                } else {
                    ShardPhase::Waiting
                },
                done,
                total,
                starts: 0,
                rate: None,
                seconds_left: None,
                host: None,
                ended_by: None,
                last_lines: Vec::new(),
                log: None,
            });
        };
        let phase = phase(folder, &state, done >= total)?;
        let rate = (phase == ShardPhase::Running)
            .then(|| rate(&state, done))
            .flatten();
        let log = folder.shard_log(shard, state.starts);
        let is_trouble = matches!(phase, ShardPhase::Failed | ShardPhase::Lost);
        Ok(ShardStatus {
            shard,
            phase,
            done,
            total,
            starts: state.starts,
            rate,
            seconds_left: rate.map(|rate| total.saturating_sub(done) as f64 / rate),
            host: Some(state.holder.host),
            ended_by: state.ended_by,
            last_lines: if is_trouble {
                last_lines(&log, NUM_LINES)
            } else {
                Vec::new()
            },
            log: Some(log),
        })
    }
}

/// Progress of a launch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The launch's folder.
    pub folder: PathBuf,
    /// Number of recorded samples.
    pub done: u64,
    /// Number of samples of the study.
    pub total: u64,
    /// Samples per second of all running shards together.
    pub rate: Option<f64>,
    /// Seconds remaining if the running shards keep that rate.
    pub seconds_left: Option<f64>,
    /// The shards in order.
    pub shards: Vec<ShardStatus>,
    /// The result of merging; `None` before that.
    pub finish: Option<FinishState>,
}

impl Status {
    /// Reads the status of a launch.
    ///
    /// # Errors
    /// A folder without a launch, or files that can't be read.
    pub fn read(folder: &LaunchFolder, manifest: &Manifest) -> Result<Status, LaunchError> {
        let shards = (1..=manifest.shards.len())
            .map(|shard| ShardStatus::read(folder, manifest, shard))
            .collect::<Result<Vec<_>, _>>()?;
        let done: u64 = shards.iter().map(|shard| shard.done).sum();
        let total = shards.iter().map(|shard| shard.total).sum();
        let rates = shards.iter().filter_map(|shard| shard.rate);
        let rate = rates.fold(None, |sum: Option<f64>, rate| {
            Some(sum.unwrap_or(0.0) + rate)
        });
        Ok(Status {
            folder: folder.path().to_owned(),
            done,
            total,
            rate,
            seconds_left: rate.map(|rate| total.saturating_sub(done) as f64 / rate),
            shards,
            finish: FinishState::read(folder)?,
        })
    }

    /// Number of shards in a phase.
    pub fn count(&self, phase: ShardPhase) -> usize {
        self.shards
            .iter()
            .filter(|shard| shard.phase == phase)
            .count()
    }

    /// Shards whose samples are incomplete, in words.
    pub fn unfinished(&self) -> Vec<String> {
        let shards = self.shards.iter();
        shards
            .filter(|shard| shard.phase != ShardPhase::Done)
            .map(|shard| {
                format!(
                    "shard {} has {} of {} samples and is {}",
                    shard.shard,
                    shard.done,
                    shard.total,
                    shard.phase.name()
                )
            })
            .collect()
    }

    /// Whether every shard is finished.
    pub fn is_complete(&self) -> bool {
        self.count(ShardPhase::Done) == self.shards.len()
    }
}

fn phase(
    folder: &LaunchFolder,
    state: &ShardState,
    is_complete: bool,
) -> Result<ShardPhase, LaunchError> {
    let shard = folder.shard(state.shard);
    if is_complete {
        // The lock's holder is closing its files, or was killed while doing so.
        let holder = read_lock(&shard)?;
        let is_closing = holder.is_some_and(|holder| !holder.is_ended());
        return Ok(match state.outcome {
            None if is_closing => ShardPhase::Running,
            _ => ShardPhase::Done,
        });
    }
    Ok(match state.outcome {
        Some(Outcome::Interrupted) => ShardPhase::Interrupted,
        Some(Outcome::Failed) => ShardPhase::Failed,
        // Records have been removed since.
        Some(Outcome::Done) => ShardPhase::Lost,
        None if state.holder.is_running() => ShardPhase::Running,
        None if state.holder.is_ended() => ShardPhase::Lost,
        None if now().saturating_sub(state.heartbeat) > SILENCE => ShardPhase::Lost,
        None => ShardPhase::Running,
    })
}

/// Samples per second since the first record of this start; the time before it was spent reading
/// data and weights.
fn rate(state: &ShardState, done: u64) -> Option<f64> {
    let (since, count) = state.first?;
    let seconds = now().checked_sub(since).filter(|seconds| *seconds > 0)?;
    let fresh = done.checked_sub(count).filter(|fresh| *fresh > 0)?;
    Some(fresh as f64 / seconds as f64)
}
