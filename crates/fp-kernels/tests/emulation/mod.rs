//! The CUDA kernels, run by the emulation of `kernels/emulation`, against the references.
//!
//! The sources that nvcc compiles run here on the host. What this proves, and what not, is
//! documented in `kernels/emulation/emulation.h`.
#![allow(unsafe_code)] // calls through the kernels' C interface

mod activate;
mod attention;
mod attention_rows;
mod broken;
mod cases;
mod compare_heads;
mod device;
mod ffi;
mod ffi_attention;
mod ffi_rows;
mod fused;
mod gather;
mod gather_rows;
mod golden;
#[path = "../../../fp-scoring/tests/golden/cases.rs"]
mod golden_cases;
mod greedy;
mod head_score;
mod norm;
mod oracle;
mod product;
mod query_weights;
mod rotary_append;
mod select;
mod typed;
