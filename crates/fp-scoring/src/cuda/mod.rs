//! Scoring on a GPU: attention and all results stay on the device.
//!
//! [`image_attention`] and [`score_batch`] enqueue and return. Only [`DeviceSelections::read`]
//! waits; it copies selections with their audits to the host.

mod parts;
mod read;
mod rows;

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView, DeviceRepr, ValidAsZeroBits};
use fp_kernels::cuda::{
    self, CompareHeads, CudaError, DataError, DeviceElement, ErrorWord, Fused, FusedPath,
    HeadScore, Packed, ScoreShape, Select, Strategies, Strategy,
};

use crate::{BudgetError, HeadStrategy, ScoringError, SelectOptions, SharedError};
use parts::{Asked, Outputs, Parts};
pub use read::Outcome;
pub use rows::{DeviceAttention, DeviceRows, image_attention};

/// The selections of head strategies for each sample of a batch, on the device.
#[derive(Debug)]
pub struct DeviceSelections {
    stream: Arc<CudaStream>,
    shape: ScoreShape,
    options: SelectOptions,
    num_selected_heads: usize,
    /// One strategy per slot, without duplicates.
    slots: Vec<HeadStrategy>,
    /// Slot of each requested strategy.
    slot_of: Vec<usize>,
    parts: Parts,
    packed: Packed,
}

impl DeviceSelections {
    /// `[B, slots, R]`, ascending; [`Self::slot`] gives the slot of a strategy.
    pub fn kept_tokens(&self) -> CudaView<'_, u32> {
        self.packed.view(self.parts.tokens)
    }

    /// Slot of the requested strategy at `index`.
    pub fn slot(&self, index: usize) -> Option<usize> {
        self.slot_of.get(index).copied()
    }
}

/// As [`crate::score_batch`], for attention `[B, H, N]` on a GPU. Enqueues and returns: values
/// that no softmax produces are reported when the selections are read.
///
/// # Errors
/// An impossible h or R, too few heads for a strategy, sizes above the kernels' limits, or a GPU
/// error.
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
    let count = slots.len();
    let asked = Asked {
        shape,
        count,
        num_selected_heads,
        kept: options.kept,
    };
    let (parts, layout) = Parts::new(&asked, &raw, slots.contains(&HeadStrategy::Hierarchical))?;
    let mut selections = DeviceSelections {
        stream: Arc::clone(stream),
        shape,
        options: *options,
        num_selected_heads,
        slots,
        slot_of,
        parts,
        packed: Packed::new(stream, &layout)?,
    };
    if raw.compare_heads() {
        selections.in_three_steps(attention, &raw)?;
    } else {
        selections.in_one_step(attention, &raw)?;
    }
    Ok(selections)
}

impl DeviceSelections {
    fn outputs(&mut self) -> (Outputs<'_>, &mut ErrorWord) {
        let (packed, error) = self.packed.split();
        let outputs = self
            .parts
            .outputs(packed, self.num_selected_heads, self.options.kept);
        (outputs, error)
    }

    fn in_one_step<T: DeviceElement>(
        &mut self,
        attention: &CudaView<'_, T>,
        strategies: &Strategies,
    ) -> Result<(), ScoringError> {
        let (stream, shape, options) = (Arc::clone(&self.stream), self.shape, self.options);
        let (out, error) = self.outputs();
        cuda::fused(
            &stream,
            Fused {
                shape,
                attention: attention.slice(..),
                normalization: options.normalization.into(),
                strategies,
                allow_degenerate: options.allow_degenerate,
                path: FusedPath::Auto,
                scores: out.scores,
                statistics: Some(out.statistics),
                selection: out.selection,
                error,
            },
        )?;
        Ok(())
    }

    /// Scores, compares and selects in separate launches: strategies that compare heads need all
    /// heads before the first score is known.
    fn in_three_steps<T: DeviceElement>(
        &mut self,
        attention: &CudaView<'_, T>,
        strategies: &Strategies,
    ) -> Result<(), ScoringError> {
        let (stream, shape, options) = (Arc::clone(&self.stream), self.shape, self.options);
        let num_selected_heads = self.num_selected_heads;
        let normalization = options.normalization.into();
        let (mut out, error) = self.outputs();
        cuda::head_score(
            &stream,
            HeadScore {
                shape,
                attention: attention.slice(..),
                normalization,
                strategies,
                scores: out.scores.slice_mut(..),
                statistics: Some(out.statistics.slice_mut(..)),
                error,
            },
        )?;
        if let Some(workspace) = out.workspace {
            cuda::compare_heads(
                &stream,
                CompareHeads {
                    shape,
                    attention: attention.slice(..),
                    normalization,
                    num_selected_heads,
                    strategies,
                    scores: out.scores.slice_mut(..),
                    coarse_cuts: out.coarse_cuts,
                    workspace,
                    error,
                },
            )?;
        }
        cuda::select(
            &stream,
            Select {
                shape,
                attention: attention.slice(..),
                scores: out.scores.slice(..),
                num_strategies: strategies.count(),
                statistics: (!options.allow_degenerate).then(|| out.statistics.slice(..)),
                selection: out.selection,
                error,
            },
        )?;
        Ok(())
    }
}

/// The kernels' identifier of a strategy.
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
