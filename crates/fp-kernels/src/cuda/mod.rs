//! The operations on NVIDIA GPUs.
//!
//! | operation | input | output |
//! |---|---|---|
//! | [`attention_rows`] | queries `[B, H, Q, D]`, keys `[B, H_kv, S, D]` | attention `[B, H, N]` or `[B, H, Q, N]` |
//! | [`query_weights`] | attention `[B, H, Q, N]` | weights of query rows `[B, Q]` |
//! | [`combine_rows`] | attention `[B, H, Q, N]`, weights | attention `[B, H, N]` |
//! | [`head_score`] | attention `[B, H, N]` | scores `[B, strategies, H]`, statistics `[B, H]` |
//! | [`compare_heads`] | attention `[B, H, N]` | scores of the strategies that compare heads |
//! | [`select`] | attention and scores | heads, importance and kept tokens, audited |
//! | [`fused`] | attention `[B, H, N]` | [`head_score`] and [`select`] in one or two launches |
//! | [`gather_tokens`] | hidden states, keys or values | those of the tokens that stay |
//! | [`gather_positions`] | kept tokens | positions of the tokens that stay |
//!
//! Every call checks its arguments before it launches and returns without waiting for
//! the device; nothing is allocated, so that a CUDA graph can capture it. What is wrong
//! with the *data* is found on the device: see [`ErrorWord`].
//!
//! A build with the feature `cuda` starts on a machine without a driver;
//! [`is_driver_present`] tells whether there is one.

mod attention;
mod check;
mod element;
mod error;
mod error_word;
mod fused;
mod gather;
mod launch;
#[cfg(feature = "peers")]
mod peers;
mod score;
mod select;
mod strategy;
mod stream;
mod sys;

pub use attention::{
    AttentionRows, CombineRows, Heads, KeyStrides, QueryStrides, QueryWeights, Weighting,
    attention_rows, attention_rows_workspace, combine_rows, query_weights,
};
pub use element::{Cut, DeviceElement, HeadStatistics, SelectionAudit};
pub use error::{CudaError, DataError};
pub use error_word::ErrorWord;
pub use fused::{Fused, FusedPath, fused};
pub use gather::{GatherPositions, GatherTokens, Sequence, gather_positions, gather_tokens};
#[cfg(feature = "peers")]
pub use peers::SegmentedSort;
pub use score::{
    CompareHeads, HeadScore, ScoreShape, compare_heads, compare_heads_workspace, head_score,
};
pub use select::{Select, SelectionOutputs, select};
pub use strategy::{Strategies, Strategy};
pub use stream::only_stream;
pub use sys::{FP_MAX_HEAD_DIM, FP_MAX_HEADS, FP_MAX_IMAGE_TOKENS};

/// Whether a CUDA driver can be loaded. Without one every other call of CUDA fails.
pub fn is_driver_present() -> bool {
    // SAFETY: opens the driver's library, which runs nothing but its own initialisers.
    unsafe { cudarc::driver::sys::is_culib_present() }
}
