//! What is stored of a sample: everything that tables, tests and pictures need.

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
    /// Position over all datasets of the run, in their order.
    pub index: usize,
    /// Which of the run's datasets it is from.
    pub dataset: usize,
    /// Id in its dataset.
    pub id: String,
    /// What samples on one image share: the cluster of every statistic.
    pub image_id: String,
    /// The image's file, relative to the dataset's folder; empty for a text-only question.
    pub image: String,
    /// The question is asked without an image: there is nothing to prune, so that one run
    /// answers every cell.
    #[serde(default, skip_serializing_if = "is_false")]
    pub text_only: bool,
    /// Width and height in pixels; none where the image couldn't be read.
    pub image_size: Option<[usize; 2]>,
    /// Kind of question.
    pub family: String,
    /// Further categories.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// The user's whole text.
    pub question: String,
    /// Answers that count.
    pub answers: Vec<String>,
    /// Boxes of what decides the answer, `[x0, y0, x1, y1]` in pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<[f64; 4]>,
    /// First 16 hexadecimal digits of the SHA-256 of the prompt's text.
    pub prompt_hash: String,
    /// Tokens before, of and after the image; none for a sample that failed or is text-only.
    pub layout: Option<TokenLayout>,
    /// The grids of the image's tokens in their order, where they aren't one square: of models
    /// that take images in their own shape or as tiles. None in records of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grids: Vec<TokenGrid>,
    /// The rows that each query strategy of the grid read, in the grid's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<QueryRows>,
    /// The distinct attentions that strategies chose by: the means over their heads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attentions: Vec<AttentionRecord>,
    /// The distinct runs of the model: cells that keep the same tokens share one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
    /// One entry per cell of the grid, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<CellRecord>,
    /// Why there is nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The kind of that reason; none in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
}

/// The rows that a query strategy read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRows {
    /// The strategy.
    pub query_strategy: QueryStrategy,
    /// The rule that it came to on this sample.
    pub branch: String,
    /// Positions in the sequence.
    pub rows: Vec<usize>,
    /// The weights of the rows where they aren't all alike, to four digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f64>,
    /// Heads without any attention to the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zero_mass_heads: Vec<usize>,
}

/// How the mean attention over some heads lies over the image, divided by its sum.
/// See [`fp_data::metric::token_quality`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionRecord {
    /// −Σ p ln p.
    pub entropy: f32,
    /// Gini coefficient.
    pub gini: f32,
    /// The largest p.
    pub max: f32,
    /// The smallest number of tokens that hold 90 % of the mass.
    pub nucleus: usize,
    /// Mass on the boxes; none without boxes, or where tokens lie on no grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub box_mass: Option<f32>,
    /// Attention on the rectangle around the boxes, relative to the mean over all
    /// rectangles of its size; none where tokens lie on several grids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub box_ratio: Option<f32>,
    /// Whether the most attended token is covered by a box.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_pointing_hit: Option<bool>,
}

/// How different the kept tokens are, by the projector's output.
/// See [`fp_data::metric::token_quality::Diversity`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiversityRecord {
    /// Mean of 1 − cosine over pairs.
    pub mean_cosine_distance: f32,
    /// The smallest of them.
    pub min_cosine_distance: f32,
    /// Mean over kept tokens of the largest cosine with another one.
    pub redundancy: f32,
    /// Mean over all tokens of the largest cosine with a kept one.
    pub coverage: f32,
    /// Effective rank of the row-normalised features, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_rank: Option<f32>,
    /// Vendi score, where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendi: Option<f32>,
    /// ln det(I + x̂x̂ᵀ), where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_det_plus_identity: Option<f32>,
}

/// What a run of the model saw of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisualInputRecord {
    /// Every token: no pruning.
    All,
    /// These tokens after layer K, ascending, at their old positions; none of them in the
    /// control `drop_all`.
    Kept(Vec<usize>),
    /// What the stages of another method let through.
    Stages(VisualStagesRecord),
    /// The image was left out from the beginning.
    NoImage,
}

/// What the stages of a method let through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisualStagesRecord {
    /// What the vision tower was given, where it wasn't the whole image.
    #[serde(default, skip_serializing_if = "ImageInput::is_whole")]
    pub input: ImageInput,
    /// Positions of the tokens that went on.
    pub positions: PositionRule,
    /// In the order of their sites.
    pub stages: Vec<VisualStageRecord>,
}

/// What one stage let through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisualStageRecord {
    /// Where.
    pub site: Site,
    /// The tokens that went on, in their order, by their places in the image.
    pub kept: Vec<usize>,
    /// Where tokens were merged: of each one that went on, the tokens of before (by their
    /// index among those that entered the stage) and their weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Vec<Vec<(usize, f64)>>>,
}

impl VisualInputRecord {
    /// Image tokens that were there in the last layer, of N.
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

    /// The set of tokens of the image that were there in the last layer, ascending, where
    /// some were dropped, none merged, and those left kept their order.
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
    /// What was seen of the image.
    pub seen: VisualInputRecord,
    /// K of `kept`, where the study has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_layer: Option<usize>,
    /// [`fp_scoring::KeptTokens::hash64`] of the tokens kept, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_hash: Option<String>,
    /// The answer as text, white space around it cut off.
    pub text: String,
    /// The answer as tokens, without the stop token.
    pub token_ids: Vec<u32>,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Smallest distance between the two largest logits while decoding.
    pub min_margin: Option<f32>,
    /// 0 to 1, by the dataset's rule.
    pub score: f64,
    /// How different the kept tokens are; none for fewer than two.
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

/// Where a ranking was cut.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutRecord {
    /// Distance of the last one kept to the first one dropped, as a share of the
    /// range of all scores; 0 is a tie, that index order decided.
    pub gap: f64,
    /// Scores equal to the last one kept, kept or not, where there is more than one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub num_tied: usize,
    /// How many of those were kept.
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

/// One cell on one sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellRecord {
    /// Which of the sample's runs answers it; none where there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<usize>,
    /// Heads that were selected, ascending; of strategies alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heads: Vec<usize>,
    /// Which of the sample's attentions tokens were chosen by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<usize>,
    /// The choice of heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_cut: Option<CutRecord>,
    /// `hierarchical` only: its first choice, of candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse_head_cut: Option<CutRecord>,
    /// The choice of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_cut: Option<CutRecord>,
    /// Every head had the same score.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_head_score_constant: bool,
    /// Heads whose score wasn't a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nan_heads: Vec<usize>,
    /// Why this cell doesn't apply to this sample; such samples don't count in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Why this cell failed on this sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl CellRecord {
    /// A cell that doesn't apply.
    pub(crate) fn skipped(reason: impl Into<String>) -> CellRecord {
        CellRecord {
            skipped: Some(reason.into()),
            ..CellRecord::default()
        }
    }

    /// A cell that failed.
    pub(crate) fn failed(error: String) -> CellRecord {
        CellRecord {
            error: Some(error),
            ..CellRecord::default()
        }
    }

    /// What decided a selection, its run not yet known.
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
    /// The run that answers a cell; none where it doesn't apply or failed.
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
