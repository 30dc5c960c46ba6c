//! What decided a selection, and how clear the decision was.

use fp_kernels::cpu::Cut;

use crate::QueryStrategy;

/// If the gap is below this fraction of the range of scores, a cut is a near-tie: rounding may
/// decide it.
pub const NEAR_TIE_GAP: f64 = 1e-6;

/// The boundary between kept and dropped items of a ranking.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CutAudit {
    /// Smallest score kept.
    pub last_kept: f64,
    /// Largest score dropped.
    pub first_dropped: f64,
    /// Difference of the two as a fraction of the range of all scores; 0 if all are equal, 1 if
    /// only heads without mass were dropped.
    pub gap: f64,
    /// Whether the gap is 0, so that the lower index decided.
    pub is_tie: bool,
    /// Whether the gap is below [`NEAR_TIE_GAP`].
    pub is_near_tie: bool,
    /// Number of scores equal to the last one kept, kept or not.
    pub num_tied: usize,
    /// How many of those were kept.
    pub num_tied_kept: usize,
}

impl CutAudit {
    /// Compares a cut with the range of all `scores`; −∞ marks heads without mass and is excluded
    /// from the range.
    pub(crate) fn new(cut: Cut, scores: &[f64]) -> Self {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        for &score in scores {
            if score.is_finite() {
                min = min.min(score);
                max = max.max(score);
            }
        }
        let gap = if cut.last_kept == cut.first_dropped {
            0.0
        } else if cut.first_dropped.is_finite() {
            (cut.last_kept - cut.first_dropped) / (max - min)
        } else {
            1.0
        };
        CutAudit {
            last_kept: cut.last_kept,
            first_dropped: cut.first_dropped,
            gap,
            is_tie: gap == 0.0,
            is_near_tie: gap < NEAR_TIE_GAP,
            num_tied: cut.num_tied,
            num_tied_kept: cut.num_tied_kept,
        }
    }
}

/// The rows that a query strategy read.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct QueryAudit {
    /// The configured strategy.
    pub strategy: QueryStrategy,
    /// The rule that was applied to this sample: the branch that `adaptive_by_length` took; for
    /// other strategies their own rule, or their fallback for sequences without text.
    pub branch: String,
    /// Positions in the sequence of the rows read, ascending.
    pub rows: Vec<usize>,
    /// Their weights, with sum 1.
    pub weights: Vec<f64>,
}

/// What decided one selection.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SelectionAudit {
    /// The cut of the heads; `None` if every head was selected.
    pub head_cut: Option<CutAudit>,
    /// `hierarchical` only: the cut of its first stage, which selects candidates.
    pub coarse_head_cut: Option<CutAudit>,
    /// The cut of the tokens; `None` if every token was kept.
    pub token_cut: Option<CutAudit>,
    /// Whether every head has the same score, so that the index order selected the heads.
    pub is_head_score_constant: bool,
    /// Heads without any attention to the image.
    pub zero_mass_heads: Vec<usize>,
    /// Heads whose score is NaN, through overflow; they rank last.
    pub nan_heads: Vec<usize>,
    /// [`crate::KeptTokens::hash64`] as 16 hexadecimal digits.
    pub kept_tokens_hash: String,
    /// The rows that attention was read from; `None` for attention given as one row per head.
    pub query: Option<QueryAudit>,
}
