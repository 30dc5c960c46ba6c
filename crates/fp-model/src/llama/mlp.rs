//! The gated MLP.

use candle_core::Tensor;
use fp_kernels::dense;

use crate::config::TextConfig;
use crate::error::Result;
use crate::linear::Linear;
use crate::ops;
use crate::weights::Loader;

/// Rows whose inner activations exist at a time: they are several times as wide
/// as the hidden states, and the memory of a large batch's would go back to the
/// system and be fetched anew in every layer.
const ROWS_AT_A_TIME: usize = 768;

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

    /// `residual` plus the MLP of `x`, in runs of rows.
    pub(crate) fn forward(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let num_rows = x.dim(0)?;
        if num_rows <= ROWS_AT_A_TIME {
            return self.forward_rows(x, residual);
        }
        let runs = num_rows.div_ceil(ROWS_AT_A_TIME);
        let parts = (0..runs)
            .map(|run| {
                let (start, end) = (run * num_rows / runs, (run + 1) * num_rows / runs);
                let rows = |x: &Tensor| x.narrow(0, start, end - start);
                self.forward_rows(&rows(x)?, &rows(residual)?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 0)?)
    }

    fn forward_rows(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let gate = |values: Vec<f32>| dense::gated_silu(&values, self.width);
        let inner = match self.gate_up.forward_then(x, gate, self.width)? {
            Some(inner) => inner,
            None => ops::gated_silu(&self.gate_up.forward(x)?, self.width)?,
        };
        self.down.forward_onto(&inner, residual)
    }
}
