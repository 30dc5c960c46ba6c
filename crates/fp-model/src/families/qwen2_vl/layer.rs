//! One layer of the vision transformer: norms, windowed or full attention, and an MLP.

use std::ops::Range;

use candle_core::Tensor;
use fp_kernels::dense::{self, AttentionShape, Cached, KeyValues, SequenceQueries};

use crate::config::{Activation, DynamicVision, VisionConfig};
use crate::error::Result;
use crate::linear::{Linear, into_rows};
use crate::llama::Rotary;
use crate::ops::{self, attention_weights, heads_of, with_values};
use crate::weights::{ComputeContext, Loader};

/// A norm with or without a bias.
#[derive(Debug)]
pub(super) struct Norm {
    weight: Tensor,
    bias: Option<Tensor>,
    epsilon: f64,
}

impl Norm {
    pub(super) fn load(
        loader: &Loader<'_>,
        name: &str,
        vision: &VisionConfig,
        dynamic: &DynamicVision,
    ) -> Result<Norm> {
        let width = [vision.hidden_size];
        let bias = (!dynamic.is_gated).then(|| loader.tensor(&format!("{name}.bias"), &width));
        Ok(Norm {
            weight: loader.tensor(&format!("{name}.weight"), &width)?,
            bias: bias.transpose()?,
            epsilon: vision.layer_norm_eps,
        })
    }

    #[cfg(feature = "cuda")]
    pub(super) fn weights(&self) -> crate::gpu::NormWeights<'_> {
        crate::gpu::NormWeights {
            weight: &self.weight,
            bias: self.bias.as_ref(),
            epsilon: self.epsilon,
        }
    }

    pub(super) fn forward(&self, context: &ComputeContext, x: &Tensor) -> Result<Tensor> {
        match &self.bias {
            Some(bias) => ops::layer_norm(context, x, &self.weight, bias, self.epsilon),
            None => ops::rms_norm(context, x, &self.weight, self.epsilon),
        }
    }
}

#[derive(Debug)]
enum Mlp {
    Plain(Linear, Activation),
    Gated(Linear),
}

#[derive(Debug)]
pub(super) struct Layer {
    pub(super) norm1: Norm,
    pub(super) query_key_value: Linear,
    pub(super) out: Linear,
    pub(super) norm2: Norm,
    up: Mlp,
    pub(super) down: Linear,
    inner_width: usize,
    pub(super) shape: AttentionShape,
}

impl Layer {
    /// Loads the layer whose tensors' names begin with `prefix`.
    pub(super) fn load(
        loader: &Loader<'_>,
        prefix: &str,
        vision: &VisionConfig,
        dynamic: &DynamicVision,
    ) -> Result<Layer> {
        let (v, m) = (vision.hidden_size, vision.intermediate_size);
        let name = |part: &str| format!("{prefix}{part}");
        let norm = |part: &str| Norm::load(loader, &name(part), vision, dynamic);
        let linear = |part: &str, rows: usize, columns: usize| {
            loader.linear(&[(&name(part), rows)], columns, true)
        };
        let head_dim = v / vision.num_heads;
        Ok(Layer {
            norm1: norm("norm1")?,
            query_key_value: linear("attn.qkv", 3 * v, v)?,
            out: linear("attn.proj", v, v)?,
            norm2: norm("norm2")?,
            up: if dynamic.is_gated {
                let (gate, up) = (name("mlp.gate_proj"), name("mlp.up_proj"));
                Mlp::Gated(loader.linear(&[(&gate, m), (&up, m)], v, true)?)
            } else {
                Mlp::Plain(linear("mlp.fc1", m, v)?, vision.activation)
            },
            down: match dynamic.is_gated {
                true => linear("mlp.down_proj", v, m)?,
                false => linear("mlp.fc2", v, m)?,
            },
            inner_width: m,
            shape: AttentionShape {
                num_heads: vision.num_heads,
                num_kv_heads: vision.num_heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
            },
        })
    }

