//! Configuration of a model's pruning.

use crate::{HeadCount, HeadStrategy, Normalization, QueryStrategy, TokenBudget};

/// Everything that decides which visual tokens a model drops, and where.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneConfig {
    /// Strategy that scores the heads.
    pub head_strategy: HeadStrategy,
    /// Strategy that selects the rows to read attention from.
    pub query_strategy: QueryStrategy,
    /// How rows are normalized to distributions.
    pub normalization: Normalization,
    /// h, the number of top-scoring heads to average.
    pub num_selected_heads: HeadCount,
    /// How many tokens are kept.
    pub budget: TokenBudget,
    /// K, counted from 1: attention is read in layer K, tokens are dropped after it.
    pub prune_layer: usize,
    /// Continue even if the query rows have no attention to the image.
    #[serde(default)]
    pub allow_degenerate: bool,
}
