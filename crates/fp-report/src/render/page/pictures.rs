//! Images of samples, small enough for a page: squares as the vision tower sees them, or in
//! their own shape where tokens lie on other grids.

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

/// Pixels along a picture's longer side, at most.
const SIDE: u32 = 224;
/// Of 100.
const JPEG_QUALITY: u8 = 72;
/// No picture is smaller.
const LEAST_BYTES: usize = 1024;

/// Pictures of a report, each encoded once, up to a number of bytes.
#[derive(Debug)]
pub(super) struct Pictures<'a> {
    run: &'a Run,
    sources: ImageSources<'a>,
    /// By dataset and what samples on one image share: a Parquet file holds an image
    /// once for each of its questions.
    known: HashMap<(usize, String), Option<usize>>,
    /// Data of `data:image/jpeg;base64,` addresses.
    pub(super) encoded: Vec<String>,
    /// Positions of those that the page shows by itself.
    stay: Vec<usize>,
    /// Whether the page holds those alone.
    is_apart: bool,
    most_bytes: usize,
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
            stay: Vec::new(),
            is_apart: false,
            most_bytes,
            bytes_left: most_bytes,
            num_left_out: 0,
            num_unreadable: 0,
            unreadable: None,
        }
    }

    /// Which picture shows a sample's image; none where it can't be read any more, its tokens
    /// lie on no grid that is known, or it would be too much.
    pub(super) fn of(&mut self, record: &ReportSample) -> Option<usize> {
        let aspect = self.run.spec.model.image_aspect;
        if aspect.is_none() && record.grids.is_empty() {
            return None;
        }
        let key = (record.dataset, record.image_id.clone());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        // What is full need not be tried.
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

    /// Bytes of all pictures, encoded.
    pub(super) fn bytes(&self) -> usize {
        self.encoded.iter().map(String::len).sum()
    }

    /// Leaves to the page only what it shows by itself.
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

    /// Pictures that the page holds, with their positions.
    pub(super) fn of_page(&self) -> impl Iterator<Item = (usize, &str)> {
        self.encoded
            .iter()
            .enumerate()
            .filter(|(index, _)| !self.is_apart || self.stay.contains(index))
            .map(|(index, data)| (index, data.as_str()))
    }

    /// What a reader should know of pictures that aren't there.
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

    /// Made a square by `aspect`, else in its own shape.
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
