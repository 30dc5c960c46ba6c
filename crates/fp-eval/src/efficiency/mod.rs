//! What pruning saves, measured: time, memory and throughput, dense and pruned in turns.
//!
//! A [`Plan`] says what is run: the dense model and one [`Schedule`] for every number of
//! tokens that stays, because methods that keep equally many tokens differ in nothing but
//! their scoring, which is timed for each [`ScoringMethod`]. Methods that go another way (in
//! several stages, before layer 1, with merged tokens) are run whole, each a
//! [`NamedMethod`]. Everything in a plan is
//! counted and the same every time. [`measure()`] runs it: each schedule alone, from the
//! pixels to a fixed number of tokens, in turns, so that a machine that slows down slows
//! all of them down. What comes of it is an [`Efficiency`], with every measured figure
//! beside the one that counting predicts.
//!
//! Who owns what: `input` has the image and the prompt, `plan` and `predicted` what is run
//! and what it should take, `pass` runs a schedule once, `measure` runs all of them in
//! turns, `named` has methods that are run whole, `memory` finds out what a process held at most, `summary` makes figures of
//! samples, `text` tables of figures, `run` does it for a study.

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

/// What was measured, in the folder of a run or of a record.
pub const EFFICIENCY_FILE: &str = "efficiency.json";
/// The same as tables.
pub const EFFICIENCY_TEXT_FILE: &str = "efficiency.md";
