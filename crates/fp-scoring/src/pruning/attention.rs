//! Selection by attention: a query strategy, a head strategy and h.

use super::{AttentionNeed, Evidence, Needs, SelectError, Selected, Selector, TokenSelection};
use crate::{
    HeadCount, HeadStrategy, Normalization, PruneConfig, QueryStrategy, ScoringError,
    SelectOptions, TokenLayout, select,
};

/// Keeps the tokens with the highest mean attention over the selected heads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionSelector {
    /// Strategy that scores the heads.
    pub head_strategy: HeadStrategy,
    /// Strategy that selects the rows to read attention from.
    pub query_strategy: QueryStrategy,
    /// h; with all heads selected the head strategy has no effect.
    pub num_selected_heads: HeadCount,
    /// How rows are normalized to distributions.
    pub normalization: Normalization,
    /// Continue even if the query rows have no attention to the image.
    pub allow_degenerate: bool,
}

impl PruneConfig {
    /// The selector of these settings.
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

impl AttentionSelector {
    /// The scoring options for R = `kept`.
    pub fn options(&self, kept: usize) -> SelectOptions {
        SelectOptions {
            normalization: self.normalization,
            num_selected_heads: self.num_selected_heads,
            kept,
            allow_degenerate: self.allow_degenerate,
        }
    }
}

impl Selector for AttentionSelector {
    fn needs(&self) -> Needs {
        Needs {
            attention: Some(AttentionNeed::Here),
            ..Needs::default()
        }
    }

    fn query_rows(&self, layout: &TokenLayout) -> Result<Vec<usize>, ScoringError> {
        self.query_strategy.rows_needed(layout)
    }

    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError> {
        let selection = select(
            evidence.attention()?,
            self.head_strategy,
            self.query_strategy,
            &self.options(kept),
        )?;
        Ok(Selected {
            selection: TokenSelection::from(&selection.kept_tokens),
            audit: Some(selection),
            choice: None,
        })
    }

    fn as_attention(&self) -> Option<&AttentionSelector> {
        Some(self)
    }
}
