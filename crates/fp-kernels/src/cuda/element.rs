//! Types of values in device memory.

use cudarc::driver::{DeviceRepr, ValidAsZeroBits};
use half::{bf16, f16};

use super::sys;

/// A number format of attention, queries, keys and everything else that a model computes.
pub trait DeviceElement: DeviceRepr + sealed::Sealed {
    /// The corresponding `fp_dtype`.
    #[doc(hidden)]
    const DTYPE: u32;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
}

impl DeviceElement for f32 {
    const DTYPE: u32 = sys::FP_F32;
}

impl DeviceElement for f16 {
    const DTYPE: u32 = sys::FP_F16;
}

impl DeviceElement for bf16 {
    const DTYPE: u32 = sys::FP_BF16;
}

/// The statistics of one row, in the device's layout.
pub type HeadStatistics = sys::fp_head_statistics;
/// The boundary of a selection, in the device's layout.
pub type Cut = sys::fp_cut;
/// What decided one selection, in the device's layout.
pub type SelectionAudit = sys::fp_selection_audit;
/// What greedy decoding needs of one sequence's logits, in the device's layout.
pub type GreedyChoice = sys::fp_greedy_choice;

// SAFETY: `repr(C)` structs of numbers, laid out by the header that the kernels use.
unsafe impl DeviceRepr for HeadStatistics {}
// SAFETY: as above.
unsafe impl DeviceRepr for Cut {}
// SAFETY: as above.
unsafe impl DeviceRepr for SelectionAudit {}
// SAFETY: as above.
unsafe impl DeviceRepr for GreedyChoice {}
// SAFETY: every bit pattern is a valid value of each field, including zeros.
unsafe impl ValidAsZeroBits for HeadStatistics {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for Cut {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for SelectionAudit {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for GreedyChoice {}

impl From<HeadStatistics> for crate::HeadStatistics {
    fn from(row: HeadStatistics) -> Self {
        crate::HeadStatistics {
            sum: row.sum,
            mean: row.mean,
            variance: row.variance,
            max: row.max,
            min: row.min,
            top_k_sum: row.top_k_sum,
            p_max: row.p_max,
            p_squares: row.p_squares,
            p_entropy: row.p_entropy,
            p_count: row.p_count as usize,
            gini: row.gini,
        }
    }
}

impl Cut {
    /// The cut in the CPU's form; `None` if nothing was dropped.
    pub fn known(&self) -> Option<crate::cpu::Cut> {
        (!self.first_dropped.is_nan()).then_some(crate::cpu::Cut {
            last_kept: self.last_kept,
            first_dropped: self.first_dropped,
            num_tied: self.num_tied as usize,
            num_tied_kept: self.num_tied_kept as usize,
        })
    }
}
