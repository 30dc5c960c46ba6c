//! Lookup tables of a run's kernels, uploaded before the first of them.

use std::sync::Arc;

use candle_core::{CudaDevice, Tensor};
use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::cuda::{
    AttentionPlan, AttentionTable, KvRunTable, LayerAttention, RotaryAngles, RotaryAppend, RowsTo,
    SequenceKeys, attention_decode, attention_decode_workspace, attention_prefill, rotary_append,
};

use super::Run;
use super::angles::RowAngles;
use crate::error::{ModelError, Result};
use crate::gpu::{Element, cuda_device, driver, gpu, tensor, uninitialised, view, with_word};
use crate::llama::attention::attention_shape;
use crate::llama::{Llama, Step};

pub(super) struct Tables<'a, T> {
    device: &'a CudaDevice,
    stream: Arc<CudaStream>,
    angles: Arc<RotaryAngles>,
    /// Locations of every layer's keys and values.
    attention: AttentionTable<T>,
    /// The open runs, which grow.
    open: KvRunTable<T>,
    /// For each row: index of its angles, its run, and its slot, `[T]` each.
    rows: CudaSlice<u32>,
    num_rows: usize,
    num_heads: usize,
    head_dim: usize,
    /// Workspace for decoding, shared by all layers' launches; allocated at first use.
    workspace: Option<CudaSlice<u8>>,
}

impl<'a, T: Element> Tables<'a, T> {
    /// Adds the new tokens to the caches, whose memory the kernels will write.
    pub(super) fn new(
        llama: &Llama,
        run: &Run<'a>,
        steps: &mut [Step<'_>],
    ) -> Result<Tables<'a, T>> {
        let device = cuda_device(run.hidden)?;
        let stream = device.cuda_stream();
        let slots = extend(run, steps)?;
        let shape = attention_shape(&llama.config);
        let mut plan = gpu(AttentionPlan::<T>::new(&stream, shape))?;
        let mut open = Vec::with_capacity(run.layers.len() * steps.len());
        for layer in run.layers.clone() {
            let only_last = run.last_rows && layer + 1 == run.layers.end;
            let mut sequences = Vec::with_capacity(steps.len());
            for (index, step) in steps.iter().enumerate() {
                let cache = step.cache.layer(layer)?;
                let rows = match only_last {
                    true => index..index + 1,
                    false => step.rows.clone(),
                };
                sequences.push(SequenceKeys {
                    first_key: cache.len() - rows.len(),
                    rows,
                    runs: cache.to_read::<T>()?,
                });
                open.push(cache.to_append::<T>()?);
            }
            let num_rows = match only_last {
                true => steps.len(),
                false => run.positions.len(),
            };
            gpu(plan.add_layer(&stream, num_rows, true, &sequences))?;
        }
        let size = [shape.num_kv_heads, shape.head_dim];
        let open = gpu(KvRunTable::new(&stream, size, run.layers.len(), &open))?;
        let attention = gpu(plan.upload(&stream))?;
        let RowAngles {
            table: angles,
            mut rows,
        } = llama.angles.of(&stream, &llama.config, run.positions)?;
        let of =
            |step: &Step<'_>, from: u32| (0..step.rows.len() as u32).map(move |row| from + row);
        for (index, step) in steps.iter().enumerate() {
            rows.extend(of(step, 0).map(|_| index as u32));
        }
        for (step, &slot) in steps.iter().zip(&slots) {
            rows.extend(of(step, slot as u32));
        }
        Ok(Tables {
            device,
            angles,
            workspace: None,
            attention,
            open,
            rows: driver("rows of a step", stream.clone_htod(&rows))?,
            num_rows: run.positions.len(),
            num_heads: shape.num_heads,
            head_dim: shape.head_dim,
            stream,
        })
    }

    /// Rotates queries and keys of a layer's projections `[T, (H + 2·H_kv)·D]` and writes keys and
    /// values into the caches. Returns the queries, `[T, H·D]`.
    pub(super) fn rotate_and_append(&self, layer: usize, projected: &Tensor) -> Result<Tensor> {
        let dims = (self.num_rows, self.num_heads * self.head_dim);
        let mut queries = uninitialised::<T>(&self.stream, dims.0 * dims.1)?;
        let (storage, _) = projected.storage_and_layout();
        let part = |index: usize| {
            self.rows
                .slice(index * self.num_rows..(index + 1) * self.num_rows)
        };
        with_word(&self.stream, |error| {
            let call = RotaryAppend {
                num_heads: self.num_heads,
                num_rows: self.num_rows,
                projected: RowsTo::Out {
                    from: view::<T>(&storage, projected)?,
                    to: queries.as_view_mut(),
                },
                angles: &self.angles,
                positions: part(0),
                table: &self.open,
                layer,
                runs: part(1),
                slots: part(2),
                error,
            };
            gpu(rotary_append(&self.stream, call))
        })?;
        Ok(tensor(queries, dims, self.device))
    }

    /// Attention of a layer's queries over the caches, `[T, H·D]`. With one row per sequence it
    /// uses the decoding kernel, with a number of blocks that depends on the number of keys.
    pub(super) fn attend(&mut self, layer: usize, queries: &Tensor) -> Result<Tensor> {
        let dims = queries.dims2()?;
        let mut output = uninitialised::<T>(&self.stream, dims.0 * dims.1)?;
        let (storage, _) = queries.storage_and_layout();
        let is_decoding = gpu(self.attention.max_rows(layer))? <= 1;
        if is_decoding && self.workspace.is_none() {
            let bytes = gpu(attention_decode_workspace(&self.attention))?;
            self.workspace = Some(uninitialised(&self.stream, bytes)?);
        }
        let workspace = self.workspace.as_mut().filter(|_| is_decoding);
        with_word(&self.stream, |error| {
            let call = LayerAttention {
                table: &self.attention,
                layer,
                queries: view::<T>(&storage, queries)?,
                query_stride: dims.1,
                output: output.as_view_mut(),
                error,
            };
            gpu(match workspace {
                None => attention_prefill(&self.stream, call),
                Some(workspace) => attention_decode(&self.stream, call, workspace.as_view_mut()),
            })
        })?;
        Ok(tensor(output, dims, self.device))
    }
}

/// Adds each step's rows to its caches. Returns the slot of each step's first row, which is the
/// same in all layers.
fn extend(run: &Run<'_>, steps: &mut [Step<'_>]) -> Result<Vec<usize>> {
    let mut slots = Vec::with_capacity(steps.len());
    for step in steps {
        let mut first = None;
        for layer in run.layers.clone() {
            let slot = step.cache.layer_mut(layer)?.extend(step.rows.len())?;
            if *first.get_or_insert(slot) != slot {
                return Err(ModelError::InputValue {
                    what: "the tokens in a layer's open run",
                    found: slot.to_string(),
                    expected: format!("{first:?}, as in the layers before"),
                });
            }
        }
        slots.push(first.unwrap_or(0));
    }
    Ok(slots)
}
