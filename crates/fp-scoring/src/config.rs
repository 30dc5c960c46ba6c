//! How a model prunes.

use crate::named::named_enum;
use crate::{AttentionSelector, HeadCount, HeadStrategy, QueryStrategy, TokenBudget};

named_enum! {
    /// How a head's attention row `a` becomes the distribution `p` that entropy,
    /// sparsity, weighted_quality and the Gini coefficient are taken of.
    pub enum Normalization as "normalization" {
        /// p = a / Σ a, the distribution of the attention over the image.
        L1 = "l1",
        /// p = softmax(a), as the original study had it: nearly degenerate, since
        /// `a` went through a softmax already.
        Softmax = "softmax",
    }
}

impl From<Normalization> for fp_kernels::Normalization {
    fn from(normalization: Normalization) -> Self {
        match normalization {
            Normalization::L1 => fp_kernels::Normalization::L1,
            Normalization::Softmax => fp_kernels::Normalization::Softmax,
        }
    }
}

/// Everything that decides which visual tokens a model drops, and where.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneConfig {
    /// Scores the heads.
    pub head_strategy: HeadStrategy,
    /// Chooses the rows that the attention is read from.
    pub query_strategy: QueryStrategy,
    /// Makes distributions of rows.
    pub normalization: Normalization,
    /// h, how many of the best heads speak.
    pub num_selected_heads: HeadCount,
    /// How many tokens stay.
    pub budget: TokenBudget,
    /// K, counted from 1: attention is read in layer K, tokens are dropped after it.
    pub prune_layer: usize,
    /// Go on where the chosen rows have no attention to the image at all.
    #[serde(default)]
    pub allow_degenerate: bool,
}

impl PruneConfig {
    /// What it chooses tokens by.
    pub fn selector(&self) -> AttentionSelector {
        AttentionSelector {
            head_strategy: self.head_strategy,
            query_strategy: self.query_strategy,
            num_selected_heads: self.num_selected_heads,
            normalization: self.normalization,
            allow_degenerate: self.allow_degenerate,
        }
    }
}
