//! What chooses tokens at a stage.

use std::fmt::Debug;
use std::sync::Arc;

use super::{AttentionSelector, Evidence, MethodChoice, SelectError, TokenSelection, VisionNeed};
use crate::{ScoringError, Selection, TokenLayout};

/// Which layer's attention a selector at `layer k` looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttentionNeed {
    /// That of layer k itself, whose output the tokens are.
    Here,
    /// That of layer k + 1, which the tokens are about to enter.
    Next,
}

/// The evidence that a selector asks for. What it doesn't ask for isn't computed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Attention rows, see [`Selector::query_rows`].
    pub attention: Option<AttentionNeed>,
    /// How much of each token ground-truth boxes cover.
    pub covered_area: bool,
    /// The projector's output.
    pub embeds: bool,
    /// Hidden states of the image tokens at the stage.
    pub hidden: bool,
    /// Hidden states of the image tokens as they entered the layer before the stage.
    pub previous_hidden: bool,
    /// Embeddings of the text after the image.
    pub text_embeds: bool,
    /// Of the whole sequence, hidden states through the final norm and keys of the layer
    /// before the stage.
    pub sequence: bool,
    /// Where the CLIP model that the vision tower is of puts image and question.
    pub clip: bool,
    /// What is read of the vision tower.
    pub vision: Vec<VisionNeed>,
}

/// What a rule makes of it where some tokens are excluded from its candidates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Candidates {
    /// It chooses among whatever tokens are there.
    #[default]
    Any,
    /// It takes the grid of image tokens as a whole, and has no meaning for a part of it.
    WholeGrid {
        /// What it is called.
        rule: &'static str,
    },
    /// What is kept was decided elsewhere; nothing is excluded.
    Given,
}

/// What a selector chose, and what decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// The tokens that are kept.
    pub selection: TokenSelection,
    /// Heads, importance and cuts, where attention decided.
    pub audit: Option<Selection>,
    /// What a published method says of its choice.
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
/// The same evidence gives the same selection, whatever the batch and the thread.
pub trait Selector: Debug + Send + Sync {
    /// The evidence that [`Selector::select`] reads.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// Rows of the sequence whose attention is read, ascending, for a sequence that
    /// enters the stage at `layout`. None before the image: they see nothing of it.
    ///
    /// # Errors
    /// A sequence that has no row to read.
    fn query_rows(&self, _layout: &TokenLayout) -> Result<Vec<usize>, ScoringError> {
        Ok(Vec::new())
    }

    /// Chooses tokens, about `kept` of those that are there: a rule that can't meet the
    /// number exactly takes fewer.
    ///
    /// # Errors
    /// [`SelectError::NotApplicable`] where the rule has no meaning for the sample; all
    /// else is a failure.
    fn select(&self, evidence: &Evidence<'_>, kept: usize) -> Result<Selected, SelectError>;

    /// Whether before layer 1 it looks at nothing but the image: then it chooses the same
    /// for every question on an image.
    fn looks_at_image_alone(&self) -> bool {
        false
    }

    /// What leaving out some of the tokens means to the rule.
    fn candidates(&self) -> Candidates {
        Candidates::Any
    }

    /// The selector that this one is where no token is padding, if it leaves out such tokens.
    fn without_padding(&self) -> Option<&dyn Selector> {
        None
    }

    /// The attention rule that this selector is, if it is one: such selectors are scored
    /// together.
    fn as_attention(&self) -> Option<&AttentionSelector> {
        None
    }
}
