//! Scoring on a GPU: attention stays there, and so does what is made of it.
//!
//! [`image_attention`] and [`score_batch`] enqueue and return; [`DeviceSelections::read`]
//! waits and brings selections with their audits to the host, the only thing that does.

mod read;
mod rows;

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView, DeviceRepr, ValidAsZeroBits};
use fp_kernels::cuda::{
    self, CompareHeads, CudaError, Cut, DataError, DeviceElement, ErrorWord, Fused, FusedPath,
    HeadScore, HeadStatistics, ScoreShape, Select, SelectionAudit, SelectionOutputs, Strategies,
    Strategy,
};

use crate::{BudgetError, HeadStrategy, ScoringError, SelectOptions, SharedError};
pub use rows::{DeviceAttention, DeviceRows, image_attention};

/// What head strategies chose for each sample of a batch, on the device.
#[derive(Debug)]
pub struct DeviceSelections {
    stream: Arc<CudaStream>,
    shape: ScoreShape,
    options: SelectOptions,
    num_selected_heads: usize,
    /// One per slot, each once.
    slots: Vec<HeadStrategy>,
    /// Slot of each strategy that was asked for.
    slot_of: Vec<usize>,
    scores: CudaSlice<f64>,
    statistics: CudaSlice<HeadStatistics>,
    selected: Selected,
    coarse_cuts: Option<CudaSlice<Cut>>,
    error: ErrorWord,
}

/// What is selected of each sample by each slot.
#[derive(Debug)]
struct Selected {
    heads: CudaSlice<u32>,
    importance: CudaSlice<f64>,
    tokens: CudaSlice<u32>,
    audits: CudaSlice<SelectionAudit>,
}

impl Selected {
    /// All of it as what a kernel writes, h heads and R tokens.
    fn outputs(&mut self, num_selected_heads: usize, kept: usize) -> SelectionOutputs<'_> {
        SelectionOutputs {
            num_selected_heads,
            num_kept_tokens: kept,
            selected_heads: Some(self.heads.as_view_mut()),
            token_importance: Some(self.importance.as_view_mut()),
            kept_tokens: self.tokens.as_view_mut(),
            audits: Some(self.audits.as_view_mut()),
        }
    }
}

impl DeviceSelections {
    /// `[B, slots, R]`, ascending; [`Self::slot`] tells a strategy's slot.
    pub fn kept_tokens(&self) -> &CudaSlice<u32> {
        &self.selected.tokens
    }

    /// Slot of the strategy that stood at `index` of those asked for.
    pub fn slot(&self, index: usize) -> Option<usize> {
        self.slot_of.get(index).copied()
    }
}

/// As [`crate::score_batch`], of attention `[B, H, N]` on a GPU. Enqueues and returns:
/// values that no softmax gives come to light when the selections are read.
///
/// # Errors
/// An impossible h or R, too few heads for a strategy, sizes above the kernels', or a GPU
/// that fails.
pub fn score_batch<T: DeviceElement>(
    stream: &Arc<CudaStream>,
    attention: &CudaView<'_, T>,
    shape: ScoreShape,
    strategies: &[HeadStrategy],
    options: &SelectOptions,
) -> Result<DeviceSelections, ScoringError> {
    let num_selected_heads = options.num_selected_heads.resolve(shape.num_heads)?;
    if options.kept == 0 || options.kept > shape.num_image_tokens {
        return Err(ScoringError::Budget(BudgetError::Kept {
            budget: format!("kept = {}", options.kept),
            kept: options.kept as f64,
            num_image_tokens: shape.num_image_tokens,
        }));
    }
    let mut slots: Vec<HeadStrategy> = Vec::new();
    let mut slot_of = Vec::with_capacity(strategies.len());
    for &strategy in strategies {
        if strategy == HeadStrategy::MultiObjective && shape.num_heads < 2 {
            return Err(ScoringError::TooFewHeads {
                strategy: strategy.name(),
                needed: 2,
                got: shape.num_heads,
            });
        }
        let slot = slots.iter().position(|&known| known == strategy);
        slot_of.push(slot.unwrap_or(slots.len()));
        if slot.is_none() {
            slots.push(strategy);
        }
    }
    let raw: Vec<Strategy> = slots.iter().map(|&strategy| on_device(strategy)).collect();
    let raw = Strategies::new(&raw)?;
    let ScoreShape {
        batch_size: b,
        num_heads,
        num_image_tokens,
    } = shape;
    let count = slots.len();
    let mut selections = DeviceSelections {
        stream: Arc::clone(stream),
        shape,
        options: *options,
        num_selected_heads,
        slots,
        slot_of,
        scores: allocate(stream, b * count * num_heads)?,
        statistics: allocate(stream, b * num_heads)?,
        selected: Selected {
            heads: allocate(stream, b * count * num_selected_heads)?,
            importance: allocate(stream, b * count * num_image_tokens)?,
            tokens: allocate(stream, b * count * options.kept)?,
            audits: allocate(stream, b * count)?,
        },
        coarse_cuts: None,
        error: ErrorWord::new(stream)?,
    };
    if raw.compare_heads() {
        selections.in_three_steps(attention, &raw)?;
    } else {
        selections.in_one_step(attention, &raw)?;
    }
    Ok(selections)
}

