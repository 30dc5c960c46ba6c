//! What keeps a method from being planned, and a selector from selecting.

use crate::{BudgetError, ScoringError, SharedError, Site};

/// Why a method has no plan for a model, an image and a budget.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A budget, head count or layer that can't be met.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The method needs one grid of image tokens.
    #[error(
        "`{method}` needs one grid of image tokens; any-resolution input has several, \
         and a class token among the features is no cell of one"
    )]
    NoGrid {
        /// The method.
        method: String,
    },
    /// Stages whose sites don't follow one another.
    #[error("`{method}`: stage {index} at {site} does not come after the stage before it")]
    StageOrder {
        /// The method.
        method: String,
        /// Index of the stage, from 0.
        index: usize,
        /// Its site.
        site: Site,
    },
    /// A stage that lets through more tokens than enter it.
    #[error("`{method}`: {kept} tokens are to be kept at {site}, but only {entering} enter it")]
    StageTokens {
        /// The method.
        method: String,
        /// The stage's site.
        site: Site,
        /// Tokens that are to be kept.
        kept: usize,
        /// Tokens that enter the stage.
        entering: usize,
    },
    /// A method that looks at the vision tower of a model for which nobody defines that.
    #[error("`{method}`: {reason}")]
    Tower {
        /// The method.
        method: String,
        /// Why not, and what would be right.
        reason: String,
    },
    /// A setting that the method needs and wasn't given, or that it can't use.
    #[error("`{method}`: {reason}")]
    Setting {
        /// The method.
        method: String,
        /// What is wrong.
        reason: String,
    },
}

/// Why a selector selected nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The method has no meaning for this sample; that is no failure.
    #[error("{reason}")]
    NotApplicable {
        /// Why.
        reason: String,
    },
    /// Evidence that the selector reads and didn't ask for, or that isn't available.
    #[error("{what} is needed and was not computed; the selector's `needs` must ask for it")]
    MissingEvidence {
        /// The evidence.
        what: &'static str,
    },
    /// A selection that can't be made of the tokens that are there.
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
