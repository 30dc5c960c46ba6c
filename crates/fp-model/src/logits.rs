//! Logits of a sequence's next token, stored on the device that computed them.

use std::sync::OnceLock;

use crate::error::{ModelError, Result};
use crate::margin::margin;
use crate::sampling::argmax;

/// Values on the CPU, or on a GPU. From a GPU, only what greedy decoding needs has been copied; the
/// rest is copied on request.
#[derive(Debug)]
pub(crate) struct Logits {
    values: OnceLock<Vec<f32>>,
    #[cfg(feature = "cuda")]
    device: Option<OnDevice>,
}

/// A row `[1, V]` on a GPU, and its greedy choice.
#[cfg(feature = "cuda")]
#[derive(Debug)]
struct OnDevice {
    row: candle_core::Tensor,
    choice: crate::gpu::Choice,
}

impl Logits {
    /// Values on the CPU.
    ///
    /// # Errors
    /// Values that aren't finite.
    pub(crate) fn host(values: Vec<f32>) -> Result<Logits> {
        if let Some(index) = values.iter().position(|logit| !logit.is_finite()) {
            return Err(not_finite(index));
        }
        Ok(Logits {
            values: OnceLock::from(values),
            #[cfg(feature = "cuda")]
            device: None,
        })
    }

    /// Logits of each row of `[B, V]` on a GPU; twelve bytes per row are copied to the host, in one
    /// copy.
    ///
    /// # Errors
    /// Values that aren't finite, errors that earlier launches found in their data, a GPU that
    /// fails.
    #[cfg(feature = "cuda")]
    pub(crate) fn of_device(logits: &candle_core::Tensor) -> Result<Vec<Logits>> {
        let choices = crate::gpu::choose_tokens(logits)?;
        let rows = choices.into_iter().enumerate();
        rows.map(|(index, choice)| {
            let row = logits.narrow(0, index, 1)?;
            if !choice.is_finite {
                // The values on the host show which one.
                return Logits::host(crate::gpu::host_values(&row)?);
            }
            Ok(Logits {
                values: OnceLock::new(),
                device: Some(OnDevice { row, choice }),
            })
        })
        .collect()
    }

    /// All logits, `[vocab]`.
    ///
    /// # Errors
    /// A GPU that fails.
    pub(crate) fn values(&self) -> Result<&[f32]> {
        #[cfg(feature = "cuda")]
        if let (None, Some(device)) = (self.values.get(), &self.device) {
            let values = crate::gpu::host_values(&device.row)?;
            return Ok(self.values.get_or_init(|| values));
        }
        Ok(self.values.get().map_or(&[], Vec::as_slice))
    }

    /// Token of the largest logit, ties to the lower id.
    pub(crate) fn greedy(&self) -> u32 {
        #[cfg(feature = "cuda")]
        if let Some(device) = &self.device {
            return device.choice.token;
        }
        argmax(self.values.get().map_or(&[], Vec::as_slice)) as u32
    }

    /// Difference of the two largest logits; infinite for fewer than two.
    pub(crate) fn margin(&self) -> f32 {
        #[cfg(feature = "cuda")]
        if let Some(device) = &self.device {
            return device.choice.margin;
        }
        margin(self.values.get().map_or(&[], Vec::as_slice))
    }
}

fn not_finite(index: usize) -> ModelError {
    ModelError::NotFinite {
        what: "the logits",
        index,
    }
}
