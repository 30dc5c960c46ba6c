//! Data sets, metrics, studies, statistics and reports.

pub mod dataset;
mod hash;
pub mod metric;
pub mod sample;
pub mod scene;
pub mod stats;

pub use sample::Sample;
