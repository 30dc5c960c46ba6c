//! Weights of query rows, and weighted sums of rows.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::attention::weights_stride;
use super::check::dim;
use super::element::DeviceElement;
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::launch::Launch;
use super::score::ScoreShape;
use super::sys;

/// How [`query_weights`] derives weights from the rows' total attention to the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighting {
    /// Softmax of the totals.
    SoftmaxOfTotals,
    /// Weight 1 for the row with the largest total; ties go to the lower row.
    LargestTotal,
}

/// Arguments of [`query_weights`].
#[derive(Debug)]
pub struct QueryWeights<'a, T> {
    /// B, H and N.
    pub shape: ScoreShape,
    /// Q.
    pub num_rows: usize,
    /// Number of rows before the image that were omitted: their totals are 0.
    pub num_unseen_rows: usize,
    /// `[B, H, Q, N]`.
    pub rows: CudaView<'a, T>,
    /// How weights follow from totals.
    pub weighting: Weighting,
    /// Out, `[B, Q]`: total attention to the image.
    pub totals: CudaViewMut<'a, f64>,
    /// Out, `[B, Q]`: weights.
    pub weights: CudaViewMut<'a, f64>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

/// Computes weights of query rows that depend on their attention.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; a failed launch. Bad
/// values are reported by the error word.
pub fn query_weights<T: DeviceElement>(
    stream: &CudaStream,
    mut call: QueryWeights<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "query_weights";
    let [batch_size, num_heads, num_image_tokens] = call.shape.check(OP)?;
    let [b, h, n] = call.shape.dims();
    let q = call.num_rows;
    let mut launch = Launch::new(OP, stream);
    let args = sys::fp_query_weights_args {
        rows: launch.input("rows", &call.rows, &[b, h, q, n])?.cast(),
        totals: launch.output("totals", &mut call.totals, &[b, q])?,
        weights: launch.output("weights", &mut call.weights, &[b, q])?,
        error: launch.error(call.error)?,
        batch_size,
        num_heads,
        num_rows: dim(OP, "Q", q)?,
        num_image_tokens,
        num_unseen_rows: dim(OP, "rows left out", call.num_unseen_rows)?,
        dtype: T::DTYPE,
        weighting: match call.weighting {
            Weighting::SoftmaxOfTotals => sys::FP_SOFTMAX_OF_TOTALS,
            Weighting::LargestTotal => sys::FP_LARGEST_TOTAL,
        },
    };
    // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's device,
    // aligned, held until the launch is enqueued and freed in stream order.
    launch.run(|stream| unsafe { sys::fp_query_weights(&args, stream) })
}

/// Arguments of [`combine_rows`].
#[derive(Debug)]
pub struct CombineRows<'a, T> {
    /// B, H and N.
    pub shape: ScoreShape,
    /// Q.
    pub num_rows: usize,
    /// `[B, H, Q, N]`.
    pub rows: CudaView<'a, T>,
    /// `[B, Q]`, or `[Q]` for all samples.
    pub weights: CudaView<'a, f64>,
    /// Out, `[B, H, N]`.
    pub attention: CudaViewMut<'a, f32>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

/// Combines query rows to one row per head, a weighted sum in `f64`.
///
/// # Errors
/// As [`query_weights`].
pub fn combine_rows<T: DeviceElement>(
    stream: &CudaStream,
    mut call: CombineRows<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "combine_rows";
    let [batch_size, num_heads, num_image_tokens] = call.shape.check(OP)?;
    let [b, h, n] = call.shape.dims();
    let q = call.num_rows;
    let weights_batch_stride = weights_stride(OP, &call.weights, b, q)?;
    let mut launch = Launch::new(OP, stream);
    let args = sys::fp_combine_rows_args {
        rows: launch.input("rows", &call.rows, &[b, h, q, n])?.cast(),
        weights: launch.read("weights", &call.weights)?,
        attention: launch.output("attention", &mut call.attention, &[b, h, n])?,
        error: launch.error(call.error)?,
        weights_batch_stride,
        batch_size,
        num_heads,
        num_rows: dim(OP, "Q", q)?,
        num_image_tokens,
        dtype: T::DTYPE,
    };
    // SAFETY: as in `query_weights`.
    launch.run(|stream| unsafe { sys::fp_combine_rows(&args, stream) })
}
