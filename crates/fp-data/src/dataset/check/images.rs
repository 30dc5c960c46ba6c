//! Whether images can be read, told from as few bytes as possible.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use fp_image::{DecodeLimits, ImageError, decode, guarded};
use fp_scoring::{open_file, read_file};
use image::error::DecodingError;
use image::{ImageFormat, ImageReader};
use rayon::prelude::*;

use super::Look;
use crate::dataset::ImageRef;

/// Bytes of the beginning that usually say how large an image is.
const HEAD: u64 = 16 << 10;
/// Bytes of the end that say whether a file is whole.
const TAIL: u64 = 64;

/// What is wrong with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ImageFault {
    /// No such file, or one that can't be read.
    Unreadable,
    /// No bytes at all.
    Empty,
    /// A web page, a pointer of Git LFS, or anything else that is no image.
    NotAnImage,
    /// Damaged or cut off.
    Damaged,
    /// An image of a kind that isn't read here.
    Unsupported,
    /// More pixels than are decoded.
    TooLarge,
}

impl ImageFault {
    /// In words, behind a count.
    pub const fn name(self) -> &'static str {
        match self {
            ImageFault::Unreadable => "can't be read",
            ImageFault::Empty => "empty",
            ImageFault::NotAnImage => "not an image",
            ImageFault::Damaged => "damaged or truncated",
            ImageFault::Unsupported => "in an unsupported format",
            ImageFault::TooLarge => "too large",
        }
    }
}

/// One image that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ImageProblem {
    /// Its file, or its place in one.
    pub image: String,
    /// What kind of problem.
    pub kind: ImageFault,
    /// What was found.
    pub message: String,
    /// Questions about it.
    pub num_questions: usize,
}

/// Images that can't be used, counted by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImageProblems {
    counts: BTreeMap<ImageFault, usize>,
    first: Vec<ImageProblem>,
}

impl ImageProblems {
    /// How many are kept in full.
    pub const MOST_KEPT: usize = 100_000;

    pub(super) fn add(&mut self, kind: ImageFault, image: &ImageRef, message: &str, uses: usize) {
        *self.counts.entry(kind).or_default() += 1;
        if self.first.len() < Self::MOST_KEPT {
            self.first.push(ImageProblem {
                image: image.to_string(),
                kind,
                message: message.to_owned(),
                num_questions: uses,
            });
        }
    }

    /// Whether every image can be used.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Images that can't be used.
    pub fn len(&self) -> usize {
        self.counts.values().sum()
    }

    /// Images with each kind of problem.
    pub fn counts(&self) -> &BTreeMap<ImageFault, usize> {
        &self.counts
    }

    /// The first [`ImageProblems::MOST_KEPT`], in the order of the questions.
    pub fn first(&self) -> &[ImageProblem] {
        &self.first
    }
}

/// Width and height, or what is wrong.
pub(super) type Found = Result<[usize; 2], (ImageFault, String)>;

/// Looks at images, each by itself but for those of one Parquet file, whose rows are read
/// in their order. The result is in the order of `images`.
pub(super) fn look_at(images: &[&ImageRef], look: Look) -> Vec<Found> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of: HashMap<&Path, usize> = HashMap::new();
    for (index, image) in images.iter().enumerate() {
        match image {
            ImageRef::None | ImageRef::File(_) | ImageRef::Cell { .. } => groups.push(vec![index]),
            #[cfg(feature = "parquet")]
            ImageRef::Parquet { .. } => {
                let group = *group_of.entry(image.container()).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                });
                if let Some(group) = groups.get_mut(group) {
                    group.push(index);
                }
            }
        }
    }
    let look_at_group = |group: &Vec<usize>| -> Vec<(usize, Found)> {
        let mut indices = group.clone();
        indices.sort_by_key(|index| images.get(*index));
        let found = indices.into_iter().filter_map(|index| {
            let image = images.get(index)?;
            Some((index, look_at_one(image, look)))
        });
        found.collect()
    };
    let mut found: Vec<(usize, Found)> = groups.par_iter().flat_map_iter(look_at_group).collect();
    found.sort_by_key(|(index, _)| *index);
    found.into_iter().map(|(_, found)| found).collect()
}

