//! GPU memory for keys and values.

use std::any::Any;
use std::sync::Arc;

use candle_core::{CudaStorage, Device};
use cudarc::driver::CudaView;
use fp_kernels::cuda::{KeyValueRun, KvRunViews};

use super::values::{Element, by_format};
use super::{driver, uninitialised};
use crate::error::{ModelError, Result};
use crate::weights::ComputeContext;

/// Runs start at multiples of this number of values: 16 bytes or more in any format.
const ALIGNMENT: usize = 8;

/// Keys and values of one layer's run, `[heads, capacity, head_dim]` each, in memory that the runs
/// of several layers share.
#[derive(Debug, Clone)]
pub(crate) struct KvMemory {
    memory: Arc<CudaStorage>,
    /// Start indices of keys and of values.
    starts: [usize; 2],
    /// Number of values in each.
    len: usize,
}

impl KvMemory {
    /// Memory for one run of `len` keys and `len` values for each of `num_layers` layers, in one
    /// allocation, uninitialised.
    ///
    /// # Errors
    /// Memory can't be allocated.
    pub(crate) fn of_layers(
        context: &ComputeContext,
        num_layers: usize,
        len: usize,
    ) -> Result<Vec<KvMemory>> {
        let stride = len.next_multiple_of(ALIGNMENT);
        let memory = memory_of(context, 2 * num_layers * stride)?;
        Ok((0..num_layers)
            .map(|layer| KvMemory {
                memory: Arc::clone(&memory),
                starts: [2 * layer * stride, (2 * layer + 1) * stride],
                len,
            })
            .collect())
    }

    /// Like [`KvMemory::of_layers`], for one run that several layers fill in turn.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn of_layer(context: &ComputeContext, len: usize) -> Result<KvMemory> {
        let stride = len.next_multiple_of(ALIGNMENT);
        Ok(KvMemory {
            memory: memory_of(context, 2 * stride)?,
            starts: [0, stride],
            len,
        })
    }

    /// Bytes of the keys and values.
    pub(crate) fn bytes(&self) -> usize {
        use candle_core::backend::BackendStorage;
        2 * self.len * self.memory.dtype().size_in_bytes()
    }

    fn views<T: Element>(&self) -> Result<[CudaView<'_, T>; 2]> {
        let values = self.memory.as_cuda_slice::<T>()?;
        Ok(self
            .starts
            .map(|start| values.slice(start..start + self.len)))
    }

    fn owner(&self) -> Arc<dyn Any + Send + Sync> {
        self.memory.clone()
    }

    /// View for kernels that append keys and values.
    pub(crate) fn to_append<T: Element>(&self, capacity: usize) -> Result<KvRunViews<'_, T>> {
        let [keys, values] = self.views()?;
        Ok(KvRunViews {
            keys,
            values,
            capacity,
            owner: self.owner(),
        })
    }

    /// View of the first `len` tokens for attention.
    pub(crate) fn to_read<T: Element>(
        &self,
        len: usize,
        [capacity, head_dim]: [usize; 2],
    ) -> Result<KeyValueRun<'_, T>> {
        let [keys, values] = self.views()?;
        Ok(KeyValueRun {
            keys,
            values,
            len,
            head_stride: capacity * head_dim,
            token_stride: head_dim,
            owner: self.owner(),
        })
    }

    /// Keys on the host, `[heads, capacity, head_dim]`; waits for the device.
    pub(crate) fn host_keys(&self) -> Result<Vec<f32>> {
        use candle_core::backend::BackendStorage;
        by_format!(self.memory.dtype(), "the KV cache", host_keys_of(self))
    }
}

fn memory_of(context: &ComputeContext, len: usize) -> Result<Arc<CudaStorage>> {
    let Device::Cuda(device) = &context.device else {
        return Err(ModelError::InputValue {
            what: "the device of a KV cache",
            found: format!("{:?}", context.device),
            expected: "a CUDA device".to_owned(),
        });
    };
    let memory = by_format!(context.dtype, "the KV cache", allocate(device, len))?;
    Ok(Arc::new(memory))
}

fn allocate<T: Element>(device: &candle_core::CudaDevice, len: usize) -> Result<CudaStorage> {
    let values = uninitialised::<T>(&device.cuda_stream(), len)?;
    Ok(CudaStorage::wrap_cuda_slice(values, device.clone()))
}

fn host_keys_of<T: Element>(run: &KvMemory) -> Result<Vec<f32>> {
    let stream = run.memory.device.cuda_stream();
    let [keys, _] = run.views::<T>()?;
    let keys = driver("reading keys", stream.clone_dtoh(&keys))?;
    Ok(keys.into_iter().map(Into::into).collect())
}
