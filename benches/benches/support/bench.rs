//! The kernels on one workload, with rotating inputs.

use cudarc::driver::CudaSlice;
use cudarc::driver::CudaView;
use fp_benches::Workload;
use fp_kernels::Normalization;
#[cfg(feature = "peers")]
use fp_kernels::cuda::SegmentedSort;
use fp_kernels::cuda::{
    self, CompareHeads, ErrorWord, Fused, FusedPath, HeadScore, HeadStatistics, ScoreShape, Select,
    SelectionOutputs, Strategies, Strategy,
};
use fp_scoring::cuda::score_batch;
use fp_scoring::{HeadStrategy, SelectOptions};

use super::attention::Attended;
use super::gather::Gathered;
use super::{Gpu, Outcome};

/// A kernel to time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    AttentionRows,
    HeadScore,
    CompareHeads,
    Select,
    /// By the path that the kernel chooses itself.
    Fused,
    /// By a fixed path: one launch of clusters, or two launches.
    FusedCluster,
    FusedTwo,
    GatherTokens,
    /// CUB's sort of the same rows, the basis for an alternative computation of all order
    /// statistics.
    #[cfg(feature = "peers")]
    SegmentedSort,
}

impl Kernel {
    /// How the two steps are launched, for the fused kernels.
    fn path(self) -> FusedPath {
        match self {
            Kernel::FusedCluster => FusedPath::Cluster,
            Kernel::FusedTwo => FusedPath::Two,
            _ => FusedPath::Auto,
        }
    }

    /// Whether a device or a size may not support it, which is no error then.
    pub(crate) fn is_optional(self) -> bool {
        self == Kernel::FusedCluster
    }

    pub(crate) const ALL: &[Kernel] = &[
        Kernel::AttentionRows,
        Kernel::HeadScore,
        Kernel::CompareHeads,
        Kernel::Select,
        Kernel::Fused,
        Kernel::FusedCluster,
        Kernel::FusedTwo,
        Kernel::GatherTokens,
        #[cfg(feature = "peers")]
        Kernel::SegmentedSort,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kernel::AttentionRows => "attention_rows",
            Kernel::HeadScore => "head_score",
            Kernel::CompareHeads => "compare_heads",
            Kernel::Select => "select",
            Kernel::Fused => "fused",
            Kernel::FusedCluster => "fused by cluster",
            Kernel::FusedTwo => "fused in two",
            Kernel::GatherTokens => "gather_tokens",
            #[cfg(feature = "peers")]
            Kernel::SegmentedSort => "segmented_sort",
        }
    }
}

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
const COMPARISONS: [Strategy; 3] = [
    Strategy::MultiObjective,
    Strategy::GraphBased,
    Strategy::Hierarchical,
];

/// Rotating inputs of one workload, and the outputs of all kernels.
pub(crate) struct Bench {
    shape: ScoreShape,
    num_selected_heads: usize,
    num_kept_tokens: usize,
    strategies: Strategies,
    comparisons: Strategies,
    inputs: Vec<CudaSlice<f32>>,
    scores: CudaSlice<f64>,
    statistics: CudaSlice<HeadStatistics>,
    kept_tokens: CudaSlice<u32>,
    comparison_scores: CudaSlice<f64>,
    comparison_workspace: CudaSlice<u8>,
    attended: Attended,
    gathered: Gathered,
    #[cfg(feature = "peers")]
    sort: (SegmentedSort, CudaSlice<f32>),
    error: ErrorWord,
}

