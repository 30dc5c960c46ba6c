//! Embeddings of a CLIP model that selectors can read in addition to its vision tower.

use super::evidence::needed;
use super::{Evidence, Matrix, SelectError};

/// CLIP's embeddings of the patches of an image and of the text of a question, before any norm or
/// scale.
#[derive(Debug, Clone, Copy)]
pub struct ClipValues<'a> {
    /// The features of the patches after the tower's last norm and CLIP's visual projection, `[N,
    /// C]`.
    pub image_embeds: Matrix<'a>,
    /// The question, one row for each segment of CLIP's context, `[segments, C]`.
    pub text_embeds: Matrix<'a>,
}

impl<'a> Evidence<'a> {
    /// Adds CLIP's embeddings of image and question.
    #[must_use]
    pub fn with_clip(mut self, values: ClipValues<'a>) -> Self {
        self.clip = Some(values);
        self
    }

    /// CLIP's embeddings of image and question.
    ///
    /// # Errors
    /// They weren't requested, or the caller that runs the model has no CLIP model.
    pub fn clip(&self) -> Result<ClipValues<'a>, SelectError> {
        needed(self.clip, "CLIP's embeddings of image and question")
    }
}
