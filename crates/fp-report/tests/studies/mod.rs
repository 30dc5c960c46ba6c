//! Studies that are run, and reports on them.

mod determinism;
mod grids;
mod recomputed;
mod study_datasets;
