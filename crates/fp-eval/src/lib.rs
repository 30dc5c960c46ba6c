//! Data sets, metrics, studies, statistics and reports.

pub mod dataset;
pub mod efficiency;
pub mod embedded;
mod hash;
pub mod metric;
pub mod report;
pub mod rescore;
pub mod sample;
pub mod scene;
pub mod stats;
pub mod study;

pub use sample::Sample;
