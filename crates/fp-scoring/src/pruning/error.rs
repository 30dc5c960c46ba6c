//! Errors in planning a method, and errors of selectors.

use crate::{BudgetError, ScoringError, SharedError, Site};

/// Why a method can't be planned for a model, an image and a budget.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A budget, head count or layer that can't be met.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// A method that needs one grid of image tokens, on input that has several.
    #[error(
        "`{method}` needs one grid of image tokens; any-resolution input has several, \
         and a class token among the features is not a grid cell"
    )]
    NoGrid {
        /// The method.
        method: String,
    },
    /// Stages whose sites are out of order.
    #[error("`{method}`: stage {index} at {site} does not come after the stage before it")]
    StageOrder {
        /// The method.
        method: String,
        /// Index of the stage, from 0.
        index: usize,
        /// Its site.
        site: Site,
    },
    /// A stage that keeps more tokens than enter it.
    #[error("`{method}`: can't keep {kept} of {entering} tokens at {site}")]
    StageTokens {
        /// The method.
        method: String,
        /// The stage's site.
        site: Site,
        /// Tokens to keep.
        kept: usize,
        /// Tokens that enter the stage.
        entering: usize,
    },
    /// A method that reads the vision tower, on a model for which that is undefined.
    #[error("`{method}`: {reason}")]
    Tower {
        /// The method.
        method: String,
        /// Why, and what is expected.
        reason: String,
    },
    /// A setting that the method needs and wasn't given, or can't use.
    #[error("`{method}`: {reason}")]
    Setting {
        /// The method.
        method: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a selector made no selection.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The method is undefined for this sample, which is not a failure.
    #[error("{reason}")]
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// Evidence that the selector reads without requesting it, or that isn't available.
    #[error("{what} is needed and was not computed; the selector's `needs` must request it")]
    MissingEvidence {
        /// The evidence.
        what: &'static str,
    },
    /// A selection that isn't possible with the given tokens.
    #[error("the selection is not valid: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// Scoring failed.
    #[error(transparent)]
    Scoring(#[from] ScoringError),
    /// A selector's own error.
    #[error("the selector failed")]
    Other(#[source] SharedError),
}

impl From<BudgetError> for SelectError {
    fn from(error: BudgetError) -> SelectError {
        SelectError::Scoring(error.into())
    }
}
