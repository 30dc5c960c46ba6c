//! Data sets, metrics, studies, statistics and reports.

pub mod dataset;
pub mod drawing;
pub mod efficiency;
pub mod embedded;
#[cfg(test)]
mod error_kinds;
mod hash;
mod json;
pub mod metric;
pub mod report;
pub mod rescore;
pub mod sample;
pub mod scene;
pub mod stats;
pub mod study;

pub use fp_scoring::{error_chain, error_text};
pub use sample::Sample;
