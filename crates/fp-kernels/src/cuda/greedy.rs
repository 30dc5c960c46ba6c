//! The next token in greedy decoding.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView, CudaViewMut};

use super::check::{check_max, dim};
use super::element::{DeviceElement, GreedyChoice};
use super::error::CudaError;
use super::error_word::{ErrorWord, found};
use super::launch::Launch;
use super::memory::uninitialised;
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
    /// Out, `[B]`: twelve bytes per sequence, all read in one copy.
    pub choices: CudaViewMut<'a, GreedyChoice>,
}

/// Finds for each sequence the token with the largest logit (ties go to the lower index), its
/// margin over the second largest logit, and whether all logits are finite.
///
/// # Errors
/// Buffers that don't fill their shapes, overlap or are on another device; a failed launch.
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
    // SAFETY: every pointer is valid for as many values as the sizes say, on the stream's device,
    // held until the launch is enqueued and freed in stream order.
    launch.run(|stream| unsafe { sys::fp_greedy(&args, stream) })
}

/// The results of [`choose`] on the device, read in one copy.
#[derive(Debug)]
pub struct Choices {
    /// `[B + 1]`: the choices, then the bits of the error word.
    values: CudaSlice<GreedyChoice>,
}

/// As [`greedy`], and appends the state of `word` at that point to the choices, so that one copy
/// brings both to the host. Enqueues and returns.
///
/// # Errors
/// As [`greedy`], and memory that can't be allocated.
pub fn choose<T: DeviceElement>(
    stream: &Arc<CudaStream>,
    [batch_size, vocabulary]: [usize; 2],
    logits: CudaView<'_, T>,
    word: &ErrorWord,
) -> Result<Choices, CudaError> {
    const OP: &str = "greedy";
    let mut values = uninitialised::<GreedyChoice>(stream, batch_size + 1)?;
    let (choices, mut rest) = values.split_at_mut(batch_size);
    let call = Greedy {
        batch_size,
        vocabulary,
        logits,
        choices,
    };
    greedy(stream, call)?;
    word.copy_to(stream, &mut rest, OP)?;
    Ok(Choices { values })
}

impl Choices {
    /// Waits for the device and returns the choices, or the error that earlier launches found in
    /// their data. Choices that aren't finite take precedence, since they name the sequence.
    ///
    /// # Errors
    /// The recorded error, or a driver error.
    pub fn read(&self, stream: &Arc<CudaStream>) -> Result<Vec<GreedyChoice>, CudaError> {
        const OP: &str = "greedy";
        let failed = |source| CudaError::Driver { op: OP, source };
        let mut choices = stream.clone_dtoh(&self.values).map_err(failed)?;
        let word = choices
            .pop()
            .map(|rest| u64::from(rest.token) | u64::from(rest.margin.to_bits()) << 32);
        let is_finite = choices.iter().all(|choice| choice.is_finite != 0);
        match word.and_then(found).filter(|_| is_finite) {
            Some(source) => Err(CudaError::Data {
                op: "the model's layers",
                source,
            }),
            None => Ok(choices),
        }
    }
}
