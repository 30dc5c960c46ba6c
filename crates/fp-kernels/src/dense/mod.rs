//! Dense arithmetic of a transformer on the CPU, in `f32`.
//!
//! | operation | input | output |
//! |---|---|---|
//! | [`linear`] | `x [T, in]`, [`PackedMatrix`] or [`HalfMatrix`] `[out, in]` | `x Wᵀ (+ start) [T, out]` |
//! | [`linear_bf16`] | the same, rows rounded to `bf16` | `x Wᵀ (+ start) [T, out]` |
//! | [`attention`] | query rows, keys and values per sequence | `[T, H · head_dim]` |
//! | [`attention_rows`] | a few query rows, keys | post-softmax attention to some keys `[H, Q, N]` |
//! | [`rms_norm`], [`layer_norm`] | `[T, D]` | `[T, D]` |
//! | [`gated_silu`], [`quick_gelu`], [`gelu`], [`gelu_tanh`] | pre-activations | activations |
//! | [`rotate`] | query or key heads, cosines and sines | rotated in place |
//!
//! **Every output element is one fixed chain of operations.** A product sum runs over its terms
//! from first to last in fused multiply-adds, whichever block the element belongs to. The bits of
//! a row therefore don't depend on the number of rows computed with it, on the number of threads
//! or on the vector width; only a machine without fused multiply-add rounds differently. Two-byte
//! weights are widened in registers and give the same bits as these weights in `f32`. If rows are
//! rounded to `bf16`, some processors use an instruction with its own rounding: see [`rounding`].

mod arithmetic;
mod attention;
mod gemm;
mod halves;
mod interleave;
mod level;
mod math;
mod micro;
mod one_row;
mod packed;
mod panels;
mod raw;
mod rowwise;
mod turn;

pub use arithmetic::{Rounding, instructions, limit_instructions, rounding};
pub use attention::{
    AttentionShape, Cached, KeyValues, SequenceQueries, attention, attention_rows,
};
pub use gemm::{Start, Weights, linear, linear_bf16};
pub use halves::{HalfFormat, HalfMatrix, NotFinite};
pub use packed::PackedMatrix;
pub use rowwise::{gated_silu, gelu, gelu_tanh, layer_norm, quick_gelu, rms_norm, rotate};
