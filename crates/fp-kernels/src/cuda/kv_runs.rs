//! Runs of KV caches, in the form that appending kernels read.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView, DevicePtr, DeviceSlice};

use super::check::{Region, check_device};
use super::element::DeviceElement;
use super::error::CudaError;
use super::sys;
use crate::KernelError;
use crate::error::check_shape;

const OP: &str = "KV runs";
/// Words of a table entry: keys, values and capacity.
const WORDS: usize = size_of::<sys::fp_kv_run>() / size_of::<u64>();

/// Keys and values of consecutive tokens in one layer, `[H_kv, capacity, D]` each.
///
/// Kernels write through both views even if others hold views of the same memory: launches on one
/// stream are ordered, and the host reads by copies on that stream.
#[derive(Debug)]
pub struct KvRunViews<'a, T> {
    /// Keys, rotated.
    pub keys: CudaView<'a, T>,
    /// Values.
    pub values: CudaView<'a, T>,
    /// Number of tokens that fit.
    pub capacity: usize,
    /// Owner of the memory of both views; the table holds it for its own lifetime.
    pub owner: Arc<dyn Any + Send + Sync>,
}

/// The runs that rows are appended to, for any number of layers: checked once, and uploaded in
/// one copy.
///
/// The table keeps the runs' memory allocated while it exists. It does not order their use across
/// streams: use it only on the stream of all other work on these runs.
#[derive(Debug)]
pub struct KvRunTable<T> {
    entries: CudaSlice<u64>,
    /// Address ranges of the keys and values of each run.
    regions: Vec<Region>,
    num_layers: usize,
    num_runs: usize,
    num_kv_heads: usize,
    head_dim: usize,
    /// Owners of the runs' memory, which keep it allocated.
    #[allow(dead_code)] // held, not read
    owners: Vec<Arc<dyn Any + Send + Sync>>,
    element: PhantomData<T>,
}

impl<T: DeviceElement> KvRunTable<T> {
    /// A table of `runs`, the same number for each of `num_layers` layers, ordered by layer.
    ///
    /// # Errors
    /// No layers or runs, or a number of runs that is not a multiple of `num_layers`; runs that
    /// don't fill their shape, overlap, are on another device or don't start at a multiple of 16
    /// bytes; memory that can't be allocated.
    pub fn new(
        stream: &Arc<CudaStream>,
        [num_kv_heads, head_dim]: [usize; 2],
        num_layers: usize,
        runs: &[KvRunViews<'_, T>],
    ) -> Result<KvRunTable<T>, CudaError> {
        if num_layers == 0 || runs.is_empty() || !runs.len().is_multiple_of(num_layers) {
            let shape = vec![num_layers, runs.len().checked_div(num_layers).unwrap_or(0)];
            return Err(KernelError::ShapeMismatch {
                op: OP,
                tensor: "[layers, runs]",
                expected: shape.iter().product(),
                shape,
                got: runs.len(),
            }
            .into());
        }
        let mut entries = Vec::with_capacity(runs.len() * WORDS);
        let mut regions = Vec::with_capacity(runs.len() * 2);
        for run in runs {
            let shape = [num_kv_heads, run.capacity, head_dim];
            let parts = [
                ("keys of a run", &run.keys),
                ("values of a run", &run.values),
            ];
            for (tensor, part) in parts {
                check_shape(OP, tensor, &shape, part.len())?;
                let ordinal = |stream: &CudaStream| stream.context().ordinal();
                check_device(OP, tensor, ordinal(part.stream()), ordinal(stream))?;
                let bytes = part.num_bytes();
                let (address, _order) = part.device_ptr(stream);
                let region = Region {
                    tensor,
                    address,
                    bytes,
                };
                region.check_alignment(OP, sys::FP_ALIGNMENT as usize)?;
                regions.push(region);
                entries.push(address);
            }
            entries.push(run.capacity as u64);
        }
        check_apart(&regions)?;
        let failed = |source| CudaError::Driver { op: OP, source };
        Ok(KvRunTable {
            entries: stream.clone_htod(&entries).map_err(failed)?,
            num_runs: runs.len() / num_layers,
            regions,
            num_layers,
            num_kv_heads,
            head_dim,
            owners: runs.iter().map(|run| Arc::clone(&run.owner)).collect(),
            element: PhantomData,
        })
    }

    /// Number of runs in each layer.
    pub fn num_runs(&self) -> usize {
        self.num_runs
    }

    /// H_kv.
    pub fn num_kv_heads(&self) -> usize {
        self.num_kv_heads
    }

    /// D.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    pub(super) fn entries(&self) -> &CudaSlice<u64> {
        &self.entries
    }

    /// Index of the layer's first entry, and the memory of its runs.
    pub(super) fn layer(
        &self,
        op: &'static str,
        layer: usize,
    ) -> Result<(usize, &[Region]), CudaError> {
        if layer >= self.num_layers {
            return Err(KernelError::IndexOutOfRange {
                op,
                index: layer,
                len: self.num_layers,
            }
            .into());
        }
        let first = layer * self.num_runs;
        Ok((
            first * WORDS,
            &self.regions[2 * first..2 * (first + self.num_runs)],
        ))
    }
}

/// Checks that no two runs share memory.
fn check_apart(regions: &[Region]) -> Result<(), CudaError> {
    let mut sorted = regions.to_vec();
    sorted.sort_by_key(|region| region.address);
    for pair in sorted.windows(2) {
        if pair[0].overlaps(&pair[1]) {
            return Err(CudaError::Overlap {
                op: OP,
                written: pair[0].tensor,
                other: pair[1].tensor,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_share_memory_are_told_in_any_order() {
        let region = |address, bytes| Region {
            tensor: "keys",
            address,
            bytes,
        };
        let apart = [region(4096, 1024), region(0, 1024), region(1024, 3072)];
        assert!(check_apart(&apart).is_ok());
        let shared = [region(4096, 1024), region(0, 16), region(1024, 3073)];
        assert!(check_apart(&shared).is_err());
    }
}
