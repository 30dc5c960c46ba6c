//! Running a study from its configuration to the last record.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::answering::Answering;
use super::config::StudyConfig;
use super::error::StudyError;
use super::folder::RunFolder;
use super::loading::jobs;
use super::memory;
use super::options::RunOptions;
use super::prepare::Prepared;
use super::rank_heads::static_heads;
use super::timings::{LoadingTimes, StopWatch};

/// Interval at which records are forced to disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(5);

/// Progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Number of samples of this run or shard.
    pub total: usize,
    /// Number of recorded samples.
    pub done: usize,
    /// How many of those were recorded before this program started.
    pub resumed: usize,
    /// Number of samples that failed since this program started.
    pub failed: usize,
    /// Before the first answer of a run with static variants: numbers of samples on which heads
    /// have been ranked, and of all samples to rank on.
    pub ranked: Option<[usize; 2]>,
}

/// Summary of a run.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RunSummary {
    /// The run's folder.
    pub output: PathBuf,
    /// Number of samples of this run or shard.
    pub num_samples: usize,
    /// How many of those were recorded before.
    pub num_resumed: usize,
    /// How many of those failed in this program.
    pub num_failed: usize,
    /// Number of cells of the grid.
    pub num_cells: usize,
    /// Seconds from reading the data to the last record.
    pub seconds: f64,
    /// Whether loading kept pace with the model, for the samples run in this program.
    pub loading: LoadingTimes,
    /// Peak resident memory of the program, in bytes, if the system states it.
    pub peak_memory_bytes: Option<u64>,
}

/// Runs or resumes a study, and calls `progress` after every job.
///
/// # Errors
/// A configuration, data or model that can't be used; a folder of another run; a file that can't be
/// written; [`StudyError::Stopped`] if the run was requested to stop. Samples that fail are
/// recorded as failed.
pub fn run(
    config: &StudyConfig,
    options: &RunOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<RunSummary, StudyError> {
    options.check()?;
    let start = Instant::now();
    let mut prepared = Prepared::new(config, options.shard, &options.methods)?;
    prepared.spec.environment.invocation = options.invocation.clone();
    let groups = std::mem::take(&mut prepared.groups);
    let order: Vec<usize> = groups.iter().flatten().copied().collect();
    let mut folder = RunFolder::open(
        &options.output,
        &prepared.spec,
        &order,
        options.accept_changes,
    )?;
    (options.started)(&prepared.spec);
    let mut state = Progress {
        total: order.len(),
        done: folder.num_done,
        resumed: folder.num_done,
        failed: 0,
        ranked: None,
    };
    progress(state);
    let mut loading = LoadingTimes::default();
    if state.done < state.total && !options.is_ending() {
        prepared.check_memory(options.planned, options.predicted)?;
        let model = prepared.load_model()?;
        let rest = jobs(groups, folder.num_done, options.batch_size);
        let ranking = Answering {
            prepared: &prepared,
            model: &model,
            options,
            static_heads: None,
        };
        let static_heads = static_heads(&ranking, &options.output, folder.num_done, |done, of| {
            progress(Progress {
                ranked: Some([done, of]),
                ..state
            });
        })?;
        let answering = Answering {
            static_heads: static_heads.as_ref(),
            ..ranking
        };
        let mut synced = Instant::now();
        let mut wall = StopWatch::start();
        // A run that was stopped while heads were being ranked can't answer.
        let rest = if options.is_ending() {
            Vec::new()
        } else {
            rest
        };
        answering.run(&rest, |mut done| {
            if let Some(timing) = done.timings.first_mut() {
                timing.wall = Some(wall.lap());
            }
            folder.append(&done.records, &done.timings)?;
            done.timings.iter().for_each(|timing| loading.add(timing));
            if synced.elapsed() > SYNC_INTERVAL {
                folder.sync()?;
                synced = Instant::now();
            }
            state.done += done.records.len();
            state.failed += done.records.iter().filter(|r| r.error.is_some()).count();
            progress(state);
            Ok(())
        })?;
        folder.sync()?;
    }
    if state.done == state.total {
        folder.finish()?;
    }
    if state.done < state.total && options.is_ending() {
        return Err(StudyError::Stopped {
            folder: options.output.clone(),
            done: state.done,
            total: state.total,
        });
    }
    Ok(RunSummary {
        output: options.output.clone(),
        num_samples: state.total,
        num_resumed: state.resumed,
        num_failed: state.failed,
        num_cells: prepared.spec.grid.cells.len(),
        seconds: start.elapsed().as_secs_f64(),
        loading,
        peak_memory_bytes: memory::peak(),
    })
}
