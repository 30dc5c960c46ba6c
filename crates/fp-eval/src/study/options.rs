//! Options for running a study.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fp_model::ResidentMemory;
use fp_scoring::MethodRegistry;

use super::engine::Engine;
use super::error::StudyError;
use super::needs::MemoryNeeds;
use super::order::Shard;
use super::spec::{Invocation, RunSpec};

/// Options for running a study; none of them changes the results.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run's folder: new, empty, or of a run to resume.
    pub output: PathBuf,
    /// Compute threads.
    pub threads: usize,
    /// Image-loading threads; by default the same number as `threads`.
    pub loaders: Option<usize>,
    /// Largest number of questions that a worker answers together.
    pub batch_size: usize,
    /// The engine that runs cells.
    pub engine: Engine,
    /// Memory limit in bytes, excluding weights; half of the free memory by default.
    pub memory_limit: Option<u64>,
    /// The methods that configurations can name; further ones can be registered.
    pub methods: Arc<MethodRegistry>,
    /// The shard to run; `None` for the whole run.
    pub shard: Option<Shard>,
    /// Whether to resume even if configuration, data or weights differ from those at the start.
    pub accept_changes: bool,
    /// When set, the run stops before its next answer; unfinished jobs are not recorded.
    pub stop: Arc<AtomicBool>,
    /// When set, current jobs are finished and recorded, and no further ones are started.
    pub wind_down: Arc<AtomicBool>,
    /// How the run was started, for its records.
    pub invocation: Invocation,
    /// Called once, when the run's specification is known and before anything is run.
    pub started: fn(&RunSpec),
    /// Called on a GPU before weights are read, with the minimum needs and the free bytes.
    pub planned: fn(&MemoryNeeds, u64),
    /// Called on the CPU before weights are read, with the predicted peak memory of one question.
    pub predicted: fn(&ResidentMemory),
}

impl RunOptions {
    /// Options with all threads of the machine, sixteen questions at a time, and the shared engine.
    pub fn new(output: impl Into<PathBuf>) -> RunOptions {
        RunOptions {
            output: output.into(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            loaders: None,
            batch_size: 16,
            engine: Engine::Shared,
            memory_limit: None,
            methods: Arc::default(),
            shard: None,
            accept_changes: false,
            stop: Arc::default(),
            wind_down: Arc::default(),
            invocation: Invocation::default(),
            started: |_| {},
            planned: |_, _| {},
            predicted: |_| {},
        }
    }

    /// Number of image-loading threads. Surplus threads stay idle, so more than necessary do no
    /// harm.
    pub(super) fn num_loaders(&self) -> usize {
        self.loaders.unwrap_or(self.threads)
    }

    /// Whether no further jobs are to be started.
    pub(super) fn is_ending(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.wind_down.load(Ordering::Relaxed)
    }

    pub(super) fn check(&self) -> Result<(), StudyError> {
        for (what, value) in [
            ("threads", self.threads),
            ("loaders", self.num_loaders()),
            ("batch size", self.batch_size),
        ] {
            if value == 0 {
                return Err(StudyError::Setting {
                    what,
                    found: "0".to_owned(),
                    expected: "at least 1".to_owned(),
                });
            }
        }
        Ok(())
    }
}
