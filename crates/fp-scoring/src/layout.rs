//! Position of the image in the sequence.

use std::ops::Range;

use crate::ScoringError;

/// The three parts of a prompt: system, image, text. *Text* is everything after the image,
/// including the end of the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TokenLayout {
    /// Tokens before the image.
    pub num_system: usize,
    /// Image tokens, N.
    pub num_image: usize,
    /// Tokens after the image.
    pub num_text: usize,
}

impl TokenLayout {
    /// The layout of a sequence of `sequence_len` tokens with the image at `image_range` (half
    /// open).
    ///
    /// # Errors
    /// A range that is empty, reversed, or extends past the sequence.
    pub fn new(image_range: Range<usize>, sequence_len: usize) -> Result<Self, ScoringError> {
        if image_range.start >= image_range.end || image_range.end > sequence_len {
            return Err(ScoringError::ImageRange {
                start: image_range.start,
                end: image_range.end,
                sequence_len,
            });
        }
        Ok(TokenLayout {
            num_system: image_range.start,
            num_image: image_range.end - image_range.start,
            num_text: sequence_len - image_range.end,
        })
    }

    /// S, the length of the whole sequence.
    pub fn sequence_len(&self) -> usize {
        self.num_system + self.num_image + self.num_text
    }

    /// Positions of the image's tokens.
    pub fn image_range(&self) -> Range<usize> {
        self.num_system..self.num_system + self.num_image
    }

    /// Positions of all tokens after the image.
    pub fn text_range(&self) -> Range<usize> {
        self.num_system + self.num_image..self.sequence_len()
    }
}
