//! `kernels/fp_kernels.h` and `kernels/emulation/emulation.h`, field by field.

use std::ffi::{c_char, c_int, c_void};

use crate::emulation::ffi_attention::{AttentionRun, AttentionSequence};

pub(crate) const F32: u32 = 0;
pub(crate) const F16: u32 = 1;
pub(crate) const BF16: u32 = 2;
pub(crate) const L1: u32 = 0;
pub(crate) const SOFTMAX: u32 = 1;
pub(crate) const NO_DATA_ERROR: u64 = u64::MAX;
pub(crate) const INVALID_ATTENTION: u64 = 1;
pub(crate) const NO_ATTENTION: u64 = 2;
pub(crate) const INVALID_LOGITS: u64 = 3;
pub(crate) const BAD_INDEX: u64 = 4;
pub(crate) const BAD_POSITION: u64 = 5;
pub(crate) const BAD_SEQUENCE: u64 = 8;
pub(crate) const EMULATION_FAULT: i32 = -99;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strategies {
    pub(crate) count: u32,
    pub(crate) id: [u8; 12],
}

impl Strategies {
    pub(crate) fn of(ids: &[u8]) -> Strategies {
        let mut strategies = Strategies {
            count: ids.len() as u32,
            id: [0; 12],
        };
        strategies.id[..ids.len()].copy_from_slice(ids);
        strategies
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Statistics {
    pub(crate) sum: f64,
    pub(crate) mean: f64,
    pub(crate) variance: f64,
    pub(crate) max: f64,
    pub(crate) min: f64,
    pub(crate) top_k_sum: f64,
    pub(crate) p_max: f64,
    pub(crate) p_squares: f64,
    pub(crate) p_entropy: f64,
    pub(crate) p_count: f64,
    pub(crate) gini: f64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cut {
    pub(crate) last_kept: f64,
    pub(crate) first_dropped: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) num_tied: u32,
    pub(crate) num_tied_kept: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Audit {
    pub(crate) heads: Cut,
    pub(crate) tokens: Cut,
    pub(crate) is_head_score_constant: u32,
    pub(crate) num_nan_heads: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct AttentionRowsArgs {
    pub(crate) queries: *const c_void,
    pub(crate) keys: *const c_void,
    pub(crate) row_positions: *const u32,
    pub(crate) weights: *const f64,
    pub(crate) attention: *mut f32,
    pub(crate) workspace: *mut c_void,
    pub(crate) error: *mut u64,
    pub(crate) workspace_bytes: usize,
    pub(crate) query_batch_stride: usize,
    pub(crate) query_head_stride: usize,
    pub(crate) query_row_stride: usize,
    pub(crate) key_batch_stride: usize,
    pub(crate) key_head_stride: usize,
    pub(crate) key_token_stride: usize,
    pub(crate) weights_batch_stride: usize,
    pub(crate) batch_size: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_kv_heads: u32,
    pub(crate) num_rows: u32,
    pub(crate) sequence_len: u32,
    pub(crate) head_dim: u32,
    pub(crate) image_start: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) scale: f32,
    pub(crate) dtype: u32,
    pub(crate) sequences: *const AttentionSequence,
    pub(crate) runs: *const AttentionRun,
    pub(crate) num_runs: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct QueryWeightsArgs {
    pub(crate) rows: *const c_void,
    pub(crate) totals: *mut f64,
    pub(crate) weights: *mut f64,
    pub(crate) error: *mut u64,
    pub(crate) batch_size: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_rows: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) num_unseen_rows: u32,
    pub(crate) dtype: u32,
    pub(crate) weighting: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct CombineRowsArgs {
    pub(crate) rows: *const c_void,
    pub(crate) weights: *const f64,
    pub(crate) attention: *mut f32,
    pub(crate) error: *mut u64,
    pub(crate) weights_batch_stride: usize,
    pub(crate) batch_size: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_rows: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) dtype: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct HeadScoreArgs {
    pub(crate) attention: *const c_void,
    pub(crate) scores: *mut f64,
    pub(crate) statistics: *mut Statistics,
    pub(crate) error: *mut u64,
    pub(crate) batch_size: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) dtype: u32,
    pub(crate) normalization: u32,
    pub(crate) strategies: Strategies,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct CompareHeadsArgs {
    pub(crate) attention: *const c_void,
    pub(crate) scores: *mut f64,
    pub(crate) coarse_cuts: *mut Cut,
    pub(crate) workspace: *mut c_void,
    pub(crate) error: *mut u64,
    pub(crate) workspace_bytes: usize,
    pub(crate) batch_size: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) num_selected_heads: u32,
    pub(crate) dtype: u32,
    pub(crate) normalization: u32,
    pub(crate) strategies: Strategies,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Selection {
    pub(crate) selected_heads: *mut u32,
    pub(crate) token_importance: *mut f64,
    pub(crate) kept_tokens: *mut u32,
    pub(crate) audits: *mut Audit,
    pub(crate) num_selected_heads: u32,
    pub(crate) num_kept_tokens: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SelectArgs {
    pub(crate) attention: *const c_void,
    pub(crate) scores: *const f64,
    pub(crate) statistics: *const Statistics,
    pub(crate) error: *mut u64,
    pub(crate) selection: Selection,
    pub(crate) batch_size: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) num_strategies: u32,
    pub(crate) dtype: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct FusedArgs {
    pub(crate) attention: *const c_void,
    pub(crate) scores: *mut f64,
    pub(crate) statistics: *mut Statistics,
    pub(crate) error: *mut u64,
    pub(crate) selection: Selection,
    pub(crate) batch_size: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) dtype: u32,
    pub(crate) normalization: u32,
    pub(crate) allow_degenerate: u32,
    pub(crate) strategies: Strategies,
    pub(crate) path: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GatherTokensArgs {
    pub(crate) source: *const c_void,
    pub(crate) target: *mut c_void,
    pub(crate) kept_tokens: *const u32,
    pub(crate) error: *mut u64,
    pub(crate) kept_batch_stride: usize,
    pub(crate) source_batch_stride: usize,
    pub(crate) source_outer_stride: usize,
    pub(crate) batch_size: u32,
    pub(crate) outer: u32,
    pub(crate) row_bytes: u32,
    pub(crate) num_system: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) num_text: u32,
    pub(crate) num_kept_tokens: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GatherPositionsArgs {
    pub(crate) kept_tokens: *const u32,
    pub(crate) positions: *mut u32,
    pub(crate) error: *mut u64,
    pub(crate) kept_batch_stride: usize,
    pub(crate) batch_size: u32,
    pub(crate) num_system: u32,
    pub(crate) num_image_tokens: u32,
    pub(crate) num_text: u32,
    pub(crate) num_kept_tokens: u32,
}

/// A launcher of the C interface.
pub(crate) type Launcher<Args> = unsafe extern "C" fn(*const Args, *mut c_void) -> c_int;

unsafe extern "C" {
    pub(crate) fn fp_emulated_attention_rows(
        args: *const AttentionRowsArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_attention_rows_workspace(args: *const AttentionRowsArgs) -> usize;
    pub(crate) fn fp_emulated_query_weights(
        args: *const QueryWeightsArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_combine_rows(
        args: *const CombineRowsArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_head_score(args: *const HeadScoreArgs, stream: *mut c_void) -> c_int;
    pub(crate) fn fp_emulated_compare_heads(
        args: *const CompareHeadsArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_compare_heads_workspace(args: *const CompareHeadsArgs) -> usize;
    pub(crate) fn fp_emulated_select(args: *const SelectArgs, stream: *mut c_void) -> c_int;
    pub(crate) fn fp_emulated_fused(args: *const FusedArgs, stream: *mut c_void) -> c_int;
    pub(crate) fn fp_emulated_gather_tokens(
        args: *const GatherTokensArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_gather_positions(
        args: *const GatherPositionsArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_status_string(status: c_int) -> *const c_char;

    pub(crate) fn fp_emulation_register(address: *const c_void, bytes: usize, is_writable: c_int);
    pub(crate) fn fp_emulation_unregister_all();
    pub(crate) fn fp_emulation_set_order(seed: u64);
    pub(crate) fn fp_emulation_fault() -> *const c_char;
    pub(crate) fn fp_emulation_num_launches() -> u64;
    pub(crate) fn fp_emulation_size_of(arguments: u32) -> usize;
    pub(crate) fn fp_emulation_broken(
        input: *const f32,
        output: *mut f32,
        length: u32,
        mistake: u32,
        cluster: u32,
    ) -> c_int;
}
