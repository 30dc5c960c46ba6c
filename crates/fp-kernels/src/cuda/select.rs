//! From scores to kept tokens.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::check::{check_count, dim};
use super::element::{DeviceElement, HeadStatistics, SelectionAudit};
use super::error::CudaError;
use super::error_word::ErrorWord;
use super::launch::Launch;
use super::score::ScoreShape;
use super::sys;

/// Sizes and outputs of a selection.
#[derive(Debug)]
pub struct SelectionOutputs<'a> {
    /// h.
    pub num_selected_heads: usize,
    /// R.
    pub num_kept_tokens: usize,
    /// Out, `[B, strategies, h]`, ascending.
    pub selected_heads: Option<CudaViewMut<'a, u32>>,
    /// Out, `[B, strategies, N]`.
    pub token_importance: Option<CudaViewMut<'a, f64>>,
    /// Out, `[B, strategies, R]`, ascending.
    pub kept_tokens: CudaViewMut<'a, u32>,
    /// Out, `[B, strategies]`.
    pub audits: Option<CudaViewMut<'a, SelectionAudit>>,
}

impl<'a> SelectionOutputs<'a> {
    /// Checks sizes and buffers of `[B, strategies]` selections.
    pub(super) fn raw<'b>(
        &'b mut self,
        launch: &mut Launch<'b>,
        shape: &ScoreShape,
        num_strategies: usize,
    ) -> Result<sys::fp_selection, CudaError> {
        let op = launch.op;
        let [b, heads, tokens] = shape.dims();
        let (h, r) = (self.num_selected_heads, self.num_kept_tokens);
        check_count(op, h, heads)?;
        check_count(op, r, tokens)?;
        let of = |len| [b, num_strategies, len];
        Ok(sys::fp_selection {
            selected_heads: launch.optional_output(
                "selected heads",
                self.selected_heads.as_mut(),
                &of(h),
            )?,
            token_importance: launch.optional_output(
                "token importance",
                self.token_importance.as_mut(),
                &of(tokens),
            )?,
            kept_tokens: launch.output("kept tokens", &mut self.kept_tokens, &of(r))?,
            audits: launch.optional_output("audits", self.audits.as_mut(), &[b, num_strategies])?,
            num_selected_heads: dim(op, "h", h)?,
            num_kept_tokens: dim(op, "R", r)?,
        })
    }
}

/// Arguments of [`select`].
#[derive(Debug)]
pub struct Select<'a, T> {
    /// B, H and N.
    pub shape: ScoreShape,
    /// `[B, H, N]`.
    pub attention: CudaView<'a, T>,
    /// `[B, strategies, H]`.
    pub scores: CudaView<'a, f64>,
    /// Number of strategies.
    pub num_strategies: usize,
    /// `[B, H]`. If given, a sample in which no head attends to the image is an error.
    pub statistics: Option<CudaView<'a, HeadStatistics>>,
    /// Sizes and outputs of the selection.
    pub selection: SelectionOutputs<'a>,
    /// Reports bad values.
    pub error: &'a mut ErrorWord,
}

/// Selects the h heads with the highest scores, averages their rows, and keeps the R most
/// important tokens; ties go to the lower index.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; h outside 1..=H; R
/// outside 1..=N; a failed launch. Bad values are reported by the error word.
pub fn select<T: DeviceElement>(
    stream: &CudaStream,
    mut call: Select<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "select";
    let [batch_size, num_heads, num_image_tokens] = call.shape.check(OP)?;
    let [b, heads, _] = call.shape.dims();
    let count = call.num_strategies;
    if !(1..=sys::FP_NUM_STRATEGIES as usize).contains(&count) {
        return Err(CudaError::Strategies {
            op: OP,
            reason: format!(
                "{count} strategies; must be between 1 and {}",
                sys::FP_NUM_STRATEGIES
            ),
        });
    }
    let mut launch = Launch::new(OP, stream);
    let args = sys::fp_select_args {
        attention: launch
            .input("attention", &call.attention, &call.shape.dims())?
            .cast(),
        scores: launch.input("scores", &call.scores, &[b, count, heads])?,
        statistics: match &call.statistics {
            Some(statistics) => launch.input("statistics", statistics, &[b, heads])?,
            None => std::ptr::null(),
        },
        selection: call.selection.raw(&mut launch, &call.shape, count)?,
        error: launch.error(call.error)?,
        batch_size,
        num_heads,
        num_image_tokens,
        num_strategies: dim(OP, "strategies", count)?,
        dtype: T::DTYPE,
    };
    // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's device,
    // aligned, held until the launch is enqueued and freed in stream order.
    launch.run(|stream| unsafe { sys::fp_select(&args, stream) })
}
