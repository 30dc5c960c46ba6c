//! The record of a sample: everything that tables, tests and figures need.

use std::collections::BTreeMap;

use fp_image::TokenGrid;
use fp_model::FinishReason;
use fp_scoring::{CutAudit, ImageInput, PositionRule, QueryStrategy, Selection, Site, TokenLayout};
use serde::{Deserialize, Serialize};

use super::failure::FailureKind;

/// One sample under every cell of a study.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRecord {
    /// Index over all datasets of the run, in their order.
    pub index: usize,
    /// Index of its dataset in the run.
    pub dataset: usize,
    /// Id in its dataset.
    pub id: String,
    /// Id of the image, which its samples share: the cluster of every statistic.
    pub image_id: String,
    /// The image's file, relative to the dataset's folder; empty for a text-only question.
    pub image: String,
    /// Whether the question is asked without an image; nothing can be pruned then, and one run
    /// answers every cell.
    #[serde(default, skip_serializing_if = "is_false")]
    pub text_only: bool,
    /// Width and height in pixels; `None` if the image couldn't be read.
    pub image_size: Option<[usize; 2]>,
    /// Family of the question.
    pub family: String,
    /// Further categories.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// The user's whole text.
    pub question: String,
    /// Accepted answers.
    pub answers: Vec<String>,
    /// Boxes around what determines the answer, `[x0, y0, x1, y1]` in pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<[f64; 4]>,
    /// First 16 hexadecimal digits of the SHA-256 of the prompt's text.
    pub prompt_hash: String,
    /// Numbers of tokens before, of and after the image; `None` for a sample that failed or is
    /// text-only.
    pub layout: Option<TokenLayout>,
    /// The grids of the image's tokens, in order, unless they are one square: for models that take
    /// images in their own shape or as tiles. Empty in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grids: Vec<TokenGrid>,
    /// The rows read by each query strategy of the grid, in the grid's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<QueryRows>,
    /// The distinct attentions by which tokens were selected: means over the selected heads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attentions: Vec<AttentionRecord>,
    /// The distinct runs of the model: cells that keep the same tokens share one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
    /// One entry per cell of the grid, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<CellRecord>,
    /// The error, if the sample failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The kind of the error; `None` in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
}

/// The rows that a query strategy read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRows {
    /// The strategy.
    pub query_strategy: QueryStrategy,
    /// The strategy's rule that applied to this sample.
    pub branch: String,
    /// Positions of the rows in the sequence.
    pub rows: Vec<usize>,
    /// The weights of the rows, to four digits, unless they are equal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f64>,
    /// Heads without attention to the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zero_mass_heads: Vec<usize>,
}

/// Distribution over the image of the mean attention of some heads, normalised to sum 1. See
/// [`fp_data::metric::token_quality`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionRecord {
    /// Entropy, −Σ p ln p.
    pub entropy: f32,
    /// Gini coefficient.
    pub gini: f32,
    /// The largest p.
    pub max: f32,
    /// The smallest number of tokens that hold 90 % of the mass.
    pub nucleus: usize,
    /// Mass on the boxes; `None` without boxes, or if tokens are on no grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub box_mass: Option<f32>,
    /// Attention on the rectangle around the boxes, relative to the mean over all rectangles of its
    /// size; `None` if tokens are on several grids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub box_ratio: Option<f32>,
    /// Whether the most attended token is covered by a box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_pointing_hit: Option<bool>,
}

/// Diversity of the kept tokens, by the projector's output. See
/// [`fp_data::metric::token_quality::Diversity`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiversityRecord {
    /// Mean of 1 − cosine over pairs.
    pub mean_cosine_distance: f32,
    /// Minimum of 1 − cosine over pairs.
    pub min_cosine_distance: f32,
    /// Mean over kept tokens of the largest cosine with another one.
    pub redundancy: f32,
    /// Mean over all tokens of the largest cosine with a kept one.
    pub coverage: f32,
    /// Effective rank of the row-normalised features, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_rank: Option<f32>,
    /// Vendi score, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendi: Option<f32>,
    /// ln det(I + x̂x̂ᵀ), if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_det_plus_identity: Option<f32>,
}

/// The part of the image that a run of the model processed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisualInputRecord {
    /// Every token: no pruning.
    All,
    /// The tokens kept after layer K, ascending, at their original positions; empty for the control
    /// `drop_all`.
    Kept(Vec<usize>),
    /// What the stages of another method kept.
    Stages(VisualStagesRecord),
    /// No image from the beginning.
    NoImage,
}

/// What the stages of a method kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisualStagesRecord {
    /// The vision tower's input, unless it was the whole image.
    #[serde(default, skip_serializing_if = "ImageInput::is_whole")]
    pub input: ImageInput,
    /// The rule for positions of the kept tokens.
    pub positions: PositionRule,
    /// The stages in the order of their sites.
    pub stages: Vec<VisualStageRecord>,
}

/// What one stage kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisualStageRecord {
    /// The stage's site.
    pub site: Site,
    /// The kept tokens in order, by their indices in the image.
    pub kept: Vec<usize>,
    /// If tokens were merged: for each kept token, the tokens that were summed (by index among
    /// those that entered the stage) with their weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Vec<Vec<(usize, f64)>>>,
}

impl VisualInputRecord {
    /// Number of image tokens in the last layer, of N.
    pub fn num_last(&self, num_image_tokens: usize) -> usize {
        match self {
            VisualInputRecord::All => num_image_tokens,
            VisualInputRecord::Kept(kept) => kept.len(),
            VisualInputRecord::Stages(seen) => seen
                .stages
                .last()
                .map_or(num_image_tokens, |s| s.kept.len()),
            VisualInputRecord::NoImage => 0,
        }
    }

