//! Datasets and the scoring of answers: reads and writes every published layout, generates the
//! procedural benchmark, computes the metrics, and rescores answers of other evaluators. This crate
//! is independent of any model.
//!
//! ```
//! use fp_data::metric::YesNo;
//! use fp_data::metric::anls::AnlsRule;
//!
//! // Rules follow the official evaluators; variants of other evaluators have names.
//! assert_eq!(YesNo::by_whole_words("Yes, there is."), YesNo::Yes);
//! let gold = ["12 May 1998"];
//! assert_eq!(AnlsRule::Official.score("12 may 1998", &gold), 1.0);
//! assert_eq!(AnlsRule::Official.score("no date", &gold), 0.0);
//! ```

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
