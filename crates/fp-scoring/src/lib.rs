//! Finds the attention heads and query tokens that best identify the visual tokens to keep.
//!
//! A [`QueryStrategy`] combines the attention rows of layer K to one row per head, a
//! [`HeadStrategy`] scores the heads, and the mean over the heads with the highest scores is each
//! image token's importance. The R most important tokens are kept. The [`SelectionAudit`] of a
//! selection records what decided it.
//!
//! ```
//! use fp_scoring::{HeadCount, HeadStrategy, ImageAttention, Normalization, SelectOptions, score_all};
//!
//! // Two heads over four image tokens.
//! let attention = [0.1_f32, 0.1, 0.1, 0.1, 0.0, 0.3, 0.0, 0.1];
//! let attention = ImageAttention::new(&attention, 2, 4)?;
//! let options = SelectOptions {
//!     normalization: Normalization::L1,
//!     num_selected_heads: HeadCount::Count(1),
//!     kept: 2,
//!     allow_degenerate: false,
//! };
//! for selection in score_all(&attention, HeadStrategy::STUDY, &options)? {
//!     println!("{}: {:?}", selection.head_strategy, selection.kept_tokens.as_slice());
//! }
//! # Ok::<(), fp_scoring::ScoringError>(())
//! ```
//!
//! This crate works on slices and shapes, never on model tensors.

mod audit;
mod budget;
mod config;
mod cost;
#[cfg(feature = "cuda")]
pub mod cuda;
mod equivalence;
mod error;
#[cfg(test)]
#[macro_use]
mod error_check;
#[cfg(test)]
mod error_kinds;
mod error_text;
mod file;
pub mod hash;
mod head;
mod head_ranking;
mod kept;
mod layout;
mod named;
mod normalization;
mod pruning;
mod query;
mod schedule;
mod score;

pub use audit::{CutAudit, NEAR_TIE_GAP, QueryAudit, SelectionAudit};
pub use budget::{BudgetError, HeadCount, TokenBudget, average_visual_tokens};
pub use config::PruneConfig;
pub use cost::{DecoderShape, FLOPS_PER_MAC, MlpConvention, PrunedCost};
pub use equivalence::{Equivalence, EquivalenceMatrix};
pub use error::{Cause, ScoringError, SharedError};
pub use error_text::{error_chain, error_text};
pub use file::{open_file, read_file, read_line, read_text_file};
pub use head::HeadStrategy;
pub use head_ranking::HeadRanking;
pub use kept::KeptTokens;
pub use layout::TokenLayout;
pub use named::{StrategyCard, UnknownName, did_you_mean, nearest};
pub use normalization::Normalization;
pub use pruning::methods::{oracle_tokens, random_tokens, uniform_grid_tokens};
pub use pruning::{
    AttentionNeed, AttentionSelector, Candidates, ClipValues, ConfiguredMethod, CoveredArea,
    CropBudget, CropEvidence, DecoderValues, Dense, DuplicateMethod, Evidence, Extra, ImageCrops,
    ImageInput, InputCard, Matrix, Merge, MethodCard, MethodChoice, MethodInputs, MethodParams,
    MethodRegistry, MethodRole, Needs, OneStage, PaddingMasked, ParamCard, ParamDefault, ParamKind,
    ParamScope, ParamValue, PerCrop, Plan, PlanError, PlanSetting, PositionRule, Preset,
    PruningMethod, PublishedCard, PublishedError, PublishedMethod, PublishedStage, Rope, RunCodes,
    SelectError, Selected, Selector, Site, Source, Stage, StageCodes, TokenSelection,
    UnknownMethod, VisionNeed, VisionValues, methods, published_crop_budget, published_method,
    published_methods, published_plan,
};
pub use query::{AttentionRows, QueryStrategy};
pub use schedule::{ScheduleStage, ScheduleStages, ScheduleSyntax, TokenSchedule};
pub use score::{
    ImageAttention, SelectOptions, Selection, image_attention, score_all, score_batch, select,
};
