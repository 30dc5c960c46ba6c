//! Location of the sequences' keys and values in the form that kernels read.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use cudarc::driver::CudaSlice;

use super::attention::Heads;
use super::attention_plan::{OP, contradiction};
use super::check::{Region, dim};
use super::element::DeviceElement;
use super::error::CudaError;
use super::launch::Launch;
use super::sys;
use crate::KernelError;
use crate::dense::AttentionShape;

/// Position of one layer in the table.
#[derive(Debug)]
pub(super) struct LayerPart {
    /// Offset, in words of the table.
    pub(super) sequences: usize,
    pub(super) runs: usize,
    pub(super) num_sequences: usize,
    pub(super) num_runs: usize,
    pub(super) num_rows: usize,
    pub(super) max_rows: usize,
    pub(super) max_keys: usize,
    pub(super) min_keys: usize,
    pub(super) is_causal: bool,
    pub(super) regions: Vec<Region>,
}

impl LayerPart {
    /// Whether the layer has nothing to compute, so that no launch is needed.
    pub(super) fn is_empty(&self) -> bool {
        self.max_rows == 0
    }
}

/// Sequences and runs of every layer of a step on the device, usable by any number of launches.
#[derive(Debug)]
pub struct AttentionTable<T> {
    pub(super) words: CudaSlice<u64>,
    pub(super) shape: AttentionShape,
    pub(super) layers: Vec<LayerPart>,
    /// Owners of the runs' memory, which keep it allocated.
    #[allow(dead_code)] // held, not read
    pub(super) owners: Vec<Arc<dyn Any + Send + Sync>>,
    pub(super) element: PhantomData<T>,
}

/// A layer's arrays in device memory.
pub(super) struct LayerArrays {
    pub(super) sequences: *const sys::fp_attention_sequence,
    pub(super) runs: *const sys::fp_attention_run,
    pub(super) num_runs: u32,
}

impl<T: DeviceElement> AttentionTable<T> {
    /// Number of layers.
    pub fn num_layers(&self) -> usize {
        self.layers.len()
    }

    /// The largest number of rows of any sequence in the layer.
    ///
    /// # Errors
    /// A layer outside the table.
    pub fn max_rows(&self, layer: usize) -> Result<usize, CudaError> {
        Ok(self.layer(OP, layer)?.max_rows)
    }

    pub(super) fn layer(&self, op: &'static str, layer: usize) -> Result<&LayerPart, CudaError> {
        self.layers
            .get(layer)
            .ok_or(CudaError::Argument(KernelError::IndexOutOfRange {
                op,
                index: layer,
                len: self.layers.len(),
            }))
    }

    pub(super) fn layers(&self) -> &[LayerPart] {
        &self.layers
    }

    /// A layer's arrays. The launch holds them and all memory that their runs refer to.
    pub(super) fn arrays<'x>(
        &'x self,
        launch: &mut Launch<'x>,
        part: &LayerPart,
    ) -> Result<LayerArrays, CudaError> {
        let words = launch.read("the attention table", &self.words)?;
        launch.reads(&part.regions);
        Ok(LayerArrays {
            sequences: words.wrapping_add(part.sequences).cast(),
            runs: words.wrapping_add(part.runs).cast(),
            num_runs: dim(OP, "the number of runs", part.num_runs)?,
        })
    }

    /// As [`Self::arrays`], after a check that each sequence is a sample with the sizes of
    /// `heads`.
    pub(super) fn keys_of<'x>(
        &'x self,
        op: &'static str,
        launch: &mut Launch<'x>,
        layer: usize,
        heads: &Heads,
    ) -> Result<LayerArrays, CudaError> {
        let part = self.layer(op, layer)?;
        let got = [
            part.num_sequences,
            part.min_keys,
            part.max_keys,
            self.shape.num_kv_heads,
            self.shape.head_dim,
        ];
        let expected = [
            heads.shape.batch_size,
            heads.sequence_len,
            heads.sequence_len,
            heads.num_kv_heads,
            heads.head_dim,
        ];
        if got != expected {
            return Err(contradiction(
                0,
                format!(
                    "[sequences, fewest keys, most keys, key heads, head size] of layer {layer} \
                     are {got:?}, and the call needs {expected:?}"
                ),
            ));
        }
        self.arrays(launch, part)
    }
}
