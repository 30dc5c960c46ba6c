//! The two-layer projector from vision features to the decoder's width.

use candle_core::Tensor;

use crate::config::{Activation, ModelConfig};
use crate::error::Result;
use crate::linear::Linear;
use crate::weights::{Loader, Names};

/// `linear₂(activation(linear₁(x)))`.
#[derive(Debug)]
pub(crate) struct Projector {
    first: Linear,
    second: Linear,
    activation: Activation,
}

impl Projector {
    pub(crate) fn load(
        loader: &Loader<'_>,
        config: &ModelConfig,
        names: &Names,
    ) -> Result<Projector> {
        let (v, d) = (config.vision.hidden_size, config.text.hidden_size);
        Ok(Projector {
            first: loader.linear(&[(names.projector[0], d)], v, true)?,
            second: loader.linear(&[(names.projector[1], d)], d, true)?,
            activation: config.projector_activation,
        })
    }

    /// Projects `[T, vision width]` to `[T, D]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = self.first.activated(x, self.activation)?;
        self.second.forward(&inner)
    }
}
