//! What decided a selection, and how sharply.

use fp_kernels::cpu::Cut;

use crate::QueryStrategy;

/// Below this share of the range of scores a cut is a near-tie: rounding may
/// decide it.
pub const NEAR_TIE_GAP: f64 = 1e-6;

/// Where a ranking was cut.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct CutAudit {
    /// Smallest score kept.
    pub last_kept: f64,
    /// Largest score dropped.
    pub first_dropped: f64,
    /// Their distance as a share of the range of all scores; 0 where all are
    /// equal, 1 where nothing but heads without mass was dropped.
    pub gap: f64,
    /// The gap is 0: the lower index decided.
    pub is_tie: bool,
    /// The gap is below [`NEAR_TIE_GAP`].
    pub is_near_tie: bool,
    /// Number of scores equal to the last one kept, kept or not.
    pub num_tied: usize,
    /// How many of those were kept.
    pub num_tied_kept: usize,
}

impl CutAudit {
    /// Judges a cut against the range of all `scores`; −∞ stands for heads
    /// without mass and is left out of the range.
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
    /// The strategy asked for.
    pub strategy: QueryStrategy,
    /// The rule that took its place for this sample: `adaptive_by_length` says
    /// its branch, the others themselves or their fall-back without text.
    pub branch: String,
    /// Positions in the sequence of the rows read, ascending.
    pub rows: Vec<usize>,
    /// Their weights; sum 1.
    pub weights: Vec<f64>,
}

/// What decided one selection.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SelectionAudit {
    /// The choice of heads; none where every head was selected.
    pub head_cut: Option<CutAudit>,
    /// `hierarchical` only: its first choice, of candidates.
    pub coarse_head_cut: Option<CutAudit>,
    /// The choice of tokens; none where every token was kept.
    pub token_cut: Option<CutAudit>,
    /// Every head has the same score, so that index order selected the heads.
    pub is_head_score_constant: bool,
    /// Heads without any attention to the image.
    pub zero_mass_heads: Vec<usize>,
    /// Heads whose score is not a number, through overflow; they rank last.
    pub nan_heads: Vec<usize>,
    /// [`crate::KeptTokens::hash64`] as 16 hexadecimal digits.
    pub kept_tokens_hash: String,
    /// Where the attention was read from; none for attention given per head.
    pub query: Option<QueryAudit>,
}
