//! How far a launch is, from its files alone.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use fp_eval::study::{Counted, count_records, read_lock};
use serde::Serialize;

use crate::error::LaunchError;
use crate::folder::LaunchFolder;
use crate::manifest::Manifest;
use crate::state::{FinishState, Outcome, ShardState};
use crate::tail::last_lines;

/// A program on another host that hasn't written for so many seconds counts as lost.
const SILENCE: u64 = 60;
/// Lines of a failure that are shown.
const NUM_LINES: usize = 3;

/// Seconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Where a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardPhase {
    /// It has not started.
    Waiting,
    /// It runs.
    Running,
    /// It stopped as it was asked to, or was killed by a signal, and waits for its next
    /// start.
    Interrupted,
    /// Its program is gone without a word: killed, or its host is.
    Lost,
    /// It ended with an error.
    Failed,
    /// Every sample is recorded.
    Done,
}

impl ShardPhase {
    /// Every phase.
    pub const ALL: [ShardPhase; 6] = [
        ShardPhase::Waiting,
        ShardPhase::Running,
        ShardPhase::Interrupted,
        ShardPhase::Lost,
        ShardPhase::Failed,
        ShardPhase::Done,
    ];

    /// As tables have it.
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

/// How far one shard is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShardStatus {
    /// Which shard, counted from 1.
    pub shard: usize,
    /// Where it is.
    pub phase: ShardPhase,
    /// Samples that are recorded.
    pub done: u64,
    /// Samples of the shard.
    pub total: u64,
    /// Starts so far.
    pub starts: u64,
    /// Samples a second in this start; none before its second record.
    pub rate: Option<f64>,
    /// Seconds left at that rate.
    pub seconds_left: Option<f64>,
    /// The host that it runs on, or ran on last.
    pub host: Option<String>,
    /// The study's exit code, or the signal that ended it, in words.
    pub ended_by: Option<String>,
    /// Of a failure: what its log says last.
    pub last_lines: Vec<String>,
    /// The log of its last start.
    pub log: Option<PathBuf>,
}

impl ShardStatus {
    /// Looks at the files of a shard, counted from 1.
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

/// How far a launch is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The launch's folder.
    pub folder: PathBuf,
    /// Samples that are recorded.
    pub done: u64,
    /// Samples of the study.
    pub total: u64,
    /// Samples a second of all shards that run.
    pub rate: Option<f64>,
    /// Seconds left if what runs now goes on at that rate.
    pub seconds_left: Option<f64>,
    /// The shards in order.
    pub shards: Vec<ShardStatus>,
    /// What came of merging; none before that.
    pub finish: Option<FinishState>,
}

impl Status {
    /// Looks at the files of a launch.
    ///
    /// # Errors
    /// No launch, or files that can't be read.
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

    /// Shards in a phase.
    pub fn count(&self, phase: ShardPhase) -> usize {
        self.shards
            .iter()
            .filter(|shard| shard.phase == phase)
            .count()
    }

    /// Shards that lack samples, in words.
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
        // Whoever has the lock is closing its files, or was killed doing so.
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
        // Records were removed since then.
        Some(Outcome::Done) => ShardPhase::Lost,
        None if state.holder.is_running() => ShardPhase::Running,
        None if state.holder.is_ended() => ShardPhase::Lost,
        None if now().saturating_sub(state.heartbeat) > SILENCE => ShardPhase::Lost,
        None => ShardPhase::Running,
    })
}

/// Samples a second since the first record of this start: what comes before is reading data
/// and weights.
fn rate(state: &ShardState, done: u64) -> Option<f64> {
    let (since, count) = state.first?;
    let seconds = now().checked_sub(since).filter(|seconds| *seconds > 0)?;
    let fresh = done.checked_sub(count).filter(|fresh| *fresh > 0)?;
    Some(fresh as f64 / seconds as f64)
}