    /// The layer's output `[P, V]` for its input; each patch attends to those of its window.
    pub(super) fn forward(
        &self,
        context: &ComputeContext,
        x: &Tensor,
        rotary: &Rotary,
        windows: &[Range<usize>],
    ) -> Result<Tensor> {
        let normed = self.norm1.forward(context, x)?;
        let projected = self.project(&normed, rotary)?;
        let mixed = if context.kernels {
            self.mix_values(&projected, windows)?
        } else {
            self.mix_tensors(&projected, windows)?
        };
        let x = self.out.forward_onto(&mixed, x)?;
        let inner = self.inner(&self.norm2.forward(context, &x)?)?;
        self.down.forward_onto(&inner, &x)
    }

    /// The MLP's input to its last matrix, `[P, M]`, for normed rows.
    pub(super) fn inner(&self, normed: &Tensor) -> Result<Tensor> {
        match &self.up {
            Mlp::Plain(up, activation) => up.activated(normed, *activation),
            Mlp::Gated(gate_up) => gate_up.gated(normed, self.inner_width),
        }
    }

    fn width(&self) -> usize {
        self.shape.num_heads * self.shape.head_dim
    }

    /// Rotated queries and keys, and values, side by side `[P, 3 · V]`.
    fn project(&self, x: &Tensor, rotary: &Rotary) -> Result<Tensor> {
        let (heads, stride) = (2 * self.shape.num_heads, 3 * self.width());
        let mut outcome = Ok(());
        let rotate = |mut values: Vec<f32>| {
            outcome = rotary.rotate_values(&mut values, stride, heads);
            values
        };
        let projected = self.query_key_value.forward_then(x, rotate, stride)?;
        outcome?;
        match projected {
            Some(projected) => Ok(projected),
            None => rotary.rotate(&self.query_key_value.forward(x)?, heads),
        }
    }

    /// Keys or values of all patches by head, `[H, P, d]`.
    fn by_head(&self, projected: &Tensor, part: usize) -> Result<Tensor> {
        let width = self.width();
        let columns = part * width..(part + 1) * width;
        heads_of(
            projected,
            0..projected.dim(0)?,
            columns,
            self.shape.head_dim,
        )
    }

    fn mix_values(&self, projected: &Tensor, windows: &[Range<usize>]) -> Result<Tensor> {
        let (keys, values) = (self.by_head(projected, 1)?, self.by_head(projected, 2)?);
        let (count, d) = (projected.dim(0)?, self.shape.head_dim);
        let mixed = with_values(projected, |rows| {
            with_values(&keys, |keys| {
                with_values(&values, |values| {
                    let sequences: Vec<_> = windows
                        .iter()
                        .map(|window| SequenceQueries {
                            rows: window.clone(),
                            runs: vec![KeyValues {
                                keys: Cached::F32(&keys[window.start * d..]),
                                values: Cached::F32(&values[window.start * d..]),
                                len: window.len(),
                                head_stride: count * d,
                            }],
                            past: None,
                        })
                        .collect();
                    Ok(dense::attention(
                        &self.shape,
                        rows,
                        3 * self.width(),
                        &sequences,
                    ))
                })
            })
        })?;
        into_rows(mixed, self.width())
    }

    fn mix_tensors(&self, projected: &Tensor, windows: &[Range<usize>]) -> Result<Tensor> {
        let parts = [0, 1, 2].map(|part| self.by_head(projected, part));
        let [queries, keys, values] = parts;
        let (queries, keys, values) = (queries?, keys?, values?);
        let mixed = windows
            .iter()
            .map(|window| {
                let of = |x: &Tensor| -> Result<Tensor> {
                    Ok(x.narrow(1, window.start, window.len())?.contiguous()?)
                };
                let visible = vec![window.len(); window.len()];
                let scale = f64::from(self.shape.scale);
                let weights = attention_weights(&of(&queries)?, &of(&keys)?, scale, &visible)?;
                let values = of(&values)?;
                Ok(weights
                    .to_dtype(values.dtype())?
                    .matmul(&values)?
                    .transpose(0, 1)?
                    .reshape((window.len(), self.width()))?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&mixed, 0)?)
    }
}