impl Bench {
    pub(crate) fn new(gpu: &Gpu, workload: &Workload) -> Outcome<Bench> {
        let stream = &gpu.stream;
        let shape = ScoreShape {
            batch_size: workload.batch_size,
            num_heads: workload.num_heads,
            num_image_tokens: workload.num_image_tokens,
        };
        let attention = workload.attention();
        let copies = gpu.copies(attention.len() * size_of::<f32>())?;
        let inputs = (0..copies)
            .map(|_| stream.clone_htod(&attention))
            .collect::<Result<_, _>>()?;
        let strategies = Strategies::new(&STUDY)?;
        let comparisons = Strategies::new(&COMPARISONS)?;
        let (rows, slots) = (
            shape.batch_size * shape.num_heads,
            shape.batch_size * strategies.count(),
        );
        let mut bench = Bench {
            scores: stream.alloc_zeros(slots * shape.num_heads)?,
            statistics: stream.alloc_zeros(rows)?,
            kept_tokens: stream.alloc_zeros(slots * workload.kept)?,
            comparison_scores: stream.alloc_zeros(rows * comparisons.count())?,
            comparison_workspace: stream.alloc_zeros(cuda::compare_heads_workspace(&shape)?)?,
            attended: Attended::new(gpu, &shape)?,
            gathered: Gathered::new(gpu, &shape, workload.kept)?,
            #[cfg(feature = "peers")]
            sort: (
                SegmentedSort::new(stream, rows, shape.num_image_tokens)?,
                stream.alloc_zeros(rows * shape.num_image_tokens)?,
            ),
            error: ErrorWord::new(stream)?,
            num_selected_heads: workload.num_selected_heads,
            num_kept_tokens: workload.kept,
            shape,
            strategies,
            comparisons,
            inputs,
        };
        // The gather needs kept tokens, and selecting needs scores.
        bench.launch(gpu, Kernel::Fused, 0)?;
        bench.check(gpu)?;
        Ok(bench)
    }

    /// Scores and selects as a program does, from attention on the device to selections on the
    /// host: allocation, launches, the copy and the wait.
    pub(crate) fn score_and_read(&self, gpu: &Gpu, options: &SelectOptions, index: u64) -> Outcome {
        let attention = self.inputs[index as usize % self.inputs.len()].as_view();
        let chosen = score_batch(
            &gpu.stream,
            &attention,
            self.shape,
            HeadStrategy::STUDY,
            options,
        )?;
        std::hint::black_box(chosen.read()?);
        Ok(())
    }

    pub(crate) fn num_inputs(&self) -> usize {
        self.inputs.len()
    }

    /// Waits, and returns the error that a kernel reported, if any.
    pub(crate) fn check(&self, gpu: &Gpu) -> Outcome {
        Ok(self.error.check(&gpu.stream, "the benchmark")?)
    }

    pub(crate) fn launch(&mut self, gpu: &Gpu, kernel: Kernel, index: u64) -> Outcome {
        let stream = &gpu.stream;
        let attention = self.inputs[index as usize % self.inputs.len()].as_view();
        let selection = SelectionOutputs {
            num_selected_heads: self.num_selected_heads,
            num_kept_tokens: self.num_kept_tokens,
            selected_heads: None,
            token_importance: None,
            kept_tokens: self.kept_tokens.as_view_mut(),
            audits: None,
        };
        match kernel {
            Kernel::AttentionRows => self.attended.launch(stream, index, &mut self.error)?,
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
            Kernel::CompareHeads => self.compare_heads(gpu, index)?,
            Kernel::Select => cuda::select(
                stream,
                Select {
                    shape: self.shape,
                    attention,
                    scores: self.scores.as_view(),
                    num_strategies: self.strategies.count(),
                    statistics: Some(self.statistics.as_view()),
                    selection,
                    error: &mut self.error,
                },
            )?,
            Kernel::Fused | Kernel::FusedCluster | Kernel::FusedTwo => cuda::fused(
                stream,
                Fused {
                    shape: self.shape,
                    attention,
                    normalization: Normalization::L1,
                    strategies: &self.strategies,
                    allow_degenerate: false,
                    path: kernel.path(),
                    scores: self.scores.as_view_mut(),
                    statistics: Some(self.statistics.as_view_mut()),
                    selection,
                    error: &mut self.error,
                },
            )?,
            Kernel::GatherTokens => {
                let kept: CudaView<'_, u32> = self.kept_tokens.as_view();
                self.gathered
                    .launch(stream, index, &kept, &mut self.error)?;
            }
            #[cfg(feature = "peers")]
            Kernel::SegmentedSort => {
                let (sort, sorted) = &mut self.sort;
                sort.launch(stream, &attention, &mut sorted.as_view_mut())?;
            }
        }
        Ok(())
    }

    fn compare_heads(&mut self, gpu: &Gpu, index: u64) -> Outcome {
        let call = CompareHeads {
            shape: self.shape,
            attention: self.inputs[index as usize % self.inputs.len()].as_view(),
            normalization: Normalization::L1,
            num_selected_heads: self.num_selected_heads,
            strategies: &self.comparisons,
            scores: self.comparison_scores.as_view_mut(),
            coarse_cuts: None,
            workspace: self.comparison_workspace.as_view_mut(),
            error: &mut self.error,
        };
        Ok(cuda::compare_heads(&gpu.stream, call)?)
    }
}