    /// The image tokens in the last layer, ascending, if some were dropped, none merged, and the
    /// kept ones stayed in order.
    pub fn last_tokens(&self) -> Option<&[usize]> {
        match self {
            VisualInputRecord::Kept(kept) => Some(kept),
            VisualInputRecord::Stages(seen) => {
                let is_merged = |stage: &VisualStageRecord| stage.merge.is_some();
                let is_whole = seen.input.is_whole();
                let last = seen.stages.last().filter(|_| is_whole)?;
                let is_set =
                    last.kept.is_sorted_by(|a, b| a < b) && !seen.stages.iter().any(is_merged);
                is_set.then_some(last.kept.as_slice())
            }
            VisualInputRecord::All | VisualInputRecord::NoImage => None,
        }
    }
}

/// One run of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// The part of the image that was processed.
    pub seen: VisualInputRecord,
    /// K of `seen`, if the study has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_layer: Option<usize>,
    /// [`fp_scoring::KeptTokens::hash64`] of the kept tokens, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_hash: Option<String>,
    /// The answer as text, with surrounding white space trimmed.
    pub text: String,
    /// The answer as tokens, without the stop token.
    pub token_ids: Vec<u32>,
    /// Why decoding ended.
    pub finish_reason: FinishReason,
    /// Smallest difference between the two largest logits while decoding.
    pub min_margin: Option<f32>,
    /// Score from 0 to 1, by the dataset's rule.
    pub score: f64,
    /// Diversity of the kept tokens; `None` for fewer than two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diversity: Option<DiversityRecord>,
}

/// Logit margins below this are near-ties: rounding may decide the token.
pub const NEAR_TIE_MARGIN: f32 = 1e-4;

impl RunRecord {
    /// Whether rounding may have decided a token.
    pub fn is_near_tie(&self) -> bool {
        self.min_margin
            .is_some_and(|margin| margin < NEAR_TIE_MARGIN)
    }
}

/// The cut in a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutRecord {
    /// Difference between the last kept and the first dropped score, as a share of the range of all
    /// scores; 0 is a tie, decided by index order.
    pub gap: f64,
    /// Number of scores equal to the last kept one, kept or dropped, itself included.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub num_tied: usize,
    /// How many of these were kept.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub num_tied_kept: usize,
}

impl CutRecord {
    /// Whether index order decided.
    pub fn is_tie(&self) -> bool {
        self.gap == 0.0
    }

    /// Whether rounding may have decided.
    pub fn is_near_tie(&self) -> bool {
        self.gap < fp_scoring::NEAR_TIE_GAP
    }
}

impl From<CutAudit> for CutRecord {
    fn from(audit: CutAudit) -> CutRecord {
        CutRecord {
            gap: audit.gap,
            num_tied: audit.num_tied,
            num_tied_kept: audit.num_tied_kept,
        }
    }
}

/// Results of one cell on one sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRecord {
    /// Index of the sample's run that answers it; `None` without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<usize>,
    /// Selected heads, ascending; only for strategies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<usize>,
    /// Index of the sample's attention by which tokens were selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<usize>,
    /// The cut in the selection of heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_cut: Option<CutRecord>,
    /// Only for `hierarchical`: the cut in its first selection, that of candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse_head_cut: Option<CutRecord>,
    /// The cut in the selection of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_cut: Option<CutRecord>,
    /// Whether every head had the same score.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_head_score_constant: bool,
    /// Heads whose score was NaN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nan_heads: Vec<usize>,
    /// Why the cell doesn't apply to this sample, which then doesn't count in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why the cell failed on this sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl CellRecord {
    /// The record of a cell that doesn't apply.
    pub(crate) fn skipped(reason: impl Into<String>) -> CellRecord {
        CellRecord {
            skipped: Some(reason.into()),
            ..CellRecord::default()
        }
    }

    /// The record of a cell that failed.
    pub(crate) fn failed(error: String) -> CellRecord {
        CellRecord {
            error: Some(error),
            ..CellRecord::default()
        }
    }

    /// The audit of a selection, before its run is known.
    pub(crate) fn of_selection(selection: &Selection) -> CellRecord {
        let audit = &selection.audit;
        CellRecord {
            heads: selection.selected_heads.clone(),
            head_cut: audit.head_cut.map(CutRecord::from),
            coarse_head_cut: audit.coarse_head_cut.map(CutRecord::from),
            token_cut: audit.token_cut.map(CutRecord::from),
            is_head_score_constant: audit.is_head_score_constant,
            nan_heads: audit.nan_heads.clone(),
            ..CellRecord::default()
        }
    }

    /// Whether rounding may have decided which heads or tokens were kept.
    pub fn is_near_tie(&self) -> bool {
        [self.head_cut, self.coarse_head_cut, self.token_cut]
            .iter()
            .flatten()
            .any(CutRecord::is_near_tie)
    }
}

impl SampleRecord {
    /// The run that answers a cell; `None` if the cell doesn't apply or failed.
    pub fn run_of(&self, cell: usize) -> Option<&RunRecord> {
        self.runs.get(self.cells.get(cell)?.run?)
    }

    /// Whether rounding may have decided a cell's selection or its answer.
    pub fn is_near_tie(&self, cell: usize) -> bool {
        self.cells.get(cell).is_some_and(CellRecord::is_near_tie)
            || self.run_of(cell).is_some_and(RunRecord::is_near_tie)
    }
}

fn one() -> usize {
    1
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

fn is_false(flag: &bool) -> bool {
    !flag
}
