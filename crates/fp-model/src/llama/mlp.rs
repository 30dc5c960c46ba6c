//! The gated MLP.

use candle_core::Tensor;

use crate::config::TextConfig;
use crate::error::Result;
use crate::linear::Linear;
use crate::ops::concatenated;
use crate::weights::Loader;

/// Rows whose inner activations exist at a time: they are several times as wide
/// as the hidden states, and the memory of a large batch's would go back to the
/// system and be fetched anew in every layer.
const ROWS_AT_A_TIME: usize = 768;

/// As [`ROWS_AT_A_TIME`] on a GPU, which has no cache to stay in: what is there at a time
/// takes 2 GB in half precision for a model of 7B.
#[cfg(feature = "cuda")]
const GPU_ROWS_AT_A_TIME: usize = 32_768;

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

    /// The MLP of `x` on a GPU, in runs of rows; the residual stream is added elsewhere.
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
        concatenated(&parts)
    }

    fn forward_rows(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        let inner = self.gate_up.gated(x, self.width)?;
        self.down.forward_onto(&inner, residual)
    }
}
