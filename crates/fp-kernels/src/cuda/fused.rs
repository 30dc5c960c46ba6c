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

/// How [`fused`] is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FusedPath {
    /// One launch of clusters where device and sizes allow and every sample's cluster runs
    /// at once (8·B multiprocessors), else two.
    #[default]
    Auto,
    /// One launch of thread-block clusters, or an error where there are none or H or N
    /// are above what a cluster's shared memory holds.
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
    /// Makes distributions of rows.
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
    /// What is selected.
    pub selection: SelectionOutputs<'a>,
    /// Where bad values are told.
    pub error: &'a mut ErrorWord,
}

/// Which tokens to keep under every strategy at once. The same bits as
/// [`super::head_score`] and [`super::select()`] give.
///
/// # Errors
/// As those, strategies that compare heads, and clusters asked of a device without.
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
            "strategies that compare heads are compare_heads' and select's",
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
    // SAFETY: every pointer leads to as many values as the sizes say, on the stream's
    // device, aligned, held until the launch is enqueued and freed in stream order.
    launch.run(|stream| unsafe { sys::fp_fused(&args, stream) })
}
