//! Values of the vision tower that selectors can read.

use super::{Matrix, SelectError};

/// A value to read from the vision tower.
///
/// In the shapes, P is the number of patches in row-major order, H and d the number and width of
/// the tower's heads, V the width of its hidden states; "P + 1 rows" are the class token's row,
/// then the patches'. Layers and states are indexed as in transformers' `attentions` and
/// `hidden_states`, with negative numbers from the end: −2 is the last layer but one, and state
/// −2 is the output of that layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VisionNeed {
    /// The features that enter the projector, `[N, V]`.
    Features,
    /// A hidden state, `[P + 1, V]`.
    HiddenState(i64),
    /// Attention of the class token to the patches in a layer, `[H, P]`.
    ClassAttention(i64),
    /// Attention that each patch receives in a layer, averaged over all P + 1 rows, `[H, P]`.
    ReceivedAttention(i64),
    /// Queries of a layer, heads side by side, `[P + 1, V]`.
    Queries(i64),
    /// Keys of a layer, heads side by side, `[P + 1, V]`.
    Keys(i64),
    /// Keys of a layer, mean over heads, `[P + 1, d]`.
    MeanKeys(i64),
}

/// Requested values of the vision tower for one image.
#[derive(Debug, Clone, Default)]
pub struct VisionValues<'a>(Vec<(VisionNeed, Matrix<'a>)>);

impl<'a> VisionValues<'a> {
    /// Adds a value.
    pub fn insert(&mut self, need: VisionNeed, values: Matrix<'a>) {
        self.0.push((need, values));
    }

    /// All values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (VisionNeed, Matrix<'a>)> + '_ {
        self.0.iter().copied()
    }

    /// The value for `need`.
    ///
    /// # Errors
    /// It wasn't requested.
    pub fn get(&self, need: VisionNeed) -> Result<Matrix<'a>, SelectError> {
        let found = self.0.iter().find(|(known, _)| *known == need);
        let missing = SelectError::MissingEvidence {
            what: "evidence of the vision tower",
        };
        found.map(|(_, values)| *values).ok_or(missing)
    }
}
