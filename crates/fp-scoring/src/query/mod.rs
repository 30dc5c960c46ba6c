//! Query strategies: the query rows from which attention to the image is read.
//!
//! A strategy names rows and their weights. Two strategies weight rows by the attention itself,
//! so their weights are known only after the rows are read.

mod adaptive_by_length;
mod attention_weighted;
mod last_5_tokens;
mod last_n_tokens;
mod last_token;
mod max_attention_token;
mod rows;
mod system_and_text;
mod text_tokens_only;
mod weighted_recent;

pub use rows::AttentionRows;

use crate::named::named_enum;
use crate::{ScoringError, StrategyCard, TokenLayout};

named_enum! {
    /// Which query rows the attention to the image is read from, and their weights.
    pub enum QueryStrategy as "query-selection strategy" {
        /// The last row, the study's baseline.
        LastToken = "last_token",
        /// The last three rows, mean.
        LastNTokens = "last_n_tokens",
        /// The last five rows, mean.
        Last5Tokens = "last_5_tokens",
        /// Every row after the image, mean.
        TextTokensOnly = "text_tokens_only",
        /// The last five rows, newer ones heavier.
        WeightedRecent = "weighted_recent",
        /// Every row but the image's, mean.
        SystemAndText = "system_and_text",
        /// Every row but the image's, weighted by a softmax of their attention to the image.
        AttentionWeighted = "attention_weighted",
        /// The one non-image row that attends to the image most.
        MaxAttentionToken = "max_attention_token",
        /// One of the others, by the length of the text.
        AdaptiveByLength = "adaptive_by_length",
    }
}

/// How rows are combined to one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Weighting {
    /// Fixed weights with sum 1.
    Fixed(Vec<f64>),
    /// Softmax over the rows' total attention to the image.
    SoftmaxOfTotals,
    /// Only the row with the largest total; ties go to the lower row.
    LargestTotal,
}

/// The query rows of one sample.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QueryPlan {
    /// The rule that applies to this sample.
    pub(crate) branch: String,
    /// Positions in the sequence, ascending.
    pub(crate) rows: Vec<usize>,
    pub(crate) weighting: Weighting,
}

impl QueryPlan {
    /// Rows with equal weights.
    fn mean(branch: impl Into<String>, rows: impl IntoIterator<Item = usize>) -> QueryPlan {
        let rows: Vec<usize> = rows.into_iter().collect();
        let weights = vec![1.0 / rows.len() as f64; rows.len()];
        QueryPlan {
            branch: branch.into(),
            rows,
            weighting: Weighting::Fixed(weights),
        }
    }

    /// The last `window` rows with equal weights; clipped to the sequence, and extending into the
    /// image if the text is shorter.
    fn last(branch: &str, layout: &TokenLayout, window: usize) -> QueryPlan {
        let end = layout.sequence_len();
        QueryPlan::mean(branch, end.saturating_sub(window)..end)
    }

    /// Every row outside the image; only the system's if no text follows.
    fn outside_image(branch: &str, layout: &TokenLayout, weighting: Weighting) -> QueryPlan {
        let branch = match layout.num_text {
            0 => format!("{branch} over system rows (no text)"),
            _ => branch.to_owned(),
        };
        let rows = (0..layout.num_system).chain(layout.text_range()).collect();
        QueryPlan {
            branch,
            rows,
            weighting,
        }
    }
}

impl QueryStrategy {
    /// Formula, hypothesis and source.
    pub const fn card(self) -> StrategyCard {
        match self {
            QueryStrategy::LastToken => last_token::CARD,
            QueryStrategy::LastNTokens => last_n_tokens::CARD,
            QueryStrategy::Last5Tokens => last_5_tokens::CARD,
            QueryStrategy::TextTokensOnly => text_tokens_only::CARD,
            QueryStrategy::WeightedRecent => weighted_recent::CARD,
            QueryStrategy::SystemAndText => system_and_text::CARD,
            QueryStrategy::AttentionWeighted => attention_weighted::CARD,
            QueryStrategy::MaxAttentionToken => max_attention_token::CARD,
            QueryStrategy::AdaptiveByLength => adaptive_by_length::CARD,
        }
    }

    pub(crate) fn plan(self, layout: &TokenLayout) -> Result<QueryPlan, ScoringError> {
        let plan = match self {
            QueryStrategy::LastToken => last_token::plan(layout),
            QueryStrategy::LastNTokens => last_n_tokens::plan(layout),
            QueryStrategy::Last5Tokens => last_5_tokens::plan(layout),
            QueryStrategy::TextTokensOnly => text_tokens_only::plan(layout),
            QueryStrategy::WeightedRecent => weighted_recent::plan(layout),
            QueryStrategy::SystemAndText => system_and_text::plan(layout),
            QueryStrategy::AttentionWeighted => attention_weighted::plan(layout),
            QueryStrategy::MaxAttentionToken => max_attention_token::plan(layout),
            QueryStrategy::AdaptiveByLength => adaptive_by_length::plan(layout),
        };
        if plan.rows.is_empty() {
            Err(ScoringError::NoQueryRows)
        } else {
            Ok(plan)
        }
    }

    /// Every row that the strategy reads, ascending.
    ///
    /// # Errors
    /// A sequence that consists only of the image, for strategies that exclude its rows.
    pub fn rows(self, layout: &TokenLayout) -> Result<Vec<usize>, ScoringError> {
        Ok(self.plan(layout)?.rows)
    }

    /// The rows of [`Self::rows`] that attend to the image under a causal mask: rows before the
    /// image are omitted, since their attention to it is zero.
    ///
    /// # Errors
    /// As [`Self::rows`].
    pub fn rows_needed(self, layout: &TokenLayout) -> Result<Vec<usize>, ScoringError> {
        let mut rows = self.rows(layout)?;
        rows.retain(|&row| row >= layout.num_system);
        Ok(rows)
    }
}

#[cfg(test)]
#[track_caller]
fn check_plan(
    strategy: QueryStrategy,
    (num_system, num_image, num_text): (usize, usize, usize),
    rows: &[usize],
    weights: &[f64],
) {
    let layout = TokenLayout {
        num_system,
        num_image,
        num_text,
    };
    let plan = strategy.plan(&layout).unwrap();
    assert_eq!(plan.rows, rows);
    let Weighting::Fixed(got) = plan.weighting else {
        panic!("weights depend on attention")
    };
    assert_eq!(got.len(), weights.len());
    for (got, expected) in got.iter().zip(weights) {
        assert!(
            (got - expected).abs() < 1e-15,
            "{got} instead of {expected}"
        );
    }
}
