//! Studies that are run, and what is reported of them.

mod determinism;
mod grids;
mod recomputed;
mod study_datasets;
