//! `kernels/fp_rows.h`, field by field.

use std::ffi::{c_int, c_void};

pub(crate) const BAD_POSITION: u64 = 5;
pub(crate) const BAD_ROW: u64 = 6;
pub(crate) const BAD_SLOT: u64 = 7;
pub(crate) const FROM_TABLE: u32 = u32::MAX;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct NormArgs {
    pub(crate) x: *mut c_void,
    pub(crate) add: *const c_void,
    pub(crate) weight: *const c_void,
    pub(crate) bias: *const c_void,
    pub(crate) out: *mut c_void,
    pub(crate) num_rows: u32,
    pub(crate) width: u32,
    pub(crate) epsilon: f32,
    pub(crate) dtype: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct KvRun {
    pub(crate) keys: *mut c_void,
    pub(crate) values: *mut c_void,
    pub(crate) capacity: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct RotaryAppendArgs {
    pub(crate) projected: *const c_void,
    pub(crate) queries: *mut c_void,
    pub(crate) cosines: *const f32,
    pub(crate) sines: *const f32,
    pub(crate) positions: *const u32,
    pub(crate) runs: *const u32,
    pub(crate) slots: *const u32,
    pub(crate) run_table: *const KvRun,
    pub(crate) error: *mut u64,
    pub(crate) projected_stride: usize,
    pub(crate) query_stride: usize,
    pub(crate) num_rows: u32,
    pub(crate) num_heads: u32,
    pub(crate) num_kv_heads: u32,
    pub(crate) head_dim: u32,
    pub(crate) num_positions: u32,
    pub(crate) num_runs: u32,
    pub(crate) dtype: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GatedSiluArgs {
    pub(crate) gates_and_ups: *const c_void,
    pub(crate) bias: *const c_void,
    pub(crate) out: *mut c_void,
    pub(crate) num_rows: u32,
    pub(crate) width: u32,
    pub(crate) dtype: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ActivateArgs {
    pub(crate) x: *const c_void,
    pub(crate) bias: *const c_void,
    pub(crate) out: *mut c_void,
    pub(crate) num_rows: u32,
    pub(crate) width: u32,
    pub(crate) dtype: u32,
    pub(crate) activation: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GatherRowsArgs {
    pub(crate) table: *const c_void,
    pub(crate) features: *const c_void,
    pub(crate) indices: *const u32,
    pub(crate) feature_rows: *const u32,
    pub(crate) out: *mut c_void,
    pub(crate) error: *mut u64,
    pub(crate) table_stride: usize,
    pub(crate) feature_stride: usize,
    pub(crate) num_rows: u32,
    pub(crate) row_bytes: u32,
    pub(crate) table_rows: u32,
    pub(crate) num_features: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct GreedyChoice {
    pub(crate) token: u32,
    pub(crate) margin: f32,
    pub(crate) is_finite: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct GreedyArgs {
    pub(crate) logits: *const c_void,
    pub(crate) choices: *mut GreedyChoice,
    pub(crate) batch_size: u32,
    pub(crate) vocabulary: u32,
    pub(crate) dtype: u32,
}

unsafe extern "C" {
    pub(crate) fn fp_emulated_norm(args: *const NormArgs, stream: *mut c_void) -> c_int;
    pub(crate) fn fp_emulated_rotary_append(
        args: *const RotaryAppendArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_gated_silu(args: *const GatedSiluArgs, stream: *mut c_void) -> c_int;
    pub(crate) fn fp_emulated_activate(args: *const ActivateArgs, stream: *mut c_void) -> c_int;
    pub(crate) fn fp_emulated_gather_rows(
        args: *const GatherRowsArgs,
        stream: *mut c_void,
    ) -> c_int;
    pub(crate) fn fp_emulated_greedy(args: *const GreedyArgs, stream: *mut c_void) -> c_int;
    pub(crate) fn fp_emulation_narrow(value: f32, dtype: u32) -> u16;
    fn fp_emulation_size_of_rows(structure: u32) -> usize;
}

#[test]
fn hand_written_bindings_have_the_sizes_of_the_header() {
    let sizes = [
        size_of::<NormArgs>(),
        size_of::<KvRun>(),
        size_of::<RotaryAppendArgs>(),
        size_of::<GatedSiluArgs>(),
        size_of::<ActivateArgs>(),
        size_of::<GatherRowsArgs>(),
        size_of::<GreedyChoice>(),
        size_of::<GreedyArgs>(),
    ];
    for (index, size) in sizes.into_iter().enumerate() {
        // SAFETY: reads a table.
        assert_eq!(unsafe { fp_emulation_size_of_rows(index as u32) }, size);
    }
}