fn look_at_one(image: &ImageRef, look: Look) -> Found {
    let unreadable = |error: io::Error| (ImageFault::Unreadable, error.to_string());
    match image.as_file() {
        Some(path) => look_at_file(path, look),
        None => look_at_bytes(&image.read().map_err(unreadable)?, look),
    }
}

fn look_at_file(path: &Path, look: Look) -> Found {
    let unreadable = |error: io::Error| (ImageFault::Unreadable, error.to_string());
    let whole = || read_file(path).map_err(unreadable);
    let mut file = open_file(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    if look == Look::Decode || length <= HEAD {
        return look_at_bytes(&whole()?, look);
    }
    let mut head = Vec::new();
    (&mut file)
        .take(HEAD)
        .read_to_end(&mut head)
        .map_err(unreadable)?;
    let format = format_of(&head)?;
    let mut tail = Vec::new();
    let start = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    file.read_to_end(&mut tail).map_err(unreadable)?;
    match size_of(&head, format) {
        Ok(size) if is_end(format, &head, &tail, length) => within_limits(size),
        // Long comments, an index at the end, or damage: all of the file tells.
        _ => look_at_bytes(&whole()?, look),
    }
}

fn look_at_bytes(bytes: &[u8], look: Look) -> Found {
    if bytes.is_empty() {
        return Err((ImageFault::Empty, "the file is empty (0 bytes)".to_owned()));
    }
    let format = format_of(bytes)?;
    let size = size_of(bytes, format);
    let tail = bytes.len().saturating_sub(TAIL as usize);
    let tail = bytes.get(tail..).unwrap_or_default();
    match size {
        Ok(size) if look == Look::Header && is_end(format, bytes, tail, bytes.len() as u64) => {
            within_limits(size)
        }
        _ => {
            let image = decode(bytes, DecodeLimits::default()).map_err(|error| fault(&error))?;
            let size = image.size();
            Ok([size.width, size.height])
        }
    }
}

fn within_limits([width, height]: [usize; 2]) -> Found {
    let most = DecodeLimits::default().max_pixels;
    match (width as u64).saturating_mul(height as u64) {
        0 => Err((
            ImageFault::Damaged,
            format!("the image has no pixels ({width}×{height})"),
        )),
        pixels if pixels > most => Err((
            ImageFault::TooLarge,
            format!("{width}×{height} pixels; must be at most {most} in all"),
        )),
        _ => Ok([width, height]),
    }
}

/// The format, if it is one that is read here.
fn format_of(bytes: &[u8]) -> Result<ImageFormat, (ImageFault, String)> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
    match image::guess_format(bytes) {
        Ok(format @ (Png | Jpeg | Gif | WebP | Bmp | Tiff)) => Ok(format),
        Ok(other) => Err((
            ImageFault::Unsupported,
            format!("a {other:?} image; expected PNG, JPEG, GIF, WebP, BMP or TIFF"),
        )),
        Err(_) => Err((ImageFault::NotAnImage, what_else(bytes))),
    }
}

/// What a file is that is no image: what downloads leave in its place.
fn what_else(bytes: &[u8]) -> String {
    let start = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let text = String::from_utf8_lossy(start).to_lowercase();
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if text.starts_with("version https://git-lfs") {
        return "a pointer of Git LFS, not the image: `git lfs pull` fetches it".to_owned();
    }
    if text.starts_with("<!doctype html") || text.starts_with("<html") {
        return "a web page (HTML), not an image: the download failed".to_owned();
    }
    if text.starts_with('<') {
        return "XML, such as SVG or a server's error message, not an image".to_owned();
    }
    if start.iter().all(|byte| *byte == 0) {
        return "nothing but zero bytes".to_owned();
    }
    let shown: String = bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x} "))
        .collect();
    format!(
        "not an image in a known format (it begins with {})",
        shown.trim_end()
    )
}

fn size_of(bytes: &[u8], format: ImageFormat) -> Result<[usize; 2], image::ImageError> {
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let dimensions = guarded("image decoder", || reader.into_dimensions());
    let (width, height) = dimensions.unwrap_or_else(|panic| {
        // As for any content that the decoder refuses.
        let damage = DecodingError::new(format.into(), panic);
        Err(image::ImageError::Decoding(damage))
    })?;
    Ok([width as usize, height as usize])
}

