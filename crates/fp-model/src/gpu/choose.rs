//! Greedy choices from logits, and checks that values are finite.

use candle_core::Tensor;
use fp_kernels::cuda::{GreedyChoice, choose};

use super::values::{Element, by_format, host_values, view};
use super::word::with_word;
use super::{cuda_device, gpu};
use crate::error::{ModelError, Result};

/// The greedy choice from one sequence's logits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Difference of the two largest logits; infinite if there is only one.
    pub(crate) margin: f32,
    pub(crate) is_finite: bool,
}

/// The choice from each row of logits `[B, V]`; waits for the device once.
///
/// # Errors
/// Errors that this thread's launches found in their data, a GPU that fails.
pub(crate) fn choose_tokens(logits: &Tensor) -> Result<Vec<Choice>> {
    by_format!(logits.dtype(), "logits", chosen(logits))
}

fn chosen<T: Element>(logits: &Tensor) -> Result<Vec<Choice>> {
    let (batch_size, vocabulary) = logits.dims2()?;
    let stream = cuda_device(logits)?.cuda_stream();
    let (storage, _) = logits.storage_and_layout();
    let values = view::<T>(&storage, logits)?;
    with_word(&stream, |word| {
        let choices = gpu(choose(&stream, [batch_size, vocabulary], values, word))?;
        let choices = gpu(choices.read(&stream));
        // The error word is read only once.
        let is_sound = |choices: &Vec<GreedyChoice>| choices.iter().all(|c| c.is_finite != 0);
        if !choices.as_ref().is_ok_and(is_sound) {
            gpu(word.reset(&stream))?;
        }
        Ok(choices?
            .iter()
            .map(|choice| Choice {
                token: choice.token,
                margin: choice.margin,
                is_finite: choice.is_finite != 0,
            })
            .collect())
    })
}

/// Checks that all values of a dense tensor are finite; waits for the device once.
pub(crate) fn check_finite(tensor: &Tensor, what: &'static str) -> Result<()> {
    let width = tensor.dims().last().copied().unwrap_or(1).max(1);
    if tensor.elem_count() == 0 {
        return Ok(());
    }
    let rows = tensor.reshape((tensor.elem_count() / width, width))?;
    let choices = choose_tokens(&rows)?;
    let Some(row) = choices.iter().position(|choice| !choice.is_finite) else {
        return Ok(());
    };
    let values = host_values(&rows.narrow(0, row, 1)?)?;
    let at = values.iter().position(|value| !value.is_finite());
    Err(ModelError::NotFinite {
        what,
        index: row * width + at.unwrap_or(0),
    })
}
