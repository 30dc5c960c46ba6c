//! Pruning in general: where tokens are dropped, which selector decides, and how many are kept.
//!
//! A method is an ordered list of [`Stage`]s and a [`PositionRule`]; a stage is a
//! [`Site`], a [`Selector`] and the number of tokens that are kept. A selector turns
//! [`Evidence`] into a [`TokenSelection`]. What a method costs follows from the number of
//! tokens that enter each layer, its [`crate::TokenSchedule`].
//!
//! A [`PruningMethod`] creates the stages for a model and a budget. Named methods are in a
//! [`MethodRegistry`]: one file under `methods/` and one line in [`MethodRegistry::standard`].

mod attention;
mod clip;
mod crops;
mod error;
mod evidence;
mod masked;
mod matrix;
pub mod methods;
mod plan;
mod published;
mod registry;
mod selection;
mod selector;
mod site;
mod vision;

pub use attention::AttentionSelector;
pub use clip::ClipValues;
pub use crops::{CropBudget, CropEvidence, ImageCrops, PerCrop};
pub use error::{PlanError, SelectError};
pub use evidence::{CoveredArea, DecoderValues, Evidence};
pub use masked::PaddingMasked;
pub use matrix::Matrix;
pub use plan::{ImageInput, Plan, PlanSetting, Stage};
pub use published::{
    ConfiguredMethod, Dense, Extra, InputCard, MethodChoice, MethodInputs, MethodParams, ParamCard,
    ParamDefault, ParamKind, ParamScope, ParamValue, Preset, PublishedCard, PublishedError,
    PublishedMethod, PublishedStage, Rope, RunCodes, Source, StageCodes, published_crop_budget,
    published_method, published_methods, published_plan,
};
pub use registry::{
    DuplicateMethod, MethodCard, MethodRegistry, MethodRole, OneStage, PruningMethod, UnknownMethod,
};
pub use selection::{Merge, TokenSelection};
pub use selector::{AttentionNeed, Candidates, Needs, Selected, Selector};
pub use site::{PositionRule, Site};
pub use vision::{VisionNeed, VisionValues};