/// Whether a file ends as one of its format does that was not cut off. One that doesn't
/// may still be whole, with something behind the image.
fn is_end(format: ImageFormat, head: &[u8], tail: &[u8], length: u64) -> bool {
    let stated = |from: usize| {
        let bytes = head.get(from..from + 4)?;
        Some(u64::from(u32::from_le_bytes(bytes.try_into().ok()?)))
    };
    match format {
        ImageFormat::Jpeg => tail.ends_with(&[0xff, 0xd9]),
        ImageFormat::Png => tail.ends_with(b"IEND\xae\x42\x60\x82"),
        ImageFormat::Gif => tail.ends_with(&[0x3b]),
        ImageFormat::WebP => stated(4).is_some_and(|riff| riff + 8 <= length),
        ImageFormat::Bmp => stated(2).is_some_and(|size| size == length),
        // Strips lie anywhere: all of it has to be read.
        _ => false,
    }
}

fn fault(error: &ImageError) -> (ImageFault, String) {
    let kind = match error {
        ImageError::Empty => ImageFault::Empty,
        ImageError::UnknownFormat { .. } => ImageFault::NotAnImage,
        ImageError::Unsupported { .. } => ImageFault::Unsupported,
        ImageError::TooLarge { .. } | ImageError::TooLong { .. } => ImageFault::TooLarge,
        ImageError::InFile { source, .. } => return fault(source),
        ImageError::Io { .. } => ImageFault::Unreadable,
        _ => ImageFault::Damaged,
    };
    (kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(format: ImageFormat, side: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = image::RgbImage::from_fn(side, side / 2, |x, y| {
            image::Rgb([
                (x * 7 % 251) as u8,
                (y * 13 % 241) as u8,
                (x * y % 239) as u8,
            ])
        });
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Looked at as a file and as bytes, by its header and by all of its pixels.
    fn looks(bytes: &[u8]) -> [Found; 2] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        [Look::Header, Look::Decode].map(|look| {
            let by_file = look_at_file(file.path(), look);
            assert_eq!(by_file, look_at_bytes(bytes, look));
            by_file
        })
    }

    #[test]
    fn whole_images_have_their_size_and_cut_ones_are_damaged() {
        use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
        for format in [Png, Jpeg, Gif, WebP, Bmp, Tiff] {
            for side in [8, 400] {
                let bytes = encoded(format, side);
                let size = [side as usize, side as usize / 2];
                assert_eq!(looks(&bytes), [Ok(size), Ok(size)], "{format:?}");
                let cut = &bytes[..bytes.len() * 2 / 3];
                for found in looks(cut) {
                    let kind = found.unwrap_err().0;
                    assert_eq!(kind, ImageFault::Damaged, "{format:?} of {side}");
                }
            }
        }
    }

    #[test]
    fn something_behind_an_image_does_no_harm() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            let bytes = [&encoded(format, 400)[..], &[0; 100]].concat();
            assert_eq!(
                looks(&bytes),
                [Ok([400, 200]), Ok([400, 200])],
                "{format:?}"
            );
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let long = "x".repeat(20_000);
        for (text, kind, said) in [
            ("", ImageFault::Empty, "0 bytes"),
            (
                "version https://git-lfs.github.com/spec/v1\noid sha256:00",
                ImageFault::NotAnImage,
                "Git LFS",
            ),
            ("\n<!DOCTYPE html><html>", ImageFault::NotAnImage, "HTML"),
            (
                "<?xml version=\"1.0\"?><Error>",
                ImageFault::NotAnImage,
                "XML",
            ),
            ("\0\0\0\0", ImageFault::NotAnImage, "zero bytes"),
            (&long, ImageFault::NotAnImage, "begins with 78 78"),
            ("\0\0\0\x20ftypavif", ImageFault::Unsupported, "Avif"),
        ] {
            for found in looks(text.as_bytes()) {
                let (found, message) = found.unwrap_err();
                assert_eq!(found, kind, "{text:.20}");
                assert!(message.contains(said), "{message}");
            }
        }
        let missing = look_at_file(Path::new("there-is-none.png"), Look::Header);
        assert_eq!(missing.unwrap_err().0, ImageFault::Unreadable);
    }
}
