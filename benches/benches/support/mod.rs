//! Support for the GPU's benchmarks: clock, cache, and launches.

mod attention;
mod bench;
mod gather;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE;
use cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT;
use cudarc::driver::{CudaSlice, CudaStream};
use fp_kernels::cuda::{self, ErrorWord, GatherPositions, Sequence};

pub(crate) use bench::{Bench, Kernel};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Hidden size of the gathered rows, in 2-byte values.
const HIDDEN: usize = 4096;
/// Size of a head's query or key, in values.
const HEAD_DIM: usize = 128;
/// Tokens before and after the image.
const SYSTEM: usize = 35;
const TEXT: usize = 27;
/// Largest size in bytes of a buffer to gather from or attend to.
const MAX_BYTES: usize = 8 << 30;
/// Fraction (one over this) of the free memory for one such buffer: each benchmark needs two, so
/// that the second isn't in the cache, and memory for results must remain.
const SHARE_OF_FREE: usize = 8;

/// The first GPU.
pub(crate) struct Gpu {
    pub(crate) stream: Arc<CudaStream>,
    /// Largest size in bytes of one buffer of hidden states or keys.
    pub(crate) most_bytes: usize,
}

impl Gpu {
    /// `None` if there is no driver.
    pub(crate) fn open() -> Outcome<Option<Gpu>> {
        if !cuda::is_driver_present() {
            return Ok(None);
        }
        let stream = cuda::only_stream(0)?;
        let (free, _) = stream.context().mem_get_info()?;
        let most_bytes = MAX_BYTES.min(free / SHARE_OF_FREE);
        // The summary parses this line.
        eprintln!("buffers of up to {most_bytes} bytes");
        Ok(Some(Gpu { stream, most_bytes }))
    }

    /// Whether the device is the emulating host: its timings are meaningless, and large workloads
    /// would take hours.
    pub(crate) fn is_emulated(&self) -> Outcome<bool> {
        Ok(self.stream.context().name()?.starts_with("emulated"))
    }

    /// Number of inputs of `bytes` bytes that exceed twice the level-2 cache.
    pub(crate) fn copies(&self, bytes: usize) -> Outcome<usize> {
        let cache = self.stream.context();
        let cache = cache.attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?;
        let cache = usize::try_from(cache)?.max(1 << 20);
        Ok((2 * cache).div_ceil(bytes) + 1)
    }

    /// Device time of `iterations` calls of `work`, by events around them.
    pub(crate) fn timed(&self, iterations: u64, mut work: impl FnMut(u64) -> Outcome) -> Duration {
        let mut run = || -> Outcome<Duration> {
            let start = self.stream.record_event(Some(CU_EVENT_DEFAULT))?;
            for index in 0..iterations {
                work(index)?;
            }
            let end = self.stream.record_event(Some(CU_EVENT_DEFAULT))?;
            Ok(Duration::from_secs_f64(
                f64::from(start.elapsed_ms(&end)?) / 1e3,
            ))
        };
        // Criterion's closure can't return an error; a failing GPU ends the benchmark.
        match run() {
            Ok(taken) => taken,
            Err(error) => panic!("the GPU failed: {error}"),
        }
    }
}

/// A launch that writes three positions.
pub(crate) struct Smallest {
    kept: CudaSlice<u32>,
    positions: CudaSlice<u32>,
    error: ErrorWord,
}

impl Smallest {
    pub(crate) fn new(gpu: &Gpu) -> Outcome<Smallest> {
        Ok(Smallest {
            kept: gpu.stream.alloc_zeros(1)?,
            positions: gpu.stream.alloc_zeros(3)?,
            error: ErrorWord::new(&gpu.stream)?,
        })
    }

    pub(crate) fn launch(&mut self, gpu: &Gpu) -> Outcome {
        let call = GatherPositions {
            batch_size: 1,
            sequence: Sequence {
                num_system: 1,
                num_image_tokens: 1,
                num_text: 1,
                num_kept_tokens: 1,
            },
            kept_tokens: self.kept.as_view(),
            positions: self.positions.as_view_mut(),
            error: &mut self.error,
        };
        Ok(cuda::gather_positions(&gpu.stream, call)?)
    }
}
