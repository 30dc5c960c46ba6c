//! Peak memory of a run.
//!
//! The system keeps one high-water mark per process, and memory that one run has freed is available
//! to the next one, so of several runs in one process only the largest could be measured. Each
//! schedule therefore runs in a process of its own, which resets the mark after the weights are
//! loaded.

use serde::{Deserialize, Serialize};

use super::error::EfficiencyError;
use super::pass::pass;
use super::prepared::{Loaded, Prepared};
use crate::study::memory as process;

/// How peaks are measured, for records.
pub(super) const METHOD: &str = "each schedule once in a process of its own; VmHWM, reset \
     through /proc/self/clear_refs after the weights were loaded";

/// Memory of a process that runs one schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeakMemory {
    /// Bytes resident before the run: weights and program.
    pub before_bytes: u64,
    /// Largest number of bytes resident during the run.
    pub peak_bytes: u64,
}

/// Runs the schedule with this index in a process of its own, or returns why it can't.
pub type PeakMeter<'a> = dyn FnMut(usize) -> Result<PeakMemory, String> + 'a;

impl Prepared {
    /// Runs one schedule once in this process and measures its memory. The process must do nothing
    /// else.
    ///
    /// # Errors
    /// A schedule that doesn't exist, a model that can't be run, a system that keeps no high-water
    /// mark or doesn't allow resetting it.
    pub fn peak_memory(self, schedule: usize) -> Result<PeakMemory, EfficiencyError> {
        let Some(found) = self.plan.schedules.get(schedule).cloned() else {
            return Err(EfficiencyError::Setting {
                what: "the schedule",
                found: schedule.to_string(),
                expected: format!("below {}", self.plan.schedules.len()),
            });
        };
        let pool = self.pool()?;
        let Loaded {
            plan, input, model, ..
        } = self.load()?;
        process::reset_peak().map_err(|source| EfficiencyError::Io {
            doing: "reset the high-water mark through",
            path: process::RESET_FILE.into(),
            source,
        })?;
        let before = process::resident();
        pool.install(|| pass(&model, &input, &plan, &found, 1))?;
        match (before, process::peak()) {
            (Some(before_bytes), Some(peak_bytes)) => Ok(PeakMemory {
                before_bytes,
                peak_bytes,
            }),
            _ => Err(EfficiencyError::Setting {
                what: "this system's /proc/self/status",
                found: "without VmRSS and VmHWM".to_owned(),
                expected: "that of Linux".to_owned(),
            }),
        }
    }
}
