//! The token that greedy decoding takes.

use cudarc::driver::{CudaStream, CudaView, CudaViewMut};

use super::check::{check_max, dim};
use super::element::{DeviceElement, GreedyChoice};
use super::error::CudaError;
use super::launch::Launch;
use super::sys;

/// Arguments of [`greedy`].
#[derive(Debug)]
pub struct Greedy<'a, T> {
    /// B.
    pub batch_size: usize,
    /// V.
    pub vocabulary: usize,
    /// `[B, V]`.
    pub logits: CudaView<'a, T>,
    /// Out, `[B]`: twelve bytes of a sequence, all of them in one copy.
    pub choices: CudaViewMut<'a, GreedyChoice>,
}

/// Of each sequence the token of its largest logit, ties to the lower, how far the second
/// largest is from it, and whether all logits are finite.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; a launch that
/// fails.
pub fn greedy<T: DeviceElement>(
    stream: &CudaStream,
    mut call: Greedy<'_, T>,
) -> Result<(), CudaError> {
    const OP: &str = "greedy";
    let (batch_size, vocabulary) = (call.batch_size, call.vocabulary);
    check_max(OP, "the batch", batch_size, i32::MAX as usize)?;
    check_max(OP, "V", vocabulary, sys::FP_MAX_VOCABULARY as usize)?;
    let mut launch = Launch::new(OP, stream);
    let args = sys::fp_greedy_args {
        logits: launch
            .input("logits", &call.logits, &[batch_size, vocabulary])?
            .cast(),
        choices: launch.output("choices", &mut call.choices, &[batch_size])?,
        batch_size: dim(OP, "the batch", batch_size)?,
        vocabulary: dim(OP, "V", vocabulary)?,
        dtype: T::DTYPE,
    };
    // SAFETY: every pointer leads to as many values as the sizes say, on the stream's
    // device, held until the launch is enqueued and freed in stream order.
    launch.run(|stream| unsafe { sys::fp_greedy(&args, stream) })
}
