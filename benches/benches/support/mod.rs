//! Buffers of the GPU's benchmarks, and its clock.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE;
use cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT;
use cudarc::driver::{CudaSlice, CudaStream};
use fp_benches::Workload;
use fp_kernels::Normalization;
use fp_kernels::cuda::{
    self, ErrorWord, Fused, FusedPath, GatherPositions, GatherTokens, HeadScore, HeadStatistics,
    ScoreShape, Select, Sequence, Strategies, Strategy,
};

pub type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Hidden size of the rows that are gathered, in 2-byte values.
const HIDDEN: usize = 4096;
/// Tokens before and after the image.
const SYSTEM: usize = 35;
const TEXT: usize = 27;
/// No more than this is gathered from, in bytes.
const MAX_GATHERED: usize = 8 << 30;

const STUDY: [Strategy; 9] = [
    Strategy::Sum,
    Strategy::Variance,
    Strategy::Entropy,
    Strategy::MaxAttention,
    Strategy::AttentionRange,
    Strategy::Sparsity,
    Strategy::TopKSum,
    Strategy::WeightedQuality,
    Strategy::GiniCoefficient,
];

/// The first GPU.
pub struct Gpu {
    pub stream: Arc<CudaStream>,
}

impl Gpu {
    /// None where there is no driver.
    pub fn open() -> Outcome<Option<Gpu>> {
        if !cuda::is_driver_present() {
            return Ok(None);
        }
        let stream = cuda::only_stream(0)?;
        Ok(Some(Gpu { stream }))
    }

    /// Device time of `iterations` calls of `work`, by events around them.
    pub fn timed(&self, iterations: u64, mut work: impl FnMut(u64) -> Outcome) -> Duration {
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
        // Criterion's closure can't fail; a GPU that does ends the benchmark.
        match run() {
            Ok(taken) => taken,
            Err(error) => panic!("the GPU failed: {error}"),
        }
    }
}

/// What is timed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    HeadScore,
    Select,
    Fused,
    GatherTokens,
}

impl Kernel {
    pub const ALL: [Kernel; 4] = [
        Kernel::HeadScore,
        Kernel::Select,
        Kernel::Fused,
        Kernel::GatherTokens,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Kernel::HeadScore => "head_score",
            Kernel::Select => "select",
            Kernel::Fused => "fused",
            Kernel::GatherTokens => "gather_tokens",
        }
    }
}

/// Inputs of one workload in rotation, and the outputs of every kernel.
pub struct Bench {
    shape: ScoreShape,
    sequence: Sequence,
    num_selected_heads: usize,
    strategies: Strategies,
    inputs: Vec<CudaSlice<f32>>,
    scores: CudaSlice<f64>,
    statistics: CudaSlice<HeadStatistics>,
    kept_tokens: CudaSlice<u32>,
    hidden: CudaSlice<half::bf16>,
    gathered: CudaSlice<half::bf16>,
    /// Samples whose hidden states fit, and how often `hidden` holds as many.
    num_gathered: usize,
    num_rounds: usize,
    error: ErrorWord,
}

