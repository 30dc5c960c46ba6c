//! Scores of answers and measures of kept tokens: the rules of the published benchmarks, with the
//! variants of different evaluators, and measures of visual tokens.

pub mod anls;
pub mod answer;
mod breakdown;
pub mod chartqa;
pub mod choice;
mod error;
pub mod flops;
pub mod gqa;
pub mod mmbench;
pub mod mme;
pub mod mmmu;
pub mod mmvet;
pub mod ocrbench;
pub mod pope;
#[cfg(feature = "parquet")]
pub(crate) mod python_list;
mod python_text;
pub mod refcoco;
pub mod scienceqa;
pub mod textvqa;
pub mod token_quality;
pub mod vizwiz;
pub mod vqa;
mod yes_no;

pub use answer::AnswerRule;
pub use breakdown::{Breakdown, GroupScore};
pub use error::MetricError;
pub use yes_no::YesNo;
