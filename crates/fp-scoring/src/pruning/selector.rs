//! Selectors, which select tokens at a stage.

use std::fmt::Debug;
use std::sync::Arc;

use super::{AttentionSelector, Evidence, MethodChoice, SelectError, TokenSelection, VisionNeed};
use crate::{ScoringError, Selection, TokenLayout};

/// The layer whose attention a selector at `layer k` reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttentionNeed {
    /// Layer k itself, whose outputs the tokens are.
    Here,
    /// Layer k + 1, which the tokens enter next.
    Next,
}

/// The evidence that a selector requests. Nothing else is computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Attention rows, see [`Selector::query_rows`].
    pub attention: Option<AttentionNeed>,
    /// The fraction of each token that ground-truth boxes cover.
    pub covered_area: bool,
    /// The projector's output.
    pub embeds: bool,
    /// Hidden states of the image tokens at the stage.
    pub hidden: bool,
    /// Hidden states of the image tokens when they entered the layer before the stage.
    pub previous_hidden: bool,
    /// Embeddings of the text after the image.
    pub text_embeds: bool,
    /// For the whole sequence, hidden states after the final norm and keys of the layer before
    /// the stage.
    pub sequence: bool,
    /// Embeddings of image and question by the CLIP model that the vision tower belongs to.
    pub clip: bool,
    /// Values of the vision tower.
    pub vision: Vec<VisionNeed>,
}

/// How a rule handles tokens that are excluded from its candidates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Candidates {
    /// It selects among any tokens.
    #[default]
    Any,
    /// It needs the complete grid of image tokens, and is undefined for a part of it.
    WholeGrid {
        /// Name of the rule.
        rule: &'static str,
    },
    /// The kept tokens were decided elsewhere; nothing is excluded.
    Given,
}

/// The selection of a selector, and what decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// The kept tokens.
    pub selection: TokenSelection,
    /// Heads, importance and cuts, if attention decided.
    pub audit: Option<Selection>,
    /// The result of a published method.
    pub choice: Option<Arc<MethodChoice>>,
}

impl From<TokenSelection> for Selected {
    fn from(selection: TokenSelection) -> Selected {
        Selected {
            selection,
            audit: None,
            choice: None,
        }
    }
}

/// A pure function from evidence and a number of tokens to a selection.
///
/// The same evidence gives the same selection, for any batch and thread.
pub trait Selector: Debug + Send + Sync {
    /// The evidence that [`Selector::select`] reads.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Rows of the sequence whose attention is read, ascending, for a sequence that enters the
    /// stage with `layout`. No row before the image, since these don't attend to it.
    ///
    /// # Errors
    /// A sequence that has no row to read.
    fn query_rows(&self, _layout: &TokenLayout) -> Result<Vec<usize>, ScoringError> {
        Ok(Vec::new())
    }

    /// Selects about `kept` of the present tokens; a rule that can't meet the number exactly
    /// selects fewer.
    ///
    /// # Errors
    /// [`SelectError::NotApplicable`] if the rule is undefined for the sample; any other error is
    /// a failure.
    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError>;

    /// Whether it reads only the image before layer 1, so that its selection is the same for
    /// every question on an image.
    fn looks_at_image_alone(&self) -> bool {
        false
    }

    /// How the rule handles excluded tokens.
    fn candidates(&self) -> Candidates {
        Candidates::Any
    }

    /// For a selector that masks padding tokens, the selector that it equals if no token is
    /// padding.
    fn without_padding(&self) -> Option<&dyn Selector> {
        None
    }

    /// The attention rule that this selector is, if it is one: such selectors are scored
    /// together.
    fn as_attention(&self) -> Option<&AttentionSelector> {
        None
    }
}