impl Bench {
    pub fn new(gpu: &Gpu, workload: &Workload) -> Outcome<Bench> {
        let stream = &gpu.stream;
        let shape = ScoreShape {
            batch_size: workload.batch_size,
            num_heads: workload.num_heads,
            num_image_tokens: workload.num_image_tokens,
        };
        let attention = workload.attention();
        let cache = stream
            .context()
            .attribute(CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?;
        let cache = usize::try_from(cache)?.max(1 << 20);
        let copies = (2 * cache).div_ceil(attention.len() * size_of::<f32>()) + 1;
        let inputs = (0..copies)
            .map(|_| stream.clone_htod(&attention))
            .collect::<Result<_, _>>()?;
        let strategies = Strategies::new(&STUDY)?;
        let sequence = Sequence {
            num_system: SYSTEM,
            num_image_tokens: shape.num_image_tokens,
            num_text: TEXT,
            num_kept_tokens: workload.kept,
        };
        let (b, slots) = (shape.batch_size, strategies.count());
        let bytes_of_sample = sequence.len() * HIDDEN * 2;
        let num_gathered = b.min(MAX_GATHERED / bytes_of_sample).max(1);
        let num_rounds = 2 * cache / (num_gathered * bytes_of_sample) + 1;
        let mut bench = Bench {
            scores: stream.alloc_zeros(b * slots * shape.num_heads)?,
            statistics: stream.alloc_zeros(b * shape.num_heads)?,
            kept_tokens: stream.alloc_zeros(b * slots * workload.kept)?,
            hidden: stream.alloc_zeros(num_rounds * num_gathered * sequence.len() * HIDDEN)?,
            gathered: stream.alloc_zeros(num_gathered * sequence.num_rows() * HIDDEN)?,
            error: ErrorWord::new(stream)?,
            num_selected_heads: workload.num_selected_heads,
            shape,
            sequence,
            strategies,
            inputs,
            num_gathered,
            num_rounds,
        };
        // The gather needs tokens that were kept, select needs scores.
        bench.launch(gpu, Kernel::Fused, 0)?;
        bench.check(gpu)?;
        Ok(bench)
    }

    pub fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Waits, and tells what a kernel found wrong.
    pub fn check(&self, gpu: &Gpu) -> Outcome {
        Ok(self.error.check(&gpu.stream, "the benchmark")?)
    }

    pub fn launch(&mut self, gpu: &Gpu, kernel: Kernel, index: u64) -> Outcome {
        let stream = &gpu.stream;
        let attention = self.inputs[index as usize % self.inputs.len()].as_view();
        let (h, r) = (self.num_selected_heads, self.sequence.num_kept_tokens);
        match kernel {
            Kernel::HeadScore => cuda::head_score(
                stream,
                HeadScore {
                    shape: self.shape,
                    attention,
                    normalization: Normalization::L1,
                    strategies: &self.strategies,
                    scores: self.scores.as_view_mut(),
                    statistics: Some(self.statistics.as_view_mut()),
                    error: &mut self.error,
                },
            )?,
            Kernel::Select => cuda::select(
                stream,
                Select {
                    shape: self.shape,
                    attention,
                    scores: self.scores.as_view(),
                    num_strategies: self.strategies.count(),
                    statistics: Some(self.statistics.as_view()),
                    num_selected_heads: h,
                    num_kept_tokens: r,
                    selected_heads: None,
                    token_importance: None,
                    kept_tokens: self.kept_tokens.as_view_mut(),
                    audits: None,
                    error: &mut self.error,
                },
            )?,
            Kernel::Fused => cuda::fused(
                stream,
                Fused {
                    shape: self.shape,
                    attention,
                    normalization: Normalization::L1,
                    strategies: &self.strategies,
                    num_selected_heads: h,
                    num_kept_tokens: r,
                    allow_degenerate: false,
                    path: FusedPath::Auto,
                    scores: self.scores.as_view_mut(),
                    statistics: Some(self.statistics.as_view_mut()),
                    selected_heads: None,
                    token_importance: None,
                    kept_tokens: self.kept_tokens.as_view_mut(),
                    audits: None,
                    error: &mut self.error,
                },
            )?,
            Kernel::GatherTokens => {
                let stride = self.sequence.len() * HIDDEN;
                let round = index as usize % self.num_rounds;
                let len = self.num_gathered * stride;
                cuda::gather_tokens(
                    stream,
                    GatherTokens {
                        batch_size: self.num_gathered,
                        outer: 1,
                        width: HIDDEN,
                        sequence: self.sequence,
                        source: self.hidden.slice(round * len..(round + 1) * len),
                        batch_stride: stride,
                        outer_stride: stride,
                        // The first of what was chosen: ascending, one run per sample.
                        kept_tokens: self.kept_tokens.slice(..self.num_gathered * r),
                        target: self.gathered.as_view_mut(),
                        error: &mut self.error,
                    },
                )?;
            }
        }
        Ok(())
    }
}

/// A launch that writes three positions.
pub struct Smallest {
    kept: CudaSlice<u32>,
    positions: CudaSlice<u32>,
    error: ErrorWord,
}

impl Smallest {
    pub fn new(gpu: &Gpu) -> Outcome<Smallest> {
        Ok(Smallest {
            kept: gpu.stream.alloc_zeros(1)?,
            positions: gpu.stream.alloc_zeros(3)?,
            error: ErrorWord::new(&gpu.stream)?,
        })
    }

    pub fn launch(&mut self, gpu: &Gpu) -> Outcome {
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
