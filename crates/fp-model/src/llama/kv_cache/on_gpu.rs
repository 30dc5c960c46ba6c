//! A layer's cache as kernels on a GPU access it.

use fp_kernels::cuda::{KeyValueRun, KvRunViews};

use super::LayerCache;
use super::run::{KvRun, Store};
use crate::error::{ModelError, Result};
use crate::gpu::{Element, KvMemory};

impl LayerCache {
    /// Adds `count` tokens, which a kernel will write, to the open run. Returns the run's number of
    /// tokens before that.
    pub(in crate::llama) fn extend(&mut self, count: usize) -> Result<usize> {
        let Some(run) = &mut self.open else {
            return Err(ModelError::InputValue {
                what: "the number of cached tokens",
                found: count.to_string(),
                expected: "0, since no room was reserved".to_owned(),
            });
        };
        run.check_room(count)?;
        run.len += count;
        Ok(run.len - count)
    }

    /// The open run, to append to.
    pub(in crate::llama) fn to_append<T: Element>(&self) -> Result<KvRunViews<'_, T>> {
        let run = self.open.as_ref().ok_or_else(not_there)?;
        memory(run)?.to_append(run.capacity)
    }

    /// All runs that have tokens.
    pub(in crate::llama) fn to_read<T: Element>(&self) -> Result<Vec<KeyValueRun<'_, T>>> {
        self.runs()
            .map(|run| memory(run)?.to_read(run.len, [run.capacity, run.head_dim]))
            .collect()
    }
}

fn memory(run: &KvRun) -> Result<&KvMemory> {
    match &run.store {
        Store::Device(memory) => Ok(memory),
        _ => Err(not_there()),
    }
}

fn not_there() -> ModelError {
    ModelError::InputValue {
        what: "the device of a KV cache",
        found: "the CPU, or no room reserved".to_owned(),
        expected: "a GPU".to_owned(),
    }
}
