//! One layer of the vision transformer.

use candle_core::Tensor;

use super::projections::Projections;
use crate::config::VisionConfig;
use crate::error::Result;
use crate::linear::Linear;
use crate::ops;
use crate::weights::{Loader, Place};

#[derive(Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl Norm {
    pub(super) fn load(loader: &Loader<'_>, name: &str, config: &VisionConfig) -> Result<Norm> {
        let width = [config.hidden_size];
        Ok(Norm {
            weight: loader.tensor(&format!("{name}.weight"), &width)?,
            bias: loader.tensor(&format!("{name}.bias"), &width)?,
            epsilon: config.layer_norm_eps,
        })
    }

    pub(super) fn forward(&self, place: &Place, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(place, x, &self.weight, &self.bias, self.epsilon)
    }
}

#[derive(Debug)]
pub(super) struct EncoderLayer {
    norm1: Norm,
    query_key_value: Linear,
    out: Linear,
    norm2: Norm,
    up: Linear,
    down: Linear,
}

impl EncoderLayer {
    /// Loads the layer whose tensors' names begin with `prefix`.
    pub(super) fn load(
        loader: &Loader<'_>,
        prefix: &str,
        config: &VisionConfig,
    ) -> Result<EncoderLayer> {
        let (v, m) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("{prefix}{part}");
        let (q, k, value) = (
            name("self_attn.q_proj"),
            name("self_attn.k_proj"),
            name("self_attn.v_proj"),
        );
        Ok(EncoderLayer {
            norm1: Norm::load(loader, &name("layer_norm1"), config)?,
            query_key_value: loader.linear(&[(&q, v), (&k, v), (&value, v)], v, true)?,
            out: loader.linear(&[(&name("self_attn.out_proj"), v)], v, true)?,
            norm2: Norm::load(loader, &name("layer_norm2"), config)?,
            up: loader.linear(&[(&name("mlp.fc1"), m)], v, true)?,
            down: loader.linear(&[(&name("mlp.fc2"), v)], m, true)?,
        })
    }

    /// Queries, keys and values of `count` images' hidden states `[count · T, V]`.
    pub(super) fn project<'a>(
        &self,
        place: &'a Place,
        config: &VisionConfig,
        x: &Tensor,
        count: usize,
    ) -> Result<Projections<'a>> {
        let normed = self.norm1.forward(place, x)?;
        let rows = self.query_key_value.forward(&normed)?;
        Projections::new(place, rows, count, config.num_heads)
    }

    /// The layer's output for its input `x` and what [`EncoderLayer::project`] made of it.
    pub(super) fn finish(
        &self,
        place: &Place,
        config: &VisionConfig,
        x: &Tensor,
        projections: &Projections<'_>,
    ) -> Result<Tensor> {
        let x = self.out.forward_onto(&projections.attend()?, x)?;
        let normed = self.norm2.forward(place, &x)?;
        let activate = ops::activate_values(config.activation);
        let inner = match self
            .up
            .forward_then(&normed, activate, config.intermediate_size)?
        {
            Some(inner) => inner,
            None => ops::activate(&self.up.forward(&normed)?, config.activation)?,
        };
        self.down.forward_onto(&inner, &x)
    }
}
