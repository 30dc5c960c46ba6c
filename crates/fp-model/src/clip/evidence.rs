//! CLIP's embeddings of a sample's image and question, for selectors that need them.

use candle_core::Tensor;
use fp_scoring::{ClipValues, Matrix, SelectError};

use super::{Clip, ClipError, clip_text};
use crate::error::Result;
use crate::model::{ImageFeatures, LlavaModel};
use crate::ops::host_values;
use crate::stages::SampleFacts;
use crate::vision::{VisionEvidence, VisionRead, check_finite};

/// Embeddings of image and question on the host.
#[derive(Debug)]
pub(crate) struct ClipKnown {
    /// `[N, C]`.
    image: Vec<f32>,
    /// `[segments, C]`.
    text: Vec<f32>,
    /// C, width of the embeddings.
    width: usize,
}

impl ClipKnown {
    /// The embeddings as selectors read them.
    pub(crate) fn values(&self) -> Option<ClipValues<'_>> {
        Some(ClipValues {
            image_embeds: Matrix::new(&self.image, self.width)?,
            text_embeds: Matrix::new(&self.text, self.width)?,
        })
    }
}

impl LlavaModel {
    /// Embeddings of the patches and of the question.
    ///
    /// # Errors
    /// No CLIP model; a question that isn't known; any-resolution tiles, for which the rule isn't
    /// defined; values that aren't finite.
    pub(crate) fn clip_known(
        &self,
        features: &ImageFeatures,
        facts: &SampleFacts<'_>,
    ) -> Result<ClipKnown> {
        // Checked first, since a CLIP model would not help here.
        tower_values(features)?;
        let clip = self.clip.as_ref().ok_or(ClipError::NotGiven)?;
        let question = facts.question.ok_or(ClipError::NoQuestion)?;
        let image = image_embeds(clip, features)?;
        let text = text_embeds(clip, clip_text(question))?;
        Ok(ClipKnown {
            width: text.dim(1)?,
            image: host_values(&image)?,
            text: host_values(&text)?,
        })
    }

    /// CLIP's embedding of a text: one row of C values per segment of the context.
    ///
    /// # Errors
    /// No CLIP model, a tokenizer that fails, or values that aren't finite.
    pub fn clip_text_embeds(&self, text: &str) -> Result<Vec<Vec<f32>>> {
        let clip = self.clip.as_ref().ok_or(ClipError::NotGiven)?;
        rows(&text_embeds(clip, text)?)
    }

    /// CLIP's embeddings of an image's patches, N rows of C values, from features read with
    /// [`VisionRead::NormedFeatures`].
    ///
    /// # Errors
    /// No CLIP model, any-resolution tiles, or values that aren't finite.
    pub fn clip_image_embeds(&self, features: &ImageFeatures) -> Result<Vec<Vec<f32>>> {
        let clip = self.clip.as_ref().ok_or(ClipError::NotGiven)?;
        rows(&image_embeds(clip, features)?)
    }
}

/// The values read from the tower, for one square image.
fn tower_values(features: &ImageFeatures) -> Result<&VisionEvidence, SelectError> {
    let read = features.vision.as_deref();
    read.ok_or_else(|| SelectError::NotApplicable {
        reason: "CLIP's embeddings are those of single square images".to_owned(),
    })
}

/// Embedding of a text, `[segments, C]`.
fn text_embeds(clip: &Clip, text: &str) -> Result<Tensor> {
    let embeds = clip.text_embeds(text)?;
    check_finite(&embeds, "CLIP's embeddings of the question")?;
    Ok(embeds)
}

/// Embeddings of an image's patches, `[N, C]`.
fn image_embeds(clip: &Clip, features: &ImageFeatures) -> Result<Tensor> {
    // The class token's row comes first.
    let normed = tower_values(features)?.get(VisionRead::NormedFeatures)?;
    let patches = normed.narrow(0, 1, normed.dim(0)?.saturating_sub(1))?;
    let embeds = clip.image_embeds(&patches)?;
    check_finite(&embeds, "CLIP's embeddings of the image")?;
    Ok(embeds)
}

fn rows(embeds: &Tensor) -> Result<Vec<Vec<f32>>> {
    let values = host_values(embeds)?;
    let rows = values.chunks(embeds.dim(1)?.max(1));
    Ok(rows.map(<[f32]>::to_vec).collect())
}
