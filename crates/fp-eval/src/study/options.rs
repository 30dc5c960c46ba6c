//! How a study is run.

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

/// How a study is run; nothing of it changes what comes out.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run's folder: new, empty, or of a run to resume.
    pub output: PathBuf,
    /// Threads that compute.
    pub threads: usize,
    /// Threads that load images beside them; as many by default.
    pub loaders: Option<usize>,
    /// Questions that a worker answers together at most.
    pub batch_size: usize,
    /// How cells are run.
    pub engine: Engine,
    /// Memory limit in bytes, excluding weights; half of what is free by default.
    pub memory_limit: Option<u64>,
    /// The methods that are known by name; what is registered here can be named in
    /// configurations.
    pub methods: Arc<MethodRegistry>,
    /// Only this shard of the run.
    pub shard: Option<Shard>,
    /// Resume though configuration, data or weights differ from those at the start.
    pub accept_changes: bool,
    /// Once this is set, the run stops before its next answer; jobs that aren't finished
    /// are not recorded.
    pub stop: Arc<AtomicBool>,
    /// Once this is set, the jobs at hand are finished and recorded, and no other is begun.
    pub wind_down: Arc<AtomicBool>,
    /// What is noted of how the run was started.
    pub invocation: Invocation,
    /// Called once, when it is known what the run is of and before anything is run.
    pub started: fn(&RunSpec),
    /// Called on a GPU before weights are read, with what they take at least and what is
    /// free there.
    pub planned: fn(&MemoryNeeds, u64),
    /// Called on the CPU before weights are read, with what one question will have resident
    /// at its peak.
    pub predicted: fn(&ResidentMemory),
}

impl RunOptions {
    /// All threads of the machine, sixteen questions at a time, the shared engine.
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

    /// Threads that load images. Those that find enough loaded do nothing, so there
    /// may well be more than it takes.
    pub(super) fn num_loaders(&self) -> usize {
        self.loaders.unwrap_or(self.threads)
    }

    /// Whether no other job is to be begun.
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
