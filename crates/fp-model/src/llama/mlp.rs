//! The gated MLP.

use candle_core::Tensor;

use crate::config::TextConfig;
use crate::error::Result;
use crate::linear::Linear;
use crate::ops::concatenated;
use crate::weights::Loader;

/// Number of rows whose inner activations exist at one time: they are several times as wide as the
/// hidden states, and memory for a large batch would be returned to the system and allocated anew
/// in every layer.
const ROWS_AT_A_TIME: usize = 768;

/// Like [`ROWS_AT_A_TIME`] on a GPU, where the number needn't fit a cache: the activations then
/// take 2 GB in half precision for a 7B model.
#[cfg(feature = "cuda")]
const GPU_ROWS_AT_A_TIME: usize = 32_768;

/// `down(silu(gate(x)) · up(x))`; gate and up are one matrix.
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

    /// The MLP of `x` on a GPU, in blocks of rows; the residual stream is added elsewhere.
    #[cfg(feature = "cuda")]
    pub(crate) fn on_gpu(&self, x: &Tensor) -> Result<Tensor> {
        let num_rows = x.dim(0)?;
        let parts = (0..num_rows)
            .step_by(GPU_ROWS_AT_A_TIME)
            .map(|start| {
                let rows = x.narrow(0, start, GPU_ROWS_AT_A_TIME.min(num_rows - start))?;
                self.down.forward(&self.gate_up.gated(&rows, self.width)?)
            })
            .collect::<Result<Vec<_>>>()?;
        concatenated(&parts)
    }

    /// `residual` plus the MLP of `x`, in blocks of rows.
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
        concatenated(&parts)
    }

    fn forward_rows(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let inner = self.gate_up.gated(x, self.width)?;
        self.down.forward_onto(&inner, residual)
    }
}
