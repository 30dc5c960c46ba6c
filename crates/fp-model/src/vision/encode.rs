//! From pixels to image tokens.

use std::sync::Arc;

use candle_core::Tensor;
use fp_image::FeaturePacking;

use super::evidence::VisionEvidence;
#[cfg(doc)]
use super::request::VisionRead;
use super::request::VisionRequest;
use super::square::SquareVision;
use super::{Vision, shrink};
use crate::error::{ModelError, Result};
use crate::model::{CropFeatures, ImageFeatures, LlavaModel};
use crate::ops::{concatenated, gather_ids};
use crate::positions::Numbering;

impl LlavaModel {
    /// Features of one square image from pixel values `[1, 3, side, side]`, or, for models that
    /// take images of any size, `[1, 3, height, width]` whose sides are multiples of an image
    /// token's side.
    ///
    /// # Errors
    /// Pixel values of another shape, or values that aren't finite.
    pub fn encode_image(&self, pixel_values: &Tensor) -> Result<ImageFeatures> {
        let (features, _) = self.encode_image_with(pixel_values, &VisionRequest::new())?;
        Ok(features)
    }

    /// Like [`LlavaModel::encode_image`], with bit-identical features, and the evidence of the
    /// vision tower that `request` lists.
    ///
    /// # Errors
    /// The same, a request for a layer that the tower doesn't have or that wasn't loaded
    /// ([`crate::LoadOptions::vision`]), or evidence that isn't finite.
    ///
    /// # Examples
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use fp_model::{LlavaModel, LoadOptions, Preset, VisionRead, VisionRequest};
    ///
    /// let model = LlavaModel::random(Preset::Tiny, 1, &LoadOptions::default())?;
    /// let vision = &model.config().vision;
    /// // The layer whose output is the features.
    /// let read = VisionRead::ClassAttention(vision.layer_index(-2)?);
    /// let side = vision.image_size;
    /// let pixels = Tensor::zeros((1, 3, side, side), DType::F32, &Device::Cpu)?;
    /// let (image, evidence) =
    ///     model.encode_image_with(&pixels, &VisionRequest::from_iter([read]))?;
    /// assert_eq!(evidence.get(read)?.dims(), [vision.num_heads, image.num_tokens()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode_image_with(
        &self,
        pixel_values: &Tensor,
        request: &VisionRequest,
    ) -> Result<(ImageFeatures, VisionEvidence)> {
        if pixel_values.dims().first() != Some(&1) {
            return Err(ModelError::InputShape {
                what: "pixel values",
                got: pixel_values.dims().to_vec(),
                expected: "one image, [1, 3, side, side]; any-resolution tiles need their packing"
                    .to_owned(),
            });
        }
        if let Vision::Patches(patches) = &self.vision {
            if let Some(read) = request.iter().next() {
                return Err(ModelError::InputValue {
                    what: "the evidence to read from the vision tower",
                    found: format!("{read:?}"),
                    expected: "none: several patches are merged into one image token".to_owned(),
                });
            }
            let (embeds, grid) = patches.encode(pixel_values)?;
            let features = ImageFeatures {
                numbering: Numbering::Grid(grid),
                ..features_of(embeds)
            };
            return Ok((features, VisionEvidence::default()));
        }
        let (embeds, mut evidence) = self.square()?.encode(pixel_values, request)?;
        let evidence = evidence.pop().unwrap_or_default();
        Ok((features_of(embeds), evidence))
    }

    /// Like [`LlavaModel::encode_image_with`], with the evidence attached to the features for
    /// selectors to read.
    ///
    /// # Errors
    /// The same.
    pub fn encode_image_for(
        &self,
        pixel_values: &Tensor,
        request: &VisionRequest,
    ) -> Result<ImageFeatures> {
        let (features, evidence) = self.encode_image_with(pixel_values, request)?;
        Ok(features.with_vision(evidence))
    }

    /// Features of any-resolution input: `pixel_values [tiles + 1, 3, side, side]`, the resized
    /// whole image first; `packing` states how tiles become tokens.
    ///
    /// # Errors
    /// A model without any-resolution input, pixel values of another shape, or a packing for
    /// another number of tiles.
    pub fn encode_tiles(
        &self,
        pixel_values: &Tensor,
        packing: &FeaturePacking,
    ) -> Result<ImageFeatures> {
        let nothing = VisionRequest::new();
        let (features, _) = self.encode_tiles_with(pixel_values, packing, &nothing)?;
        Ok(features)
    }

    /// Like [`LlavaModel::encode_tiles`], with bit-identical features, and the evidence that
    /// `request` lists for each square: first the resized whole image's, then the tiles' in the
    /// order of the pixel values. The squares have more patches than the image has tokens:
    /// `packing` drops those that cover padding and inserts ends of rows.
    ///
    /// # Errors
    /// The same, and those of [`LlavaModel::encode_image_with`].
    pub fn encode_tiles_with(
        &self,
        pixel_values: &Tensor,
        packing: &FeaturePacking,
        request: &VisionRequest,
    ) -> Result<(ImageFeatures, Vec<VisionEvidence>)> {
        let square = self.square()?;
        let Some(newline) = &square.newline else {
            return Err(ModelError::InputValue {
                what: "any-resolution input",
                found: "tiles".to_owned(),
                expected: "one square image, which is all that this model takes".to_owned(),
            });
        };
        let (features, evidence) = square.encode(pixel_values, request)?;
        let num_rows = features.dim(0)?;
        let indices = packing.gather_indices(num_rows as u32);
        if let Some(index) = indices.iter().find(|index| **index as usize > num_rows) {
            return Err(ModelError::InputShape {
                what: "pixel values",
                got: pixel_values.dims().to_vec(),
                expected: format!("enough tiles for feature row {index}"),
            });
        }
        let table = concatenated(&[&features, &newline.unsqueeze(0)?])?;
        let mut embeds = gather_ids(&table, &indices)?;
        if let Some(size) = packing.shrunk {
            embeds = shrink::shrunk(&embeds, packing, size)?;
        }
        Ok((features_of(embeds), evidence))
    }

    /// Like [`LlavaModel::encode_tiles_with`], with the evidence attached to the features, for
    /// selectors to read crop by crop, if `packing` makes a token of every patch of every square
    /// (`fp_image::AnyRes::Fixed2880`); otherwise without evidence.
    ///
    /// # Errors
    /// The same.
    pub fn encode_tiles_for(
        &self,
        pixel_values: &Tensor,
        packing: &FeaturePacking,
        request: &VisionRequest,
    ) -> Result<ImageFeatures> {
        let Some(tokens) = packing.tokens_of_squares() else {
            return self.encode_tiles(pixel_values, packing);
        };
        let (features, vision) = self.encode_tiles_with(pixel_values, packing, request)?;
        Ok(ImageFeatures {
            crops: Some(Arc::new(CropFeatures { tokens, vision })),
            ..features
        })
    }

    /// Runs the projector alone, on features `[n, V]` as they would enter it
    /// ([`VisionRead::Features`], rows of a hidden state, or sums of such rows). With the CPU
    /// kernels, a row's result has the same bits for any other rows in the call.
    ///
    /// # Errors
    /// Another shape, no rows, or values that aren't finite.
    pub fn project_features(&self, features: &Tensor) -> Result<ImageFeatures> {
        let width = self.config().vision.hidden_size;
        match features.dims() {
            [count, found] if *count > 0 && *found == width => {}
            other => {
                return Err(ModelError::InputShape {
                    what: "vision features",
                    got: other.to_vec(),
                    expected: format!("[n, {width}] with n at least 1"),
                });
            }
        }
        let features = features
            .to_dtype(self.dtype())?
            .contiguous()?
            .to_device(self.device())?;
        let embeds = self.square()?.project(&features)?;
        Ok(features_of(embeds))
    }

    /// The vision part, if it takes squares.
    fn square(&self) -> Result<&SquareVision> {
        match &self.vision {
            Vision::Square(square) => Ok(square),
            Vision::Patches(_) => Err(ModelError::InputValue {
                what: "the image",
                found: "tiles, or features before the connector".to_owned(),
                expected: "pixel values of one image of any size, which is what this model takes"
                    .to_owned(),
            }),
        }
    }
}

fn features_of(embeds: Tensor) -> ImageFeatures {
    ImageFeatures {
        embeds,
        vision: None,
        crops: None,
        numbering: Numbering::Line,
    }
}
