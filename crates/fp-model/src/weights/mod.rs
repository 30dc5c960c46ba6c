//! Weights on disk: which tensors there are, and their values a few rows at a time.
//!
//! Safetensors shards are read at positions, not mapped into memory: a mapped
//! page of a file counts as the process's own memory until the system takes it
//! back, and a file that shrinks under a mapping kills the process, where a read
//! returns an error. Values go through one small buffer into their final form,
//! so the peak while loading is the weights plus that buffer.

mod checkpoint;
mod loader;
mod names;
mod pickle;
mod random;
mod shard;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use loader::{Loader, Place, Source};
pub(crate) use names::{Names, expected_tensors};
pub(crate) use random::{RandomWeights, mix};
pub(crate) use shard::StoredDtype;
