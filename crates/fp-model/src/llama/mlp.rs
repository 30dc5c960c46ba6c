//! The gated MLP.

use crate::config::TextConfig;
use crate::error::Result;
use crate::linear::Linear;
use crate::ops;
use crate::weights::Loader;
use candle_core::Tensor;
use fp_kernels::dense;

/// `down(silu(gate(x)) · up(x))`; gate and up come from one matrix.
#[derive(Debug)]
pub(crate) struct Mlp {
    gate_up: Linear,
    down: Linear,
    width: usize,
}

impl Mlp {
    pub(crate) fn load(loader: &Loader<'_>, config: &TextConfig, prefix: &str) -> Result<Mlp> {
        let (d, m) = (config.hidden_size, config.intermediate_size);
        let name = |part: &str| format!("{prefix}mlp.{part}");
        let bias = config.mlp_bias;
        Ok(Mlp {
            gate_up: loader.linear(&[(&name("gate_proj"), m), (&name("up_proj"), m)], d, bias)?,
            down: loader.linear(&[(&name("down_proj"), d)], m, bias)?,
            width: m,
        })
    }

    /// `residual` plus the MLP of `x`.
    pub(crate) fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let gate = |values: Vec<f32>| dense::gated_silu(&values, self.width);
        let inner = match self.gate_up.forward_then(x, gate, self.width)? {
            Some(inner) => inner,
            None => ops::gated_silu(&self.gate_up.forward(x)?, self.width)?,
        };
        self.down.forward_onto(&inner, residual)
    }
}