impl DeviceSelections {
    fn in_one_step<T: DeviceElement>(
        &mut self,
        attention: &CudaView<'_, T>,
        strategies: &Strategies,
    ) -> Result<(), ScoringError> {
        cuda::fused(
            &self.stream,
            Fused {
                shape: self.shape,
                attention: attention.slice(..),
                normalization: self.options.normalization.into(),
                strategies,
                allow_degenerate: self.options.allow_degenerate,
                path: FusedPath::Auto,
                scores: self.scores.as_view_mut(),
                statistics: Some(self.statistics.as_view_mut()),
                selection: self
                    .selected
                    .outputs(self.num_selected_heads, self.options.kept),
                error: &mut self.error,
            },
        )?;
        Ok(())
    }

    /// Strategies that compare heads need all of them before the first score is known.
    fn in_three_steps<T: DeviceElement>(
        &mut self,
        attention: &CudaView<'_, T>,
        strategies: &Strategies,
    ) -> Result<(), ScoringError> {
        let normalization = self.options.normalization.into();
        cuda::head_score(
            &self.stream,
            HeadScore {
                shape: self.shape,
                attention: attention.slice(..),
                normalization,
                strategies,
                scores: self.scores.as_view_mut(),
                statistics: Some(self.statistics.as_view_mut()),
                error: &mut self.error,
            },
        )?;
        let bytes = cuda::compare_heads_workspace(&self.shape)?;
        let mut workspace: CudaSlice<u8> = allocate(&self.stream, bytes)?;
        let mut coarse_cuts = allocate(&self.stream, self.shape.batch_size)?;
        cuda::compare_heads(
            &self.stream,
            CompareHeads {
                shape: self.shape,
                attention: attention.slice(..),
                normalization,
                num_selected_heads: self.num_selected_heads,
                strategies,
                scores: self.scores.as_view_mut(),
                coarse_cuts: Some(coarse_cuts.as_view_mut()),
                workspace: workspace.as_view_mut(),
                error: &mut self.error,
            },
        )?;
        self.coarse_cuts = Some(coarse_cuts);
        let statistics = (!self.options.allow_degenerate).then(|| self.statistics.as_view());
        cuda::select(
            &self.stream,
            Select {
                shape: self.shape,
                attention: attention.slice(..),
                scores: self.scores.as_view(),
                num_strategies: strategies.count(),
                statistics,
                selection: self
                    .selected
                    .outputs(self.num_selected_heads, self.options.kept),
                error: &mut self.error,
            },
        )?;
        Ok(())
    }
}

/// The kernels' name of a strategy.
fn on_device(strategy: HeadStrategy) -> Strategy {
    match strategy {
        HeadStrategy::Sum => Strategy::Sum,
        HeadStrategy::Variance => Strategy::Variance,
        HeadStrategy::Entropy => Strategy::Entropy,
        HeadStrategy::MaxAttention => Strategy::MaxAttention,
        HeadStrategy::AttentionRange => Strategy::AttentionRange,
        HeadStrategy::Sparsity => Strategy::Sparsity,
        HeadStrategy::TopKSum => Strategy::TopKSum,
        HeadStrategy::WeightedQuality => Strategy::WeightedQuality,
        HeadStrategy::GiniCoefficient => Strategy::GiniCoefficient,
        HeadStrategy::MultiObjective => Strategy::MultiObjective,
        HeadStrategy::GraphBased => Strategy::GraphBased,
        HeadStrategy::Hierarchical => Strategy::Hierarchical,
    }
}

fn allocate<T: DeviceRepr + ValidAsZeroBits>(
    stream: &Arc<CudaStream>,
    len: usize,
) -> Result<CudaSlice<T>, ScoringError> {
    let failed = |source| CudaError::Driver {
        op: "allocation",
        source,
    };
    Ok(stream.alloc_zeros(len.max(1)).map_err(failed)?)
}

impl From<CudaError> for ScoringError {
    fn from(error: CudaError) -> Self {
        match error {
            CudaError::Argument(error) => error.into(),
            CudaError::Data {
                source: DataError::NoAttention { row },
                ..
            } => ScoringError::Sample {
                sample: row,
                source: Box::new(ScoringError::NoAttention { rows: Vec::new() }),
            },
            other => ScoringError::Gpu {
                source: SharedError::new(other),
            },
        }
    }
}
