//! Weights on disk: which tensors exist, and reading their values a few rows at a time.
//!
//! Safetensors shards are mapped into memory and read a few rows at a time into their final form. A
//! mapped page counts as the process's own memory until the system reclaims it, so pages are
//! released as soon as their values have been copied: the peak while loading is the weights plus
//! one small buffer. Matrices that stay in two bytes a value are not copied: the mapped file's
//! pages, which processes share, are the model's memory.
//! processes share, are the model's memory.

mod checkpoint;
mod loader;
mod names;
mod pickle;
mod pickle_scan;
mod random;
mod shard;

pub(crate) use checkpoint::Checkpoint;
pub(crate) use loader::{ComputeContext, Loader, Source};
pub(crate) use names::{
    ExpectedTensor, Names, expected_tensors, extra_square_tensors, square_tensors,
};
pub(crate) use random::RandomWeights;
pub(crate) use shard::StoredDtype;
