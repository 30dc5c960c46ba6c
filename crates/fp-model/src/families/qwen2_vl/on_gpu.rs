//! The tower's layers on a GPU, with the decoder's kernels: every layer writes its rotated keys and
//! its values into one run of memory, and a window attends to its own part of that run.
//!
//! The kernels' lookup tables are uploaded once per image: the patches' angles, and the locations
//! of the keys of every window and of the whole image. Layers follow each other on one stream, so
//! that one run's memory serves all of them.

use std::ops::Range;
use std::sync::Arc;

use candle_core::{CudaDevice, Tensor};
use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::cuda::{
    AttentionPlan, AttentionTable, KeyValueRun, KvRunTable, LayerAttention, RotaryAngles,
    RotaryAppend, RowsTo, SequenceKeys, attention_prefill, rotary_append,
};
use fp_kernels::dense::AttentionShape;

use super::layer::Layer;
use crate::error::Result;
use crate::gpu::{
    Element, KvMemory, Residual, by_format, cuda_device, driver, gpu, tensor, uninitialised, view,
    with_word,
};
use crate::llama::cosines_and_sines;
use crate::weights::ComputeContext;

/// Layers of the attention table: patches attend to those of their window, or to all.
const WINDOWS: usize = 0;
const WHOLE: usize = 1;

/// The last layer's output `[P, V]` for the first one's input. The flag of each layer is true if
/// its patches attend only to those of their window; `angles [P, head size / 2]` rotate queries and
/// keys.
pub(super) fn run_layers<'l>(
    layers: impl Iterator<Item = (&'l Layer, bool)>,
    context: &ComputeContext,
    x: &Tensor,
    angles: &[f32],
    windows: &[Range<usize>],
) -> Result<Tensor> {
    by_format!(
        x.dtype(),
        "patches",
        layers_of(layers, context, x, angles, windows)
    )
}

fn layers_of<'l, T: Element>(
    layers: impl Iterator<Item = (&'l Layer, bool)>,
    context: &ComputeContext,
    x: &Tensor,
    angles: &[f32],
    windows: &[Range<usize>],
) -> Result<Tensor> {
    let mut layers = layers.peekable();
    let Some((first, _)) = layers.peek() else {
        return Ok(x.clone());
    };
    let tables = Tables::<T>::new(context, x, first.shape, angles, windows)?;
    let mut residual = Residual::<T>::of(x)?;
    for (layer, has_windows) in layers {
        let normed = residual.normed(layer.norm1.weights())?;
        let projected = layer.query_key_value.forward(&normed)?;
        let seen = if has_windows { WINDOWS } else { WHOLE };
        let mixed = tables.attend(&projected, seen)?;
        residual.add(layer.out.forward(&mixed)?);
        let normed = residual.normed(layer.norm2.weights())?;
        residual.add(layer.down.forward(&layer.inner(&normed)?)?);
    }
    residual.finish()
}

/// Lookup tables of the kernels for an image's layers, uploaded before the first layer runs.
struct Tables<'a, T> {
    device: &'a CudaDevice,
    stream: Arc<CudaStream>,
    shape: AttentionShape,
    /// One row per patch.
    angles: RotaryAngles,
    /// Locations of the keys and values of each window and of the whole image.
    attention: AttentionTable<T>,
    /// The run that each layer writes.
    run: KvRunTable<T>,
    /// The patches' indices, which serve as indices of their angles and as their slots in the run,
    /// then the index of the run that each is in, `[P]` each.
    rows: CudaSlice<u32>,
    num_patches: usize,
}

impl<'a, T: Element> Tables<'a, T> {
    fn new(
        context: &ComputeContext,
        x: &'a Tensor,
        shape: AttentionShape,
        angles: &[f32],
        windows: &[Range<usize>],
    ) -> Result<Tables<'a, T>> {
        let device = cuda_device(x)?;
        let stream = device.cuda_stream();
        let num_patches = x.dim(0)?;
        let size = [shape.num_kv_heads, shape.head_dim];
        let memory = KvMemory::of_layer(context, num_patches * size[0] * size[1])?;
        let whole = memory.to_read::<T>(num_patches, [num_patches, shape.head_dim])?;
        let sequences: Vec<SequenceKeys<'_, T>> = windows
            .iter()
            .map(|window| SequenceKeys {
                rows: window.clone(),
                first_key: 0,
                runs: vec![part_of(&whole, window)],
            })
            .collect();
        let mut plan = gpu(AttentionPlan::<T>::new(&stream, shape))?;
        gpu(plan.add_layer(&stream, num_patches, false, &sequences))?;
        let all = SequenceKeys {
            rows: 0..num_patches,
            first_key: 0,
            runs: vec![whole],
        };
        gpu(plan.add_layer(&stream, num_patches, false, &[all]))?;
        let run = memory.to_append::<T>(num_patches)?;
        let (cosines, sines) = cosines_and_sines(angles.iter().copied(), angles.len());
        let rows: Vec<u32> = (0..num_patches as u32)
            .chain(std::iter::repeat_n(0, num_patches))
            .collect();
        Ok(Tables {
            angles: gpu(RotaryAngles::of_rows(
                &stream,
                shape.head_dim,
                &cosines,
                &sines,
            ))?,
            attention: gpu(plan.upload(&stream))?,
            run: gpu(KvRunTable::new(&stream, size, 1, &[run]))?,
            rows: driver("patches of an image", stream.clone_htod(&rows))?,
            device,
            stream,
            shape,
            num_patches,
        })
    }

    /// The patches' attention output `[P, V]` from a layer's projections `[P, 3 · V]`, not rotated
    /// yet; `seen` is [`WINDOWS`] or [`WHOLE`].
    fn attend(&self, projected: &Tensor, seen: usize) -> Result<Tensor> {
        let width = self.shape.num_heads * self.shape.head_dim;
        let dims = (self.num_patches, width);
        let mut queries = uninitialised::<T>(&self.stream, dims.0 * dims.1)?;
        let mut output = uninitialised::<T>(&self.stream, dims.0 * dims.1)?;
        let (storage, _) = projected.storage_and_layout();
        with_word(&self.stream, |error| {
            let call = RotaryAppend {
                num_heads: self.shape.num_heads,
                num_rows: self.num_patches,
                projected: RowsTo::Out {
                    from: view::<T>(&storage, projected)?,
                    to: queries.as_view_mut(),
                },
                angles: &self.angles,
                positions: self.rows.slice(..self.num_patches),
                table: &self.run,
                layer: 0,
                runs: self.rows.slice(self.num_patches..),
                slots: self.rows.slice(..self.num_patches),
                error: &mut *error,
            };
            gpu(rotary_append(&self.stream, call))?;
            let call = LayerAttention {
                table: &self.attention,
                layer: seen,
                queries: queries.as_view(),
                query_stride: width,
                output: output.as_view_mut(),
                error,
            };
            gpu(attention_prefill(&self.stream, call))
        })?;
        Ok(tensor(output, dims, self.device))
    }
}

/// The keys and values of a range of a run's tokens.
fn part_of<'v, T: Element>(run: &KeyValueRun<'v, T>, tokens: &Range<usize>) -> KeyValueRun<'v, T> {
    let first = tokens.start * run.token_stride;
    KeyValueRun {
        keys: run.keys.slice(first..),
        values: run.values.slice(first..),
        len: tokens.len(),
        head_stride: run.head_stride,
        token_stride: run.token_stride,
        owner: Arc::clone(&run.owner),
    }
}
