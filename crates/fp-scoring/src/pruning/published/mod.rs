//! Published pruning methods, computed as by their authors' code.
//!
//! Each is one file under `methods/`: a pure function in `f64` from its inputs to the kept
//! tokens, with its own parameters, and a [`PublishedCard`] that states where it acts, what it
//! needs, the origin of its default settings, and where paper and code disagree.
//! [`PublishedMethod::choose`] takes tensors by name; golden cases test it.
//!
//! Everything is implemented from descriptions of the rules; none of the authors' code is used.
//! If that code fails, or does something that its authors can't have intended, the case is
//! defined or refused here by name, and documented in the method's file.

pub(crate) mod at_budget;
mod card;
pub(crate) mod choice;
pub(crate) mod dense;
mod error;
mod inputs;
mod list;
mod method;
mod params;
mod ranking;
mod rope;
mod run_codes;
pub(crate) mod shared;
mod stage;

pub use card::{InputCard, ParamCard, ParamDefault, ParamKind, ParamScope, Preset, PublishedCard};
pub use choice::{Extra, MethodChoice};
pub use dense::Dense;
pub use error::PublishedError;
pub use inputs::MethodInputs;
pub use list::{published_method, published_methods};
pub use method::{PublishedMethod, PublishedStage, Source};
pub use params::{MethodParams, ParamValue};
pub(crate) use ranking::{best, descending};
pub use rope::Rope;
pub use run_codes::{RunCodes, StageCodes};
pub use stage::{ConfiguredMethod, published_crop_budget, published_plan};
