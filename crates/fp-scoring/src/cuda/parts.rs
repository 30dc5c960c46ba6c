//! All outputs of scoring a batch, in one buffer.

use cudarc::driver::CudaViewMut;
use fp_kernels::cuda::{
    Cut, HeadStatistics, PackedLayout, PackedParts, Part, ScoreShape, SelectionAudit,
    SelectionOutputs, Strategies, compare_heads_workspace,
};

use crate::ScoringError;

/// Sizes that determine the layout.
pub(super) struct Asked {
    /// B, H and N.
    pub(super) shape: ScoreShape,
    /// Number of slots.
    pub(super) count: usize,
    /// h.
    pub(super) num_selected_heads: usize,
    /// R.
    pub(super) kept: usize,
}

/// Location of the arrays in the shared buffer, in this order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// `[B, slots, H]`.
    pub(super) scores: Part<f64>,
    /// `[B, H]`.
    pub(super) statistics: Part<HeadStatistics>,
    /// `[B, slots, h]`.
    pub(super) heads: Part<u32>,
    /// `[B, slots, N]`.
    pub(super) importance: Part<f64>,
    /// `[B, slots, R]`.
    pub(super) tokens: Part<u32>,
    /// `[B, slots]`.
    pub(super) audits: Part<SelectionAudit>,
    /// `[B]`, if `hierarchical` is among the strategies.
    pub(super) coarse_cuts: Option<Part<Cut>>,
    /// Scratch memory, if strategies compare heads.
    pub(super) workspace: Option<Part<u8>>,
}

/// The same arrays as writable views for the kernels.
pub(super) struct Outputs<'a> {
    pub(super) scores: CudaViewMut<'a, f64>,
    pub(super) statistics: CudaViewMut<'a, HeadStatistics>,
    pub(super) selection: SelectionOutputs<'a>,
    pub(super) coarse_cuts: Option<CudaViewMut<'a, Cut>>,
    pub(super) workspace: Option<CudaViewMut<'a, u8>>,
}

impl Parts {
    /// Plans all arrays; coarse cuts only if `has_coarse_cuts`.
    pub(super) fn new(
        asked: &Asked,
        strategies: &Strategies,
        has_coarse_cuts: bool,
    ) -> Result<(Parts, PackedLayout), ScoringError> {
        let b = asked.shape.batch_size;
        let slots = b * asked.count;
        let mut layout = PackedLayout::new();
        let parts = Parts {
            scores: layout.output(slots * asked.shape.num_heads),
            statistics: layout.output(b * asked.shape.num_heads),
            heads: layout.output(slots * asked.num_selected_heads),
            importance: layout.output(slots * asked.shape.num_image_tokens),
            tokens: layout.output(slots * asked.kept),
            audits: layout.output(slots),
            coarse_cuts: has_coarse_cuts.then(|| layout.output(b)),
            workspace: match strategies.compare_heads() {
                true => Some(layout.scratch(compare_heads_workspace(&asked.shape)?)),
                false => None,
            },
        };
        Ok((parts, layout))
    }

    /// Writable views of all arrays, for h heads and R tokens.
    pub(super) fn outputs<'a>(
        &self,
        mut packed: PackedParts<'a>,
        num_selected_heads: usize,
        kept: usize,
    ) -> Outputs<'a> {
        Outputs {
            scores: packed.take(self.scores),
            statistics: packed.take(self.statistics),
            selection: SelectionOutputs {
                num_selected_heads,
                num_kept_tokens: kept,
                selected_heads: Some(packed.take(self.heads)),
                token_importance: Some(packed.take(self.importance)),
                kept_tokens: packed.take(self.tokens),
                audits: Some(packed.take(self.audits)),
            },
            coarse_cuts: self.coarse_cuts.map(|part| packed.take(part)),
            workspace: self.workspace.map(|part| packed.take(part)),
        }
    }
}
