//! Images of samples, small enough for a page: squares as prepared for the vision tower, or in
//! their own shape where tokens are on other grids.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fp_eval::format::{bytes, counted};
use fp_eval::study::EncodedImage;
use fp_image::ImageAspect;
use image::{ExtendedColorType, ImageEncoder, RgbImage};

use super::image_sources::ImageSources;
use crate::drawing::{shrunk, squared};
use crate::run::Run;
use crate::sample::ReportSample;

/// Largest side of a picture, in pixels.
const SIDE: u32 = 224;
/// JPEG quality, from 0 to 100.
const JPEG_QUALITY: u8 = 72;
/// Lower bound on the bytes of a picture.
const LEAST_BYTES: usize = 1024;

/// The pictures of a report, each encoded once, up to a total number of bytes.
#[derive(Debug)]
pub(super) struct Pictures<'a> {
    run: &'a Run,
    sources: ImageSources<'a>,
    /// Pictures by dataset and image id: a Parquet file repeats an image for each of its questions.
    known: HashMap<(usize, String), Option<usize>>,
    /// Data for `data:image/jpeg;base64,` URLs.
    pub(super) encoded: Vec<String>,
    /// Indices of those that the page itself shows.
    stay: Vec<usize>,
    /// Whether the page contains only those.
    is_apart: bool,
    most_bytes: usize,
    bytes_left: usize,
    num_left_out: usize,
    num_unreadable: usize,
    /// Why the first unreadable one couldn't be read.
    unreadable: Option<String>,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(run: &'a Run, most_bytes: usize) -> Pictures<'a> {
        Pictures {
            run,
            sources: ImageSources::new(run),
            known: HashMap::new(),
            encoded: Vec::new(),
            stay: Vec::new(),
            is_apart: false,
            most_bytes,
            bytes_left: most_bytes,
            num_left_out: 0,
            num_unreadable: 0,
            unreadable: None,
        }
    }

    /// Index of the picture of a sample's image; `None` where the image can't be read any more, its
    /// token grid is unknown, or the limit is exceeded.
    pub(super) fn of(&mut self, record: &ReportSample) -> Option<usize> {
        let aspect = self.run.spec.model.image_aspect;
        if aspect.is_none() && record.grids.is_empty() {
            return None;
        }
        let key = (record.dataset, record.image_id.clone());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        // Once the limit is reached, no picture is tried.
        let is_full = self.bytes_left < LEAST_BYTES;
        let encoded = if is_full {
            Ok(String::new())
        } else {
            self.encode(record, aspect)
        };
        let index = match encoded {
            Ok(_) if is_full => {
                self.num_left_out += 1;
                None
            }
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

    /// Total bytes of the encoded pictures.
    pub(super) fn bytes(&self) -> usize {
        self.encoded.iter().map(String::len).sum()
    }

    /// Restricts the page to the pictures that it shows itself.
    pub(super) fn keep_apart(&mut self) {
        self.is_apart = true;
    }

    /// As [`Pictures::of`], for a picture that the page itself shows.
    pub(super) fn in_page(&mut self, record: &ReportSample) -> Option<usize> {
        let index = self.of(record)?;
        if !self.stay.contains(&index) {
            self.stay.push(index);
        }
        Some(index)
    }

    /// Pictures in the page, with their indices.
    pub(super) fn of_page(&self) -> impl Iterator<Item = (usize, &str)> {
        self.encoded
            .iter()
            .enumerate()
            .filter(|(index, _)| !self.is_apart || self.stay.contains(index))
            .map(|(index, data)| (index, data.as_str()))
    }

    /// Remark on missing pictures.
    pub(super) fn note(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.num_left_out > 0 {
            let images = counted(self.num_left_out, "image");
            let most = bytes(self.most_bytes as f64);
            parts.push(format!(
                "{images} not shown: a report holds images of {most} at most."
            ));
        }
        if let Some(reason) = &self.unreadable {
            let images = counted(self.num_unreadable, "image");
            parts.push(format!("{images} can't be read any more: {reason}."));
        }
        (!parts.is_empty()).then(|| parts.join(" "))
    }

    /// Encodes the image, squared by `aspect` or in its own shape.
    fn encode(
        &mut self,
        record: &ReportSample,
        aspect: Option<ImageAspect>,
    ) -> Result<String, String> {
        let source = self.sources.of(record)?;
        let decoded = EncodedImage::new(&source)
            .decode()
            .map_err(|error| fp_scoring::error_text(&error))?;
        let (width, height) = (decoded.width() as u32, decoded.height() as u32);
        let image = RgbImage::from_raw(width, height, decoded.as_raw().to_vec())
            .ok_or_else(|| format!("{source} has not as many bytes as pixels"))?;
        let image = match aspect {
            Some(aspect) => squared(&image, aspect, SIDE),
            None => shrunk(image, SIDE),
        };
        let (width, height) = image.dimensions();
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
            .write_image(image.as_raw(), width, height, ExtendedColorType::Rgb8)
            .map_err(|error| fp_scoring::error_text(&error))?;
        Ok(STANDARD.encode(&jpeg))
    }
}
