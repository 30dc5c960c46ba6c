//! Measuring what pruning saves: time, memory and throughput, dense and pruned in turns.
//!
//! A [`Plan`] lists the runs: the dense model, and one [`Schedule`] for every number of kept
//! tokens, because methods that keep equally many tokens differ only in their scoring, which is
//! timed for each [`ScoringMethod`]. Methods that prune differently (in several stages, before
//! layer 1, with merged tokens) are run whole, each as a [`NamedMethod`]. A plan contains no
//! measured values and is the same every time. [`measure()`] runs it: each schedule alone, from the
//! pixels to a fixed number of tokens, in turns, so that a machine that slows down affects all of
//! them equally. The result is an [`Efficiency`], with every measured figure beside the one
//! predicted by counting.
//!
//! Modules: `input` has the image and the prompt; `plan` and `predicted` the runs and their
//! predicted costs; `pass` runs a schedule once; `measure` runs all of them in turns; `named` has
//! methods that are run whole; `memory` measures a process's peak memory; `summary` summarises
//! samples into figures; `text` has tables of figures; `run` measures for a study.

mod error;
mod input;
mod machine;
mod measure;
mod memory;
mod named;
mod pareto;
mod pass;
mod plan;
mod predicted;
mod prepared;
mod run;
mod settings;
mod spread;
mod summary;
mod text;

pub use error::EfficiencyError;
pub use input::InputSource;
pub use machine::Machine;
pub use measure::{Progress, measure};
pub use memory::{PeakMemory, PeakMeter};
pub use named::{MeasuredMethod, NamedMethod, Pays, SkippedMethod};
pub use pareto::pareto_front;
pub use plan::{PUBLISHED_RETENTIONS, Plan, Schedule, ScoringMethod};
pub use predicted::Predicted;
pub use prepared::{Prepared, Request};
pub use run::{prepare_run, stored_for};
pub use settings::{EfficiencySettings, SettingOutOfRange};
pub use spread::Spread;
pub use summary::{
    BatchRate, BatchSkipped, Efficiency, MeasuredSchedule, MeasuredScoring, read, write,
};
pub use text::{TextTable, describe, markdown, selection, tables};
pub use text::{ms, overview, with_spread};

/// Name of the measurement's file, in the folder of a run or of a record.
pub const EFFICIENCY_FILE: &str = "efficiency.json";
/// Name of the file with the same figures as tables.
pub const EFFICIENCY_TEXT_FILE: &str = "efficiency.md";
