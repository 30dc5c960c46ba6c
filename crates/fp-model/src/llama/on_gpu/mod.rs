//! The decoder's layers on a GPU: this project's kernels between cuBLAS's matrix products.
//!
//! A run through layers uploads the kernels' lookup tables once: the locations of every layer's
//! keys and values, and the positions of its rows. After that nothing is transferred until a result
//! is requested. Each layer takes nine launches, one more if rows are decoded, and one for each
//! bias.

mod angles;
mod tables;

use std::ops::Range;

use candle_core::Tensor;

pub(super) use angles::Angles;
use tables::Tables;

use super::kv_cache::no_layer;
use super::{DecoderLayer, LayerView, Llama, Observer, Step};
use crate::attention_store::AttentionStore;
use crate::error::Result;
use crate::gpu::{self, Columns, Element, NormWeights, Residual, by_format};
use crate::positions::Position;

/// One run through layers.
pub(super) struct Run<'a> {
    pub(super) layers: Range<usize>,
    /// `[T, D]`.
    pub(super) hidden: &'a Tensor,
    /// `[T]`.
    pub(super) positions: &'a [Position],
    /// Whether only each sequence's last row is returned.
    pub(super) last_rows: bool,
}

impl Llama {
    /// The output of the last layer, `[T, D]`, or `[steps, D]` for last rows alone.
    pub(super) fn run_on_gpu(
        &self,
        run: &Run<'_>,
        steps: &mut [Step<'_>],
        observer: Option<Observer<'_>>,
    ) -> Result<Tensor> {
        if run.layers.is_empty() || run.positions.is_empty() {
            return Ok(run.hidden.clone());
        }
        if run.layers.end > self.layers.len() {
            return Err(no_layer(run.layers.end - 1, self.layers.len()));
        }
        let dtype = run.hidden.dtype();
        by_format!(dtype, "hidden states", run_of(self, run, steps, observer))
    }

    /// [`Llama::attention_of_inputs`] on a GPU.
    pub(super) fn attention_of_inputs_on_gpu(
        &self,
        layer: usize,
        run: &Run<'_>,
        step: Step<'_>,
        asked: (&[usize], Range<usize>),
    ) -> Result<AttentionStore> {
        let dtype = run.hidden.dtype();
        by_format!(
            dtype,
            "hidden states",
            inputs_of(self, layer, run, step, asked)
        )
    }

    fn norm_weights<'w>(&self, weight: &'w Tensor) -> NormWeights<'w> {
        NormWeights {
            weight,
            bias: None,
            epsilon: self.config.rms_norm_eps,
        }
    }
}

fn run_of<T: Element>(
    llama: &Llama,
    run: &Run<'_>,
    steps: &mut [Step<'_>],
    mut observer: Option<Observer<'_>>,
) -> Result<Tensor> {
    let mut tables = Tables::<T>::new(llama, run, steps)?;
    let mut residual = Residual::<T>::of(run.hidden)?;
    let last = run.layers.end - 1;
    for (at, index) in run.layers.clone().enumerate() {
        let Some(layer) = llama.layers.get(index) else {
            return Err(no_layer(index, llama.layers.len()));
        };
        let DecoderLayer {
            attention_norm,
            attention,
            mlp_norm,
            mlp,
        } = layer;
        let normed = residual.normed(llama.norm_weights(attention_norm))?;
        let projected = attention.projected(&normed)?;
        let mut queries = tables.rotate_and_append(at, &projected)?;
        if index == last && run.last_rows {
            let rows: Vec<u32> = steps.iter().map(|step| step.rows.end as u32 - 1).collect();
            queries = gpu::rows_of(Columns::all(&queries)?, &rows)?;
            residual = residual.keep(&rows)?;
        }
        let mixed = tables.attend(at, &queries)?;
        residual.add(attention.out(&mixed)?);
        if let Some(observer) = observer.as_mut().filter(|_| index == last) {
            let view = LayerView {
                attention,
                layer: index,
                projected: &queries,
            };
            observer(&view, steps)?;
        }
        let normed = residual.normed(llama.norm_weights(mlp_norm))?;
        residual.add(mlp.on_gpu(&normed)?);
    }
    residual.finish()
}

fn inputs_of<T: Element>(
    llama: &Llama,
    index: usize,
    run: &Run<'_>,
    step: Step<'_>,
    (rows, columns): (&[usize], Range<usize>),
) -> Result<AttentionStore> {
    let Some(layer) = llama.layers.get(index) else {
        return Err(no_layer(index, llama.layers.len()));
    };
    let mut steps = [step];
    let tables = Tables::<T>::new(llama, run, &mut steps)?;
    let normed = gpu::normed(run.hidden, llama.norm_weights(&layer.attention_norm))?;
    let projected = layer.attention.projected(&normed)?;
    let queries = tables.rotate_and_append(0, &projected)?;
    let [step] = &steps;
    layer.attention.rows(&queries, index, step, rows, columns)
}
