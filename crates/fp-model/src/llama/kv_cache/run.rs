//! Keys and values of consecutive tokens in one layer.

use std::ops::Range;

use candle_core::Tensor;
use fp_kernels::dense::{Cached, KeyValues};
use half::bf16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use crate::config::TextConfig;
use crate::cpu_format::CpuFormat;
use crate::error::{ModelError, Result};
use crate::ops::{heads_of, host_values, with_values};
use crate::weights::ComputeContext;

/// Keys and values of consecutive tokens in one layer: `[heads][capacity][head_dim]`.
#[derive(Debug)]
pub(super) struct KvRun {
    pub(super) store: Store,
    num_heads: usize,
    pub(super) head_dim: usize,
    pub(super) len: usize,
    pub(super) capacity: usize,
}

#[derive(Debug)]
pub(super) enum Store {
    /// For this project's CPU kernels.
    Values { keys: Vec<f32>, values: Vec<f32> },
    /// For those kernels, rounded to half the memory.
    Rounded { keys: Vec<bf16>, values: Vec<bf16> },
    /// `[heads, capacity, head_dim]`, for the tensor library.
    Tensors { keys: Tensor, values: Tensor },
    /// For this project's GPU kernels.
    #[cfg(feature = "cuda")]
    Device(crate::gpu::KvMemory),
}

impl KvRun {
    /// One run with capacity for `capacity` tokens for each of `num_layers` layers.
    pub(super) fn of_layers(
        config: &TextConfig,
        context: &ComputeContext,
        num_layers: usize,
        capacity: usize,
    ) -> Result<Vec<KvRun>> {
        let (num_heads, head_dim) = (config.num_kv_heads, config.head_dim());
        let len = num_heads * capacity * head_dim;
        if num_layers == 0 {
            return Ok(Vec::new());
        }
        let run = |store| KvRun {
            store,
            num_heads,
            head_dim,
            len: 0,
            capacity,
        };
        #[cfg(feature = "cuda")]
        if context.device.is_cuda() {
            let memory = crate::gpu::KvMemory::of_layers(context, num_layers, len)?;
            return Ok(memory.into_iter().map(Store::Device).map(run).collect());
        }
        let dims = (num_heads, capacity, head_dim);
        let zeros = || Tensor::zeros(dims, context.dtype, &context.device);
        (0..num_layers)
            .map(|_| {
                Ok(run(match (context.kernels, context.kv_cache) {
                    (true, CpuFormat::F32) => Store::Values {
                        keys: vec![0.0; len],
                        values: vec![0.0; len],
                    },
                    (true, CpuFormat::Bf16) => Store::Rounded {
                        keys: vec![bf16::ZERO; len],
                        values: vec![bf16::ZERO; len],
                    },
                    (false, _) => Store::Tensors {
                        keys: zeros()?,
                        values: zeros()?,
                    },
                }))
            })
            .collect()
    }

    /// Bytes of the buffers.
    pub(super) fn bytes(&self) -> usize {
        match &self.store {
            Store::Values { keys, values } => {
                (keys.capacity() + values.capacity()) * std::mem::size_of::<f32>()
            }
            Store::Rounded { keys, values } => {
                (keys.capacity() + values.capacity()) * std::mem::size_of::<bf16>()
            }
            Store::Tensors { keys, values } => [keys, values]
                .iter()
                .map(|tensor| tensor.elem_count() * tensor.dtype().size_in_bytes())
                .sum(),
            #[cfg(feature = "cuda")]
            Store::Device(memory) => memory.bytes(),
        }
    }

    /// Appends rows of `projected`, whose keys start at column `key_column` and
    /// whose values follow them.
    pub(super) fn append(
        &mut self,
        projected: &Tensor,
        rows: Range<usize>,
        key_column: usize,
    ) -> Result<()> {
        let (len, capacity, head_dim) = (self.len, self.capacity, self.head_dim);
        let width = self.num_heads * head_dim;
        let count = rows.len();
        self.check_room(count)?;
        let target = NewRows {
            rows: &rows,
            len,
            capacity,
            head_dim,
        };
        match &mut self.store {
            Store::Values { keys, values } => {
                let stride = projected.dim(1)?;
                with_values(projected, |from| {
                    let copy = <[f32]>::copy_from_slice;
                    target.copy(from, stride, key_column, keys, copy);
                    target.copy(from, stride, key_column + width, values, copy);
                    Ok(())
                })?;
            }
            Store::Rounded { keys, values } => {
                let stride = projected.dim(1)?;
                with_values(projected, |from| {
                    let round = <[bf16]>::convert_from_f32_slice;
                    target.copy(from, stride, key_column, keys, round);
                    target.copy(from, stride, key_column + width, values, round);
                    Ok(())
                })?;
            }
            Store::Tensors { keys, values } => {
                for (store, column) in [(keys, key_column), (values, key_column + width)] {
                    let new = heads_of(projected, rows.clone(), column..column + width, head_dim)?;
                    store.slice_set(&new, 1, len)?;
                }
            }
            #[cfg(feature = "cuda")]
            Store::Device(_) => return Err(elsewhere()),
        }
        self.len += count;
        Ok(())
    }

