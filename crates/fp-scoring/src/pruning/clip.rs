//! What selectors can look at of a CLIP model beside its vision tower.

use super::evidence::needed;
use super::{Evidence, Matrix, SelectError};

/// Where a CLIP model puts the patches of an image and the text of a question, before any
/// norm or scale.
#[derive(Debug, Clone, Copy)]
pub struct ClipValues<'a> {
    /// The features of the patches through the tower's last norm and CLIP's visual
    /// projection, `[N, C]`.
    pub image_embeds: Matrix<'a>,
    /// The question, a row for each segment of CLIP's context, `[segments, C]`.
    pub text_embeds: Matrix<'a>,
}

impl<'a> Evidence<'a> {
    /// Adds where CLIP puts image and question.
    #[must_use]
    pub fn with_clip(mut self, values: ClipValues<'a>) -> Self {
        self.clip = Some(values);
        self
    }

    /// Where CLIP puts image and question.
    ///
    /// # Errors
    /// It wasn't asked for, or whoever runs the model has no CLIP model.
    pub fn clip(&self) -> Result<ClipValues<'a>, SelectError> {
        needed(self.clip, "CLIP's embeddings of image and question")
    }
}
