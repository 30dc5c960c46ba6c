//! Self-attention of a batch of sequences over their caches.

use std::ops::Range;

use candle_core::Tensor;
use fp_kernels::dense::{self, AttentionShape, SequenceQueries};

use super::Step;
#[cfg(feature = "cuda")]
use super::kv_cache::LayerCache;
use super::kv_cache::SequenceCache;
use super::rope::Rotary;
use crate::attention_store::AttentionStore;
use crate::config::TextConfig;
use crate::error::Result;
use crate::linear::{Linear, into_rows};
use crate::ops::{self, attention_weights, heads_of, with_values};
use crate::weights::{ComputeContext, Loader};

/// One layer's attention. Queries, keys and values are computed by one matrix, side by side.
#[derive(Debug)]
pub(crate) struct Attention {
    query_key_value: Linear,
    out: Linear,
    shape: AttentionShape,
    context: ComputeContext,
}

/// Numbers and size of each layer's heads.
pub(super) fn attention_shape(config: &TextConfig) -> AttentionShape {
    let head_dim = config.head_dim();
    AttentionShape {
        num_heads: config.num_heads,
        num_kv_heads: config.num_kv_heads,
        head_dim,
        scale: 1.0 / (head_dim as f32).sqrt(),
    }
}

impl Attention {
    pub(crate) fn load(
        loader: &Loader<'_>,
        config: &TextConfig,
        prefix: &str,
    ) -> Result<Attention> {
        let head_dim = config.head_dim();
        let (q, kv) = (config.num_heads * head_dim, config.num_kv_heads * head_dim);
        let name = |part: &str| format!("{prefix}self_attn.{part}");
        let bias = config.attention_bias;
        Ok(Attention {
            query_key_value: loader.linear(
                &[
                    (&name("q_proj"), q),
                    (&name("k_proj"), kv),
                    (&name("v_proj"), kv),
                ],
                config.hidden_size,
                bias,
            )?,
            out: loader.linear(
                &[(&name("o_proj"), config.hidden_size)],
                q,
                config.output_bias,
            )?,
            shape: attention_shape(config),
            context: loader.context.clone(),
        })
    }

    /// Queries, keys and values side by side, not rotated, `[T, stride]`.
    #[cfg(feature = "cuda")]
    pub(super) fn projected(&self, x: &Tensor) -> Result<Tensor> {
        self.query_key_value.forward(x)
    }

    /// The output projection of the attention's result, `[T, D]`.
    #[cfg(feature = "cuda")]
    pub(super) fn out(&self, mixed: &Tensor) -> Result<Tensor> {
        self.out.forward(mixed)
    }

    fn query_width(&self) -> usize {
        self.shape.num_heads * self.shape.head_dim
    }

