//! The operations on NVIDIA GPUs.
//!
//! | operation | input | output |
//! |---|---|---|
//! | [`attention_rows`] | queries `[B, H, Q, D]`, keys `[B, H_kv, S, D]` | attention `[B, H, N]` or `[B, H, Q, N]` |
//! | [`attention_rows_of_runs`] | queries, keys in runs | the same |
//! | [`attention_prefill`] | queries `[T, H·D]`, runs of keys and values | attention's output `[T, H·D]` |
//! | [`attention_decode`] | the same, one row per sequence | the same |
//! | [`take_rows()`] | attention `[B, H, Q, N]` | that of some rows |
//! | [`query_weights`] | attention `[B, H, Q, N]` | weights of query rows `[B, Q]` |
//! | [`combine_rows`] | attention `[B, H, Q, N]`, weights | attention `[B, H, N]` |
//! | [`head_score`] | attention `[B, H, N]` | scores `[B, strategies, H]`, statistics `[B, H]` |
//! | [`compare_heads`] | attention `[B, H, N]` | scores of the strategies that compare heads |
//! | [`select`] | attention and scores | heads, importance and kept tokens, audited |
//! | [`fused`] | attention `[B, H, N]` | [`head_score`] and [`select`] in one or two launches |
//! | [`gather_tokens`] | hidden states, keys or values | those of the tokens that stay |
//! | [`gather_positions`] | kept tokens | positions of the tokens that stay |
//!
//! For a model's rows:
//!
//! | operation | input | output |
//! |---|---|---|
//! | [`norm`] | rows `[T, D]`, and what is added to them before | RMS norm or layer norm `[T, D]` |
//! | [`rotary_append`] | projections `[T, (H + 2·H_kv)·D]` | rotated queries; keys and values in their caches |
//! | [`gated_silu`] | gates and ups `[T, 2·M]` | `[T, M]` |
//! | [`activate`] | rows `[T, M]`, and a bias | an activation of each value |
//! | [`gather_rows`] | a table, features, indices `[T]` | rows `[T, D]` |
//! | [`greedy`] | logits `[B, V]` | token, margin and finiteness of each sequence |
//!
//! Every call checks its arguments before it launches, and returns without waiting for the
//! device. Nothing is allocated, so that a CUDA graph can capture it. Errors in the *data* are
//! found on the device: see [`ErrorWord`].
//!
//! A build with the feature `cuda` starts on a machine without a driver; [`is_driver_present`]
//! says whether there is one, and [`preflight()`] what else is missing.

mod activate;
mod attention;
mod attention_plan;
mod attention_table;
mod check;
mod element;
#[cfg(feature = "emulated-gpu")]
pub mod emulated;
mod error;
mod error_word;
mod fused;
mod gather;
mod gather_rows;
mod greedy;
mod kv_runs;
mod launch;
mod layer_attention;
mod libraries;
mod memory;
mod norm;
mod packed;
#[cfg(feature = "peers")]
mod peers;
mod preflight;
mod rotary;
mod row_weights;
mod rows_of_runs;
mod score;
mod select;
mod sequences;
mod strategy;
mod stream;
mod sys;
mod take_rows;

pub use activate::{Activate, ActivationKind, GatedSilu, RowsTo, activate, gated_silu};
pub use attention::{
    AttentionRows, Heads, KeyStrides, QueryStrides, attention_rows, attention_rows_workspace,
};
pub use attention_plan::AttentionPlan;
pub use attention_table::AttentionTable;
pub use element::{Cut, DeviceElement, GreedyChoice, HeadStatistics, SelectionAudit};
pub use error::{CudaError, DataError};
pub use error_word::ErrorWord;
pub use fused::{Fused, FusedPath, fused};
pub use gather::{GatherPositions, GatherTokens, Sequence, gather_positions, gather_tokens};
pub use gather_rows::{FROM_TABLE, FeatureRows, GatherRows, RowTable, gather_rows};
pub use greedy::{Choices, Greedy, choose, greedy};
pub use kv_runs::{KvRunTable, KvRunViews};
pub use layer_attention::{
    LayerAttention, attention_decode, attention_decode_workspace, attention_prefill,
};
pub use libraries::LibraryMissing;
pub use memory::{PlainValue, uninitialised};
pub use norm::{Norm, NormInput, NormKind, norm};
pub use packed::{Packed, PackedLayout, PackedOnHost, PackedParts, Part};
#[cfg(feature = "peers")]
pub use peers::SegmentedSort;
pub use preflight::{GpuInfo, PreflightError, preflight};
pub use rotary::{RotaryAngles, RotaryAppend, rotary_angles, rotary_append};
pub use row_weights::{CombineRows, QueryWeights, Weighting, combine_rows, query_weights};
pub use rows_of_runs::{RowsOfRuns, attention_rows_of_runs};
pub use score::{
    CompareHeads, HeadScore, ScoreShape, compare_heads, compare_heads_workspace, head_score,
};
pub use select::{Select, SelectionOutputs, select};
pub use sequences::{KeyValueRun, SequenceKeys};
pub use strategy::{Strategies, Strategy};
pub use stream::{disable_event_tracking, only_stream};
pub use sys::{FP_MAX_HEAD_DIM, FP_MAX_HEADS, FP_MAX_IMAGE_TOKENS};
pub use take_rows::take_rows;

/// Whether a CUDA driver can be loaded. Without it every other CUDA call fails.
pub fn is_driver_present() -> bool {
    // SAFETY: opens the driver's library, which only runs its own initialisers.
    unsafe { cudarc::driver::sys::is_culib_present() }
}