    pub(super) fn check_room(&self, count: usize) -> Result<()> {
        let (len, capacity) = (self.len, self.capacity);
        if len + count > capacity {
            return Err(ModelError::InputValue {
                what: "the number of cached tokens",
                found: format!("{len} + {count}"),
                expected: format!("at most the {capacity} that were reserved"),
            });
        }
        Ok(())
    }

    pub(super) fn view(&self) -> Option<KeyValues<'_>> {
        match &self.store {
            Store::Values { keys, values } => {
                Some(self.view_of(Cached::F32(keys), Cached::F32(values)))
            }
            Store::Rounded { keys, values } => {
                Some(self.view_of(Cached::Bf16(keys), Cached::Bf16(values)))
            }
            _ => None,
        }
    }

    fn view_of<'a>(&self, keys: Cached<'a>, values: Cached<'a>) -> KeyValues<'a> {
        KeyValues {
            keys,
            values,
            len: self.len,
            head_stride: self.capacity * self.head_dim,
        }
    }

    pub(super) fn tensors(&self) -> Result<Option<(Tensor, Tensor)>> {
        match &self.store {
            Store::Tensors { keys, values } => Ok(Some((
                keys.narrow(1, 0, self.len)?,
                values.narrow(1, 0, self.len)?,
            ))),
            _ => Ok(None),
        }
    }

    /// Keys of every token on the host, heads side by side, `[len, heads · head_dim]`.
    pub(super) fn keys_by_token(&self) -> Result<Vec<f32>> {
        let (heads, width) = (self.num_heads, self.head_dim);
        let by_token = |keys: &[f32]| {
            (0..self.len)
                .flat_map(|token| (0..heads).map(move |head| (token, head)))
                .flat_map(|(token, head)| {
                    let start = (head * self.capacity + token) * width;
                    keys[start..start + width].iter().copied()
                })
                .collect()
        };
        match &self.store {
            Store::Values { keys, .. } => Ok(by_token(keys)),
            Store::Rounded { keys, .. } => Ok(by_token(&keys.to_f32_vec())),
            Store::Tensors { keys, .. } => Ok(by_token(&host_values(keys)?)),
            #[cfg(feature = "cuda")]
            Store::Device(memory) => Ok(by_token(&memory.host_keys()?)),
        }
    }
}

/// Destination of a projection's rows in a run's buffers.
struct NewRows<'a> {
    rows: &'a Range<usize>,
    /// Number of tokens already in the run.
    len: usize,
    capacity: usize,
    head_dim: usize,
}

impl NewRows<'_> {
    /// Copies the columns from `column` on of `from [_, stride]` into `out`, head by head.
    fn copy<T: Send>(
        &self,
        from: &[f32],
        stride: usize,
        column: usize,
        out: &mut [T],
        put: impl Fn(&mut [T], &[f32]) + Sync,
    ) {
        let width = self.head_dim;
        let heads = out
            .par_chunks_mut((self.capacity * width).max(1))
            .enumerate();
        heads.for_each(|(head, out)| {
            let column = column + head * width;
            let out = &mut out[self.len * width..(self.len + self.rows.len()) * width];
            for (out, row) in out.chunks_exact_mut(width).zip(self.rows.clone()) {
                put(out, &from[row * stride + column..][..width]);
            }
        });
    }
}

/// The error for a run to which only GPU kernels append.
#[cfg(feature = "cuda")]
fn elsewhere() -> ModelError {
    ModelError::InputValue {
        what: "the device of a KV cache",
        found: "a GPU".to_owned(),
        expected: "the CPU".to_owned(),
    }
}
