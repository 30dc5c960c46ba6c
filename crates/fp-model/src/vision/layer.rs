//! One layer of a CLIP or SigLIP transformer.

use candle_core::Tensor;

use super::projections::Projections;
use crate::config::{Activation, VisionConfig};
use crate::error::Result;
use crate::linear::Linear;
use crate::ops;
use crate::weights::{ComputeContext, Loader};

/// Sizes of a tower's layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncoderShape {
    /// Width of the hidden states.
    pub(crate) width: usize,
    /// Width inside the MLP.
    pub(crate) inner_width: usize,
    pub(crate) num_heads: usize,
    pub(crate) activation: Activation,
    pub(crate) epsilon: f64,
    /// Whether a token attends only to itself and the tokens before it.
    pub(crate) is_causal: bool,
}

impl From<&VisionConfig> for EncoderShape {
    fn from(config: &VisionConfig) -> EncoderShape {
        EncoderShape {
            width: config.hidden_size,
            inner_width: config.intermediate_size,
            num_heads: config.num_heads,
            activation: config.activation,
            epsilon: config.layer_norm_eps,
            is_causal: false,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl Norm {
    pub(crate) fn load(loader: &Loader<'_>, name: &str, shape: &EncoderShape) -> Result<Norm> {
        let width = [shape.width];
        Ok(Norm {
            weight: loader.tensor(&format!("{name}.weight"), &width)?,
            bias: loader.tensor(&format!("{name}.bias"), &width)?,
            epsilon: shape.epsilon,
        })
    }

    #[cfg(feature = "cuda")]
    pub(super) fn weights(&self) -> crate::gpu::NormWeights<'_> {
        crate::gpu::NormWeights {
            weight: &self.weight,
            bias: Some(&self.bias),
            epsilon: self.epsilon,
        }
    }

    pub(crate) fn forward(&self, context: &ComputeContext, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(context, x, &self.weight, &self.bias, self.epsilon)
    }
}

#[derive(Debug)]
pub(crate) struct EncoderLayer {
    norm1: Norm,
    query_key_value: Linear,
    out: Linear,
    norm2: Norm,
    up: Linear,
    down: Linear,
}

impl EncoderLayer {
    /// Loads the layer whose tensors' names begin with `prefix`.
    pub(crate) fn load(
        loader: &Loader<'_>,
        prefix: &str,
        shape: &EncoderShape,
    ) -> Result<EncoderLayer> {
        let (v, m) = (shape.width, shape.inner_width);
        let name = |part: &str| format!("{prefix}{part}");
        let (q, k, value) = (
            name("self_attn.q_proj"),
            name("self_attn.k_proj"),
            name("self_attn.v_proj"),
        );
        Ok(EncoderLayer {
            norm1: Norm::load(loader, &name("layer_norm1"), shape)?,
            query_key_value: loader.linear(&[(&q, v), (&k, v), (&value, v)], v, true)?,
            out: loader.linear(&[(&name("self_attn.out_proj"), v)], v, true)?,
            norm2: Norm::load(loader, &name("layer_norm2"), shape)?,
            up: loader.linear(&[(&name("mlp.fc1"), m)], v, true)?,
            down: loader.linear(&[(&name("mlp.fc2"), v)], m, true)?,
        })
    }

    /// Queries, keys and values of `count` sequences' hidden states `[count · T, V]`.
    pub(crate) fn project<'a>(
        &self,
        context: &'a ComputeContext,
        shape: &EncoderShape,
        x: &Tensor,
        count: usize,
    ) -> Result<Projections<'a>> {
        let normed = self.norm1.forward(context, x)?;
        let rows = self.query_key_value.forward(&normed)?;
        Projections::new(context, rows, count, shape)
    }

    /// The layer's output for its input `x` and the projections from [`EncoderLayer::project`].
    pub(crate) fn finish(
        &self,
        context: &ComputeContext,
        shape: &EncoderShape,
        x: &Tensor,
        projections: &Projections<'_>,
    ) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if context.device.is_cuda() {
            // The norm adds the residual as it reads.
            let attended = self.out.forward(&projections.attend()?)?;
            let weights = self.norm2.weights();
            let (x, normed) = crate::gpu::added_and_normed(x, &attended, weights)?;
            let inner = self.up.activated(&normed, shape.activation)?;
            return self.down.forward_onto(&inner, &x);
        }
        let x = self.out.forward_onto(&projections.attend()?, x)?;
        let normed = self.norm2.forward(context, &x)?;
        let inner = self.up.activated(&normed, shape.activation)?;
        self.down.forward_onto(&inner, &x)
    }
}
