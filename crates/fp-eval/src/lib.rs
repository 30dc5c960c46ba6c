//! Data sets, metrics, studies, statistics and reports.

pub mod dataset;
pub mod embedded;
mod full_text;
mod hash;
mod json;
pub mod metric;
pub mod report;
pub mod rescore;
pub mod sample;
pub mod scene;
pub mod stats;
pub mod study;

pub use sample::Sample;
