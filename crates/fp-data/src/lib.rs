//! Datasets, and what answers to them are worth: every published layout read and written,
//! the procedural benchmark, the metrics, and answers of others scored anew. Nothing here
//! knows a model.
//!
//! ```
//! use fp_data::metric::YesNo;
//! use fp_data::metric::anls::AnlsRule;
//!
//! // Rules are those of the official evaluators; where others differ, they have a name.
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
