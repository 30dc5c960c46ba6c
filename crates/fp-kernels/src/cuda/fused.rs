//! Scores and selection of all strategies in one or two launches.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::element::{DeviceElement, HeadStatistics};
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::launch::Launch;
use super::score::{ScoreShape, raw_normalization};
use super::select::SelectionOutputs;
use super::strategy::Strategies;
use super::sys;
use crate::Normalization;

/// How [`fused`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FusedPath {
    /// One launch of clusters if device and sizes allow it and the clusters of all samples run at
    /// once (8·B multiprocessors), otherwise two launches.
    #[default]
    Auto,
    /// One launch of thread-block clusters. An error on devices without clusters, and if H or N
    /// exceed what a cluster's shared memory holds.
    Cluster,
    /// [`super::head_score`], then [`super::select()`].
    Two,
}

/// Arguments of [`fused`].
#[derive(Debug)]
pub struct Fused<'a, T> {
    /// B, H and N.
    pub shape: ScoreShape,
    /// `[B, H, N]`.
    pub attention: CudaView<'a, T>,
    /// How rows are normalized to distributions.
    pub normalization: Normalization,
    /// None of them may compare heads.
    pub strategies: &'a Strategies,
    /// Continue even if no head of a sample attends to the image.
    pub allow_degenerate: bool,
    /// How to run.
    pub path: FusedPath,
    /// Out, `[B, strategies, H]`.
    pub scores: CudaViewMut<'a, f64>,
    /// Out, `[B, H]`; needed unless `allow_degenerate`.
    pub statistics: Option<CudaViewMut<'a, HeadStatistics>>,
    /// Sizes and outputs of the selection.
    pub selection: SelectionOutputs<'a>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

/// Selects tokens under every strategy at once, with the same bits as [`super::head_score`]
/// followed by [`super::select()`].
///
/// # Errors
/// Those of the two operations, strategies that compare heads, and clusters on a device without
/// them.
pub fn fused<T: DeviceElement>(
    stream: &CudaStream,
    mut call: Fused<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "fused";
    let [batch_size, num_heads, num_image_tokens] = call.shape.check(OP)?;
    let [b, heads, _] = call.shape.dims();
    let count = call.strategies.count();
    let refused = |reason: &str| CudaError::Strategies {
        op: OP,
        reason: reason.to_owned(),
    };
    if call.strategies.compare_heads() {
        return Err(refused(
            "for strategies that compare heads, use compare_heads and select",
        ));
    }
    if call.statistics.is_none() && !call.allow_degenerate {
        return Err(refused(
            "statistics are needed to find samples without attention",
        ));
    }
    let mut launch = Launch::new(OP, stream);
    let args = sys::fp_fused_args {
        attention: launch
            .input("attention", &call.attention, &call.shape.dims())?
            .cast(),
        scores: launch.output("scores", &mut call.scores, &[b, count, heads])?,
        statistics: launch.optional_output("statistics", call.statistics.as_mut(), &[b, heads])?,
        selection: call.selection.raw(&mut launch, &call.shape, count)?,
        error: launch.error(call.error)?,
        batch_size,
        num_heads,
        num_image_tokens,
        dtype: T::DTYPE,
        normalization: raw_normalization(call.normalization),
        allow_degenerate: u32::from(call.allow_degenerate),
        strategies: call.strategies.raw(),
        path: match call.path {
            FusedPath::Auto => sys::FP_PATH_AUTO,
            FusedPath::Cluster => sys::FP_PATH_CLUSTER,
            FusedPath::Two => sys::FP_PATH_TWO,
        },
    };
    // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's device,
    // aligned, held until the launch is enqueued and freed in stream order.
    launch.run(|stream| unsafe { sys::fp_fused(&args, stream) })
}