    /// Rotated queries and keys, and values, side by side `[T, stride]`.
    pub(crate) fn project(&self, x: &Tensor, rotary: &Rotary) -> Result<Tensor> {
        let heads = self.shape.num_heads + self.shape.num_kv_heads;
        let stride = (heads + self.shape.num_kv_heads) * self.shape.head_dim;
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

    /// Writes the new keys and values into the caches of `layer` and returns `residual` plus the
    /// sequences' attention output.
    pub(crate) fn forward(
        &self,
        projected: &Tensor,
        residual: &Tensor,
        layer: usize,
        steps: &mut [Step<'_>],
    ) -> Result<Tensor> {
        self.append(projected, layer, steps)?;
        let queries: Vec<Queries<'_>> = steps.iter().map(Queries::of).collect();
        self.mix(projected, residual, layer, &queries)
    }

    /// Like [`Attention::forward`] for each sequence's last row alone, `[sequences, D]`; of the
    /// other rows only keys and values are kept.
    pub(crate) fn forward_last_rows(
        &self,
        projected: &Tensor,
        residual: &Tensor,
        layer: usize,
        steps: &mut [Step<'_>],
    ) -> Result<Tensor> {
        self.append(projected, layer, steps)?;
        let last: Vec<usize> = steps.iter().map(|step| step.rows.end - 1).collect();
        let queries: Vec<Queries<'_>> = steps
            .iter()
            .enumerate()
            .map(|(row, step)| Queries {
                rows: row..row + 1,
                cache: step.cache,
            })
            .collect();
        let projected = ops::gather_rows(projected, &last)?;
        let residual = ops::gather_rows(residual, &last)?;
        self.mix(&projected, &residual, layer, &queries)
    }

    /// Writes the new keys and values into the caches of `layer`.
    pub(crate) fn append(
        &self,
        projected: &Tensor,
        layer: usize,
        steps: &mut [Step<'_>],
    ) -> Result<()> {
        for step in steps {
            step.cache.layer_mut(layer)?.append(
                projected,
                step.rows.clone(),
                self.query_width(),
            )?;
        }
        Ok(())
    }

    fn mix(
        &self,
        projected: &Tensor,
        residual: &Tensor,
        layer: usize,
        queries: &[Queries<'_>],
    ) -> Result<Tensor> {
        let mixed = if self.context.kernels {
            self.mix_values(projected, layer, queries)?
        } else {
            self.mix_tensors(projected, layer, queries)?
        };
        self.out.forward_onto(&mixed, residual)
    }

    fn mix_values(
        &self,
        projected: &Tensor,
        layer: usize,
        queries: &[Queries<'_>],
    ) -> Result<Tensor> {
        let sequences = queries
            .iter()
            .map(|queries| queries.for_kernels(layer))
            .collect::<Result<Vec<_>>>()?;
        let stride = projected.dim(1)?;
        let mixed = with_values(projected, |rows| {
            Ok(dense::attention(&self.shape, rows, stride, &sequences))
        })?;
        into_rows(mixed, self.query_width())
    }

    fn mix_tensors(
        &self,
        projected: &Tensor,
        layer: usize,
        queries: &[Queries<'_>],
    ) -> Result<Tensor> {
        let mixed = queries
            .iter()
            .map(|Queries { rows, cache }| {
                let queries = heads_of(
                    projected,
                    rows.clone(),
                    0..self.query_width(),
                    self.shape.head_dim,
                )?;
                let cache = cache.layer(layer)?;
                let (keys, values) = cache.tensors()?;
                let past = cache.len() - rows.len();
                let visible: Vec<usize> = (0..rows.len()).map(|row| past + row + 1).collect();
                let weights =
                    attention_weights(&queries, &keys, f64::from(self.shape.scale), &visible)?;
                let values = ops::repeat_heads(&values, self.shape.num_heads)?;
                Ok(weights
                    .to_dtype(values.dtype())?
                    .matmul(&values)?
                    .transpose(0, 1)?
                    .reshape((rows.len(), self.query_width()))?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&mixed, 0)?)
    }

    /// Post-softmax attention `[H, Q, columns]` of some of a sequence's new rows
    /// (indices into `projected`) to the cached tokens `columns`.
    pub(crate) fn rows(
        &self,
        projected: &Tensor,
        layer: usize,
        step: &Step<'_>,
        rows: &[usize],
        columns: Range<usize>,
    ) -> Result<AttentionStore> {
        if rows.is_empty() {
            return Ok(AttentionStore::default());
        }
        if self.context.kernels {
            let stride = projected.dim(1)?;
            let sequence = Queries::of(step).for_kernels(layer)?;
            return with_values(projected, |queries| {
                Ok(AttentionStore::host(dense::attention_rows(
                    &self.shape,
                    queries,
                    stride,
                    &sequence,
                    rows,
                    columns,
                )))
            });
        }
        let selected = ops::gather_rows(projected, rows)?;
        let cache = step.cache.layer(layer)?;
        let past = cache.len() - step.rows.len();
        let visible: Vec<usize> = rows
            .iter()
            .map(|row| past + row - step.rows.start + 1)
            .collect();
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            let asked = crate::gpu::QueryRows {
                queries: &selected,
                shape: self.shape,
                visible: &visible,
                columns,
            };
            let dtype = selected.dtype();
            return crate::gpu::by_format!(dtype, "queries", on_gpu(&asked, cache));
        }
        let (keys, _) = cache.tensors()?;
        let queries = heads_of(
            &selected,
            0..rows.len(),
            0..self.query_width(),
            self.shape.head_dim,
        )?;
        let weights = attention_weights(&queries, &keys, f64::from(self.shape.scale), &visible)?;
        let values = weights.narrow(2, columns.start, columns.len())?;
        Ok(AttentionStore::host(values.flatten_all()?.to_vec1()?))
    }
}

/// Attention to at most as many tokens as the scoring kernels take stays on the GPU. With more
/// tokens, as for images cut into many crops, it is computed in parts and copied to the host, where
/// it is scored.
#[cfg(feature = "cuda")]
fn on_gpu<T: crate::gpu::Element>(
    asked: &crate::gpu::QueryRows<'_>,
    cache: &LayerCache,
) -> Result<AttentionStore> {
    let (columns, most) = (
        &asked.columns,
        fp_kernels::cuda::FP_MAX_IMAGE_TOKENS as usize,
    );
    if columns.len() <= most {
        let rows = asked.attention::<T>(cache.to_read()?)?;
        return Ok(AttentionStore::device(rows));
    }
    let mut parts = Vec::new();
    for start in columns.clone().step_by(most) {
        let part = crate::gpu::QueryRows {
            columns: start..columns.end.min(start + most),
            ..*asked
        };
        let width = part.columns.len();
        parts.push((
            ops::host_values(&part.attention::<T>(cache.to_read()?)?)?,
            width,
        ));
    }
    let num_rows = asked.shape.num_heads * asked.visible.len();
    let mut joined = Vec::with_capacity(num_rows * columns.len());
    for row in 0..num_rows {
        for (values, width) in &parts {
            joined.extend_from_slice(&values[row * width..(row + 1) * width]);
        }
    }
    Ok(AttentionStore::host(joined))
}

/// The last tokens of a sequence's cache, with their rows in the projections.
struct Queries<'a> {
    rows: Range<usize>,
    cache: &'a SequenceCache,
}

impl<'a> Queries<'a> {
    /// All rows of a step whose new tokens are already cached.
    fn of(step: &'a Step<'_>) -> Queries<'a> {
        Queries {
            rows: step.rows.clone(),
            cache: step.cache,
        }
    }

    fn for_kernels(&self, layer: usize) -> Result<SequenceQueries<'a>> {
        let cache = self.cache.layer(layer)?;
        Ok(SequenceQueries {
            rows: self.rows.clone(),
            runs: cache.views(),
            past: Some(cache.len() - self.rows.len()),
        })
    }
}
