//! Studies that are run, and what is reported of them.

mod determinism;
mod grids;
mod recomputed;
mod study_datasets;
#[path = "../../../fp-eval/tests/study_support/mod.rs"]
mod study_support;
