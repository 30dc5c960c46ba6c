//! Datasets, and what answers to them are worth: every published layout read and written,
//! the procedural benchmark, the metrics, and answers of others scored anew. Nothing here
//! knows a model.

pub mod dataset;
pub mod embedded;
#[cfg(test)]
mod error_kinds;
pub mod hash;
pub mod json;
pub mod metric;
pub mod rescore;
mod sample;
pub mod scene;
pub mod text;

pub use sample::Sample;
