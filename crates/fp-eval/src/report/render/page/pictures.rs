//! Images of samples as the vision tower sees them, small enough for a page.

use std::collections::HashMap;

use fp_model::image::ImageAspect;
use image::imageops::{FilterType, crop_imm, overlay, resize};
use image::{ExtendedColorType, ImageEncoder, Rgb, RgbImage};

use super::base64;
use super::image_sources::ImageSources;
use crate::report::format::counted;
use crate::report::run::Run;
use crate::study::{EncodedImage, SampleRecord};

/// Pixels along a picture's side, at most.
const SIDE: u32 = 224;
/// Of 100.
const JPEG_QUALITY: u8 = 72;
/// What padding is filled with before CLIP: the mean colour of its training images.
const PADDING: Rgb<u8> = Rgb([122, 116, 104]);

/// Pictures of a page, each encoded once, up to a number of bytes.
#[derive(Debug)]
pub(super) struct Pictures<'a> {
    run: &'a Run,
    sources: ImageSources<'a>,
    /// By data set and what samples on one image share: a Parquet file holds an image
    /// once for each of its questions.
    known: HashMap<(usize, String), Option<usize>>,
    /// Data of `data:image/jpeg;base64,` addresses.
    pub(super) encoded: Vec<String>,
    bytes_left: usize,
    num_left_out: usize,
    num_unreadable: usize,
    /// Why the first one that couldn't be read couldn't.
    unreadable: Option<String>,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(run: &'a Run, most_bytes: usize) -> Pictures<'a> {
        Pictures {
            run,
            sources: ImageSources::new(run),
            known: HashMap::new(),
            encoded: Vec::new(),
            bytes_left: most_bytes,
            num_left_out: 0,
            num_unreadable: 0,
            unreadable: None,
        }
    }

    /// Which picture shows a sample's image; none where it can't be read any more,
    /// isn't one square, or would be too much.
    pub(super) fn of(&mut self, record: &SampleRecord) -> Option<usize> {
        let aspect = self.run.spec.model.image_aspect?;
        let key = (record.dataset, record.image_id.clone());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let index = match self.encode(record, aspect) {
            Ok(text) if text.len() <= self.bytes_left => {
                self.bytes_left -= text.len();
                self.encoded.push(text);
                Some(self.encoded.len() - 1)
            }
            Ok(_) => {
                self.num_left_out += 1;
                None
            }
            Err(reason) => {
                self.num_unreadable += 1;
                self.unreadable.get_or_insert(reason);
                None
            }
        };
        self.known.insert(key, index);
        index
    }

    /// What a reader should know of pictures that aren't there.
    pub(super) fn note(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.num_left_out > 0 {
            let images = counted(self.num_left_out, "image");
            parts.push(format!("{images} would have been too much for one page."));
        }
        if let Some(reason) = &self.unreadable {
            let images = counted(self.num_unreadable, "image");
            parts.push(format!("{images} can't be read any more: {reason}."));
        }
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    fn encode(&mut self, record: &SampleRecord, aspect: ImageAspect) -> Result<String, String> {
        let source = self.sources.of(record)?;
        let decoded = EncodedImage::new(&source)
            .decode()
            .map_err(|error| crate::error_text(&error))?;
        let (width, height) = (decoded.width() as u32, decoded.height() as u32);
        let image = RgbImage::from_raw(width, height, decoded.as_raw().to_vec())
            .ok_or_else(|| format!("{source} has not as many bytes as pixels"))?;
        let image = squared(&image, aspect);
        let side = image.width().min(SIDE);
        let image = match image.width() > SIDE {
            true => resize(&image, side, side, FilterType::Triangle),
            false => image,
        };
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
            .write_image(image.as_raw(), side, side, ExtendedColorType::Rgb8)
            .map_err(|error| crate::error_text(&error))?;
        Ok(base64::encode(&jpeg))
    }
}

/// The square that the grid of tokens lies on.
fn squared(image: &RgbImage, aspect: ImageAspect) -> RgbImage {
    let (width, height) = image.dimensions();
    let (short, long) = (width.min(height), width.max(height));
    match aspect {
        ImageAspect::Pad => {
            let mut square = RgbImage::from_pixel(long, long, PADDING);
            let (x, y) = ((long - width) / 2, (long - height) / 2);
            overlay(&mut square, image, i64::from(x), i64::from(y));
            square
        }
        ImageAspect::Crop => {
            let (x, y) = ((width - short) / 2, (height - short) / 2);
            crop_imm(image, x, y, short, short).to_image()
        }
    }
}

/// Boxes of a sample on its grid, `[x, y, width, height]` in tokens.
pub(super) fn boxes_on_grid(run: &Run, record: &SampleRecord) -> Vec<[f64; 4]> {
    let (Some(side), Some(aspect), Some([width, height])) = (
        run.grid_side(),
        run.spec.model.image_aspect,
        record.image_size,
    ) else {
        return Vec::new();
    };
    let square = match aspect {
        ImageAspect::Pad => width.max(height),
        ImageAspect::Crop => width.min(height),
    };
    let cell = square as f64 / side as f64;
    let offset = |length: usize| (square as i64 - length as i64).div_euclid(2) as f64;
    let (dx, dy) = (offset(width), offset(height));
    let limit = |value: f64| (value / cell).clamp(0.0, side as f64);
    record
        .boxes
        .iter()
        .map(|&[x0, y0, x1, y1]| {
            let (left, top) = (limit(x0 + dx), limit(y0 + dy));
            [left, top, limit(x1 + dx) - left, limit(y1 + dy) - top]
        })
        .filter(|b| b[2] > 0.0 && b[3] > 0.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_keep_the_image_in_the_middle() {
        let image = RgbImage::from_pixel(4, 2, Rgb([9, 9, 9]));
        let padded = squared(&image, ImageAspect::Pad);
        assert_eq!(padded.dimensions(), (4, 4));
        assert_eq!(*padded.get_pixel(0, 0), PADDING);
        assert_eq!(*padded.get_pixel(0, 1), Rgb([9, 9, 9]));
        assert_eq!(squared(&image, ImageAspect::Crop).dimensions(), (2, 2));
    }
}
