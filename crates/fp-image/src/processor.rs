//! From pixels to `pixel_values`: optional padding, resize, centre crop, rescale, normalise.

use rayon::prelude::*;

use super::anyres::{AnyResPixels, GridPinpoints, Tiling};
use super::config::{PreprocessorConfig, ResizeTarget};
use super::framing::CropLine;
use super::resample::{Canvas, Crop, resize_canvas};
use super::{DecodeLimits, ImageAspect, ImageError, ImageSize, RgbImage};

/// The vision tower's input for one image: `[3, height, width]`, channels first.
#[derive(Debug, Clone, PartialEq)]
pub struct PixelValues {
    /// All red values row by row, then green, then blue.
    pub data: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// Converts decoded images to pixel values, equal to those of Hugging Face's `CLIPImageProcessor`
/// (slow, Pillow-backed) with the same configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageProcessor {
    config: PreprocessorConfig,
    /// The value of each of the 256 samples of each channel: after the resize every value is a
    /// function of one 8-bit sample.
    values: [Vec<f32>; 3],
}

impl ImageProcessor {
    /// A processor for `config`.
    #[must_use]
    pub fn new(config: PreprocessorConfig) -> Self {
        let values = [0, 1, 2].map(|channel| {
            (0..=u8::MAX)
                .map(|sample| value_of(&config, channel, sample))
                .collect()
        });
        Self { config, values }
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &PreprocessorConfig {
        &self.config
    }

    /// The colour of padding: the channel means as 8-bit samples, rounded down.
    #[must_use]
    pub fn padding_color(&self) -> [u8; 3] {
        self.config.image_mean.map(|mean| (mean * 255.0) as u8)
    }

    /// The picture for pixel values, as the vision tower sees it: padded or cropped, resized,
    /// with rescaling and normalisation undone.
    ///
    /// # Errors
    /// [`ImageError::NoPixels`] or [`ImageError::RawLength`] for values that do not form an
    /// image.
    pub fn picture(&self, pixels: &PixelValues) -> Result<RgbImage, ImageError> {
        let len = pixels.width.saturating_mul(pixels.height);
        let samples = (0..len.saturating_mul(3)).map_while(|at| {
            let (pixel, channel) = (at / 3, at % 3);
            let value = pixels.data.get(channel * len + pixel)?;
            Some(nearest(&self.values[channel], *value))
        });
        RgbImage::new(pixels.width, pixels.height, samples.collect())
    }

    /// Reduces the picture of [`Self::picture`] to `width` × `height` and places it in the upper
    /// left corner of pixel values of the original size; the rest has the padding's colour.
    ///
    /// # Errors
    /// As [`Self::picture`], and a size of 0 or larger than the picture.
    pub fn shrink(
        &self,
        pixels: &PixelValues,
        width: usize,
        height: usize,
    ) -> Result<PixelValues, ImageError> {
        if width > pixels.width || height > pixels.height {
            return Err(ImageError::RawLength {
                width,
                height,
                expected: pixels.width * pixels.height * 3,
                got: width * height * 3,
            });
        }
        let size = ImageSize { height, width };
        let small = super::resample::resize(&self.picture(pixels)?, size, self.config.resample)?;
        let padding = self.padding_color();
        let mut data = Vec::with_capacity(pixels.data.len());
        for (channel, values) in self.values.iter().enumerate() {
            let mut plane =
                vec![values[usize::from(padding[channel])]; pixels.width * pixels.height];
            let targets = plane.chunks_exact_mut(pixels.width);
            for (target, row) in targets.zip(small.rows()) {
                let samples = row.iter().skip(channel).step_by(3);
                for (value, &sample) in target.iter_mut().zip(samples) {
                    *value = values[usize::from(sample)];
                }
            }
            data.extend(plane);
        }
        Ok(PixelValues {
            data,
            height: pixels.height,
            width: pixels.width,
        })
    }

    /// Preprocesses one image.
    ///
    /// # Errors
    /// [`ImageError::NoPixels`] if a configured size leaves no pixels.
    pub fn preprocess(
        &self,
        image: &RgbImage,
        aspect: ImageAspect,
    ) -> Result<PixelValues, ImageError> {
        let canvas = match aspect {
            // Resizing to whole cells keeps the image's own shape.
            _ if self.keeps_shape() => Canvas::tight(image),
            ImageAspect::Pad => Canvas::square(image, self.padding_color()),
            ImageAspect::Crop => Canvas::tight(image),
        };
        self.preprocess_canvas(image, canvas)
    }

    /// Whether images are resized in their own shape, without padding or cropping.
    #[must_use]
    pub fn keeps_shape(&self) -> bool {
        matches!(self.config.resize, Some(ResizeTarget::Smart(_)))
    }

    /// The size that [`Self::preprocess`] gives an image of `size`; `None` if all images get the
    /// same size.
    ///
    /// # Errors
    /// As [`super::SmartResize::size`].
    pub fn size_of(&self, size: ImageSize) -> Result<Option<ImageSize>, ImageError> {
        match self.config.resize {
            Some(ResizeTarget::Smart(rule)) => rule.size(size).map(Some),
            _ => Ok(None),
        }
    }

    /// Preprocesses one image at any resolution: the whole image squeezed to the tower's input,
    /// then the tiles of the image enlarged to the best of `pinpoints`, row by row.
    ///
    /// # Errors
    /// [`ImageError::PinpointNotTiled`], [`ImageError::NoFittingPinpoint`], and
    /// [`ImageError::ConfigField`] if the configuration does not define a square tile.
    pub fn preprocess_anyres(
        &self,
        image: &RgbImage,
        pinpoints: &GridPinpoints,
    ) -> Result<AnyResPixels, ImageError> {
        let tiling = Tiling::new(image.size(), pinpoints, self.tile_side()?)?;
        self.preprocess_tiles(image, tiling)
    }

    /// As [`Self::preprocess_anyres`], in the fixed form: two by two tiles for any image size.
    ///
    /// # Errors
    /// [`ImageError::ConfigField`] if the configuration does not define a square tile, and
    /// [`ImageError::TooLarge`] if four of them exceed the limits of an image.
    pub fn preprocess_fixed(&self, image: &RgbImage) -> Result<AnyResPixels, ImageError> {
        let tiling = Tiling::fixed(image.size(), self.tile_side()?)?;
        self.preprocess_tiles(image, tiling)
    }

    fn preprocess_tiles(
        &self,
        image: &RgbImage,
        tiling: Tiling,
    ) -> Result<AnyResPixels, ImageError> {
        let tile_side = tiling.tile_side;
        let base_side = match self.config.resize {
            Some(ResizeTarget::ShortestEdge(side)) => side,
            Some(ResizeTarget::Exact { height, width }) => height.min(width),
            Some(ResizeTarget::Smart(_)) | None => tile_side,
        };
        let base = ImageSize {
            height: base_side,
            width: base_side,
        };
        let base = super::resample::resize(image, base, self.config.resample)?;
        let tiles = tiling.cut(image, self.config.resample)?;
        let values: Result<Vec<_>, _> = std::iter::once(&base)
            .chain(&tiles)
            .map(|tile| self.preprocess_canvas(tile, Canvas::tight(tile)))
            .collect();
        Ok(AnyResPixels {
            tiles: values?,
            tiling,
        })
    }

    /// The side of one tile: the crop, or without a crop the target size of the resize, which
    /// must be square for tiles to join without gaps.
    fn tile_side(&self) -> Result<usize, ImageError> {
        match (self.config.crop, self.config.resize) {
            (Some([height, width]), _) if height == width => Ok(height),
            (None, Some(ResizeTarget::Exact { height, width })) if height == width => Ok(height),
            (other, _) => Err(ImageError::ConfigField {
                field: "crop_size",
                got: format!("{other:?}"),
                expected: "a square crop, the side of one tile",
            }),
        }
    }

    fn preprocess_canvas(
        &self,
        image: &RgbImage,
        canvas: Canvas,
    ) -> Result<PixelValues, ImageError> {
        let resized = match self.config.resize {
            None => canvas.size,
            Some(target) => target.size(canvas.size)?,
        };
        let [height, width] = self.config.crop.unwrap_or([resized.height, resized.width]);
        // Without a crop, an elongated image can need more pixels than the file has.
        DecodeLimits::default().check_size(ImageSize { height, width })?;
        let rows = CropLine::new(resized.height, height);
        let columns = CropLine::new(resized.width, width);
        let crop = Crop {
            rows: rows.source.clone(),
            columns: columns.source.clone(),
        };
        let pixels = resize_canvas(image, canvas, resized, &crop, self.config.resample)?;

        // Black padding, as added by the crop, is normalised like any other pixel.
        let mut data = Vec::with_capacity(3 * height * width);
        for values in &self.values {
            data.resize(data.len() + height * width, values[0]);
        }
        data.par_chunks_exact_mut(height * width)
            .zip(&self.values)
            .enumerate()
            .for_each(|(channel, (plane, values))| {
                let targets = plane.chunks_exact_mut(width).skip(rows.target);
                for (target, row) in targets.zip(pixels.rows()) {
                    let samples = row.iter().skip(channel).step_by(3);
                    for (value, &sample) in target.iter_mut().skip(columns.target).zip(samples) {
                        *value = values[usize::from(sample)];
                    }
                }
            });
        Ok(PixelValues {
            data,
            height,
            width,
        })
    }
}

/// The sample whose value among `values`, which ascend, is nearest to `value`.
fn nearest(values: &[f32], value: f32) -> u8 {
    let above = values.partition_point(|&other| other < value);
    let below = above.saturating_sub(1);
    let distance = |at: usize| values.get(at).map_or(f32::INFINITY, |v| (v - value).abs());
    let sample = if distance(above) < distance(below) {
        above
    } else {
        below
    };
    sample.min(usize::from(u8::MAX)) as u8
}

/// Rescaling is done in f64 and rounded to f32, normalisation in f32, as in NumPy.
fn value_of(config: &PreprocessorConfig, channel: usize, sample: u8) -> f32 {
    let rescaled = match config.rescale_factor {
        Some(factor) => (f64::from(sample) * factor) as f32,
        None => f32::from(sample),
    };
    match &config.normalize {
        Some(statistics) => {
            (rescaled - statistics.mean[channel] as f32) / statistics.std[channel] as f32
        }
        None => rescaled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn striped(width: usize, height: usize) -> RgbImage {
        let data = (0..height * width)
            .flat_map(|i| [(i % 251) as u8, (i % 7) as u8, 9])
            .collect();
        RgbImage::new(width, height, data).expect("right length")
    }

    fn processor(json: &str) -> ImageProcessor {
        ImageProcessor::new(PreprocessorConfig::from_json(json).expect("valid"))
    }

    #[test]
    fn padding_takes_the_mean_colour_rounded_down() {
        assert_eq!(
            ImageProcessor::new(PreprocessorConfig::default()).padding_color(),
            [122, 116, 104]
        );
    }

    #[test]
    fn what_the_tower_sees_is_the_image_where_nothing_is_resized() {
        let image = striped(6, 6);
        for json in [
            r#"{"size": 6, "crop_size": 6}"#,
            r#"{"size": 6, "crop_size": 6, "do_normalize": false}"#,
            r#"{"size": 6, "crop_size": 6, "do_normalize": false, "do_rescale": false}"#,
        ] {
            let processor = processor(json);
            let pixels = processor
                .preprocess(&image, ImageAspect::Pad)
                .expect("square");
            assert_eq!(
                processor.picture(&pixels).expect("an image"),
                image,
                "{json}"
            );
        }
        let broken = PixelValues {
            data: vec![0.0; 5],
            height: 2,
            width: 1,
        };
        let refused = ImageProcessor::new(PreprocessorConfig::default()).picture(&broken);
        assert!(matches!(refused, Err(ImageError::RawLength { .. })));
    }

    #[test]
    fn a_smaller_picture_lies_in_the_corner() {
        let processor =
            processor(r#"{"size": 4, "crop_size": 4, "do_normalize": false, "do_rescale": false}"#);
        let image = RgbImage::new(4, 4, vec![7; 48]).expect("right length");
        let pixels = processor
            .preprocess(&image, ImageAspect::Pad)
            .expect("square");
        let small = processor.shrink(&pixels, 2, 3).expect("smaller");
        let red: Vec<_> = small.data[..16].chunks(4).map(<[f32]>::to_vec).collect();
        let inside = vec![7.0, 7.0, 122.0, 122.0];
        assert_eq!(red[..3], [inside.clone(), inside.clone(), inside]);
        assert_eq!(red[3], [122.0; 4]);
        let whole = processor.shrink(&pixels, 4, 4).expect("as large");
        assert_eq!(whole, pixels);
        assert!(processor.shrink(&pixels, 5, 4).is_err());
        assert!(processor.shrink(&pixels, 0, 4).is_err());
    }

    #[test]
    fn a_wide_image_is_padded_above_and_below() {
        let plain = r#"{"do_resize": false, "do_center_crop": false, "do_rescale": false,
                        "do_normalize": false}"#;
        let values = processor(plain)
            .preprocess(&striped(5, 2), ImageAspect::Pad)
            .expect("padded");
        assert_eq!((values.height, values.width), (5, 5));
        let red: Vec<_> = values.data[..25].chunks(5).map(|row| row[0]).collect();
        assert_eq!(red, [122.0, 0.0, 5.0, 122.0, 122.0]);
    }

    #[test]
    fn a_crop_beyond_the_image_is_black() {
        let small = r#"{"do_resize": false, "crop_size": 4, "do_rescale": false,
                        "do_normalize": false}"#;
        let values = processor(small)
            .preprocess(&striped(2, 1), ImageAspect::Crop)
            .expect("cropped");
        let mut red = [0.0; 16];
        red[2 * 4 + 2] = 1.0; // 3 extra rows: two above; 2 extra columns: one left of samples 0, 1
        assert_eq!(values.data[..16], red);
    }

    #[test]
    fn extreme_shapes_stay_cheap() {
        for (width, height) in [(1, 1), (20_000, 10), (10, 20_000), (1, 3), (5_000, 1)] {
            for &aspect in ImageAspect::ALL {
                let values = ImageProcessor::new(PreprocessorConfig::default())
                    .preprocess(&striped(width, height), aspect)
                    .expect("any shape works");
                assert_eq!(values.data.len(), 3 * 224 * 224);
                assert!(values.data.iter().all(|v| v.is_finite()));
            }
        }
    }
}
