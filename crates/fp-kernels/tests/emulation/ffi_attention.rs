//! `kernels/fp_attention.h`, field by field.

use std::ffi::{c_int, c_void};

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AttentionRun {
    pub(crate) keys: *const c_void,
    pub(crate) values: *const c_void,
    pub(crate) head_stride: u64,
    pub(crate) token_stride: u32,
    pub(crate) length: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionSequence {
    pub(crate) first_row: u32,
    pub(crate) num_rows: u32,
    pub(crate) first_key: u32,
    pub(crate) num_keys: u32,
    pub(crate) first_run: u32,
    pub(crate) num_runs: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AttentionArgs {
    pub(crate) queries: *const c_void,
    pub(crate) output: *mut c_void,
    pub(crate) sequences: *const AttentionSequence,
    pub(crate) runs: *const AttentionRun,
    pub(crate) workspace: *mut c_void,
    pub(crate) error: *mut u64,
    pub(crate) workspace_bytes: usize,
    pub(crate) query_row_stride: usize,
    pub(crate) output_row_stride: usize,
    pub(crate) num_sequences: u32,
    pub(crate) num_runs: u32,
    pub(crate) num_rows: u32,
    pub(crate) max_rows: u32,
    pub(crate) max_keys: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_kv_heads: u32,
    pub(crate) head_dim: u32,
    pub(crate) scale: f32,
    pub(crate) dtype: u32,
    pub(crate) is_causal: u32,
}

unsafe extern "C" {
    pub(crate) fn fp_emulated_attention_prefill(
        args: *const AttentionArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_attention_decode(
        args: *const AttentionArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_attention_decode_workspace(args: *const AttentionArgs) -> usize;

    pub(crate) fn fp_emulation_product(
        a: *const c_void,
        b: *const c_void,
        sums: *mut f32,
        is_bfloat: u32,
        mistake: u32,
    ) -> c_int;
}
