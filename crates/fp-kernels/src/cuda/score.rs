//! Statistics and scores of heads.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::check::{check_count, check_max, dim};
use super::element::{Cut, DeviceElement, HeadStatistics};
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::launch::Launch;
use super::strategy::Strategies;
use super::sys;
use crate::Normalization;
use crate::error::check_shape;

/// Sizes of attention `[B, H, N]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScoreShape {
    /// B.
    pub batch_size: usize,
    /// H.
    pub num_heads: usize,
    /// N.
    pub num_image_tokens: usize,
}

impl ScoreShape {
    /// The dimensions `[B, H, N]`.
    pub fn dims(&self) -> [usize; 3] {
        [self.batch_size, self.num_heads, self.num_image_tokens]
    }

    /// Checks that no dimension is zero or above the kernels' limits.
    pub(super) fn check(&self, op: &'static str) -> Result<[u32; 3], CudaError> {
        let dims = self.dims();
        check_shape(op, "attention", &dims, dims.iter().product())?;
        check_max(op, "the batch", self.batch_size, MAX_BATCH)?;
        check_max(op, "H", self.num_heads, sys::FP_MAX_HEADS as usize)?;
        let max = sys::FP_MAX_IMAGE_TOKENS as usize;
        check_max(op, "N", self.num_image_tokens, max)?;
        Ok([
            dim(op, "the batch", self.batch_size)?,
            dim(op, "H", self.num_heads)?,
            dim(op, "N", self.num_image_tokens)?,
        ])
    }
}

/// Samples are indexed by a grid dimension with this limit.
const MAX_BATCH: usize = 65_535;

pub(super) fn raw_normalization(normalization: Normalization) -> u32 {
    match normalization {
        Normalization::L1 => sys::FP_L1,
        Normalization::Softmax => sys::FP_SOFTMAX,
    }
}

/// Arguments of [`head_score`].
#[derive(Debug)]
pub struct HeadScore<'a, T> {
    /// B, H and N.
    pub shape: ScoreShape,
    /// `[B, H, N]`.
    pub attention: CudaView<'a, T>,
    /// How rows are normalized to distributions.
    pub normalization: Normalization,
    /// The strategy of each slot of `scores`; slots of strategies that compare heads are left to
    /// [`compare_heads`].
    pub strategies: &'a Strategies,
    /// Out, `[B, strategies, H]`; −∞ for a head without mass under L1 normalization.
    pub scores: CudaViewMut<'a, f64>,
    /// Out, `[B, H]`.
    pub statistics: Option<CudaViewMut<'a, HeadStatistics>>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

/// Computes the statistics of each row in one read, and the scores that follow from them.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; sizes above the
/// kernels' limits; a failed launch. Bad values are reported by the error word.
pub fn head_score<T: DeviceElement>(
    stream: &CudaStream,
    mut call: HeadScore<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "head_score";
    let [batch_size, num_heads, num_image_tokens] = call.shape.check(OP)?;
    let [b, h, _] = call.shape.dims();
    let mut launch = Launch::new(OP, stream);
    let args = sys::fp_head_score_args {
        attention: launch
            .input("attention", &call.attention, &call.shape.dims())?
            .cast(),
        scores: launch.output("scores", &mut call.scores, &[b, call.strategies.count(), h])?,
        statistics: launch.optional_output("statistics", call.statistics.as_mut(), &[b, h])?,
        error: launch.error(call.error)?,
        batch_size,
        num_heads,
        num_image_tokens,
        dtype: T::DTYPE,
        normalization: raw_normalization(call.normalization),
        strategies: call.strategies.raw(),
    };
    // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's device,
    // aligned, held until the launch is enqueued and freed in stream order.
    launch.run(|stream| unsafe { sys::fp_head_score(&args, stream) })
}

/// Arguments of [`compare_heads`].
#[derive(Debug)]
pub struct CompareHeads<'a, T> {
    /// B, H and N.
    pub shape: ScoreShape,
    /// `[B, H, N]`.
    pub attention: CudaView<'a, T>,
    /// How rows are normalized to distributions.
    pub normalization: Normalization,
    /// h.
    pub num_selected_heads: usize,
    /// The strategy of each slot of `scores`; slots of strategies that don't compare heads are
    /// left unchanged.
    pub strategies: &'a Strategies,
    /// Out, `[B, strategies, H]`.
    pub scores: CudaViewMut<'a, f64>,
    /// Out, `[B]`: the cut at which `hierarchical` selected its candidates.
    pub coarse_cuts: Option<CudaViewMut<'a, Cut>>,
    /// Scratch memory of [`compare_heads_workspace`] bytes.
    pub workspace: CudaViewMut<'a, u8>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

/// Bytes of scratch memory that [`compare_heads`] needs.
///
/// # Errors
/// Sizes above the kernels' limits.
pub fn compare_heads_workspace(shape: &ScoreShape) -> Result<usize, CudaError> {
    let [batch_size, num_heads, num_image_tokens] = shape.check(COMPARE_HEADS)?;
    let sizes = sys::fp_compare_heads_args {
        batch_size,
        num_heads,
        num_image_tokens,
        num_selected_heads: 1,
        ..Default::default()
    };
    // SAFETY: reads the sizes alone.
    Ok(unsafe { sys::fp_compare_heads_workspace(&sizes) })
}

const COMPARE_HEADS: &str = "compare_heads";

/// Computes the scores of the strategies that compare heads with each other.
///
/// # Errors
/// As [`head_score`], and a workspace that is too small, or h outside 1..=H.
pub fn compare_heads<T: DeviceElement>(
    stream: &CudaStream,
    mut call: CompareHeads<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = COMPARE_HEADS;
    let [batch_size, num_heads, num_image_tokens] = call.shape.check(OP)?;
    let [b, h, _] = call.shape.dims();
    check_count(OP, call.num_selected_heads, h)?;
    if !call.strategies.compare_heads() {
        return Err(CudaError::Strategies {
            op: OP,
            reason: "none of the strategies compares heads; use head_score".to_owned(),
        });
    }
    let workspace_bytes = compare_heads_workspace(&call.shape)?;
    let mut launch = Launch::new(OP, stream);
    let args = sys::fp_compare_heads_args {
        attention: launch
            .input("attention", &call.attention, &call.shape.dims())?
            .cast(),
        scores: launch.output("scores", &mut call.scores, &[b, call.strategies.count(), h])?,
        coarse_cuts: launch.optional_output("coarse cuts", call.coarse_cuts.as_mut(), &[b])?,
        workspace: launch.workspace(&mut call.workspace, workspace_bytes)?,
        error: launch.error(call.error)?,
        workspace_bytes,
        batch_size,
        num_heads,
        num_image_tokens,
        num_selected_heads: dim(OP, "h", call.num_selected_heads)?,
        dtype: T::DTYPE,
        normalization: raw_normalization(call.normalization),
        strategies: call.strategies.raw(),
    };
    // SAFETY: as in `head_score`.
    launch.run(|stream| unsafe { sys::fp_compare_heads(&args, stream) })
}
