//! Decodes image files to RGB, equal to Pillow's `Image.open(…).convert("RGB")`.
//!
//! Only the first frame of an animation is read. Alpha is dropped, never blended. 16-bit samples
//! keep their high byte, except grey ones, which Pillow clips at 255. EXIF orientation is
//! ignored; a TIFF's own orientation tag is applied. Colour profiles and gamma are ignored.
//!
//! Samples equal Pillow's, with one exception: JPEG data inside a TIFF may differ by one step.
//! Files that are known to decode differently are refused (`refused.rs`, and progressive JPEG
//! without all scans).

mod gif;
mod inspect;
mod jpeg;
mod pixels;
mod refused;
mod structure;

use std::io::Cursor;
use std::path::Path;

use fp_scoring::read_file;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::content::recognised;
use super::{ImageError, ImageSize, RgbImage, guarded};

pub use inspect::{Inspection, Remark, inspect};

/// Longest side in pixels: a picture that is one pixel high could have all its pixels in one row,
/// and resizing needs a table of that length.
const MOST_SIDE: u32 = 1 << 20;

/// Limits on a file's demands, above which it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels of an image, checked with its header before anything is allocated.
    pub max_pixels: u64,
}

impl Default for DecodeLimits {
    /// 178 956 970 pixels, above which Pillow also reports a decompression bomb.
    fn default() -> Self {
        Self {
            max_pixels: 178_956_970,
        }
    }
}

impl DecodeLimits {
    fn check(self, width: u32, height: u32) -> Result<(), ImageError> {
        if width.max(height) > MOST_SIDE {
            return Err(ImageError::TooLong {
                width,
                height,
                max_side: MOST_SIDE,
            });
        }
        if u64::from(width) * u64::from(height) > self.max_pixels {
            return Err(ImageError::TooLarge {
                width,
                height,
                max_pixels: self.max_pixels,
            });
        }
        Ok(())
    }

    pub(super) fn check_size(self, size: ImageSize) -> Result<(), ImageError> {
        let side = |s: usize| u32::try_from(s).unwrap_or(u32::MAX);
        self.check(side(size.width), side(size.height))
    }

    /// Bytes that a decoder may allocate: four 16-bit samples per pixel, and the same again for
    /// work.
    fn max_alloc(self) -> u64 {
        self.max_pixels.saturating_mul(16).saturating_add(1 << 20)
    }
}

/// Reads the image file at `path` with the default [`DecodeLimits`].
///
/// # Errors
/// [`ImageError::Io`] if it cannot be read, otherwise [`ImageError::InFile`] around the error of
/// [`decode`].
pub fn decode_file(path: &Path) -> Result<RgbImage, ImageError> {
    let bytes = read_file(path).map_err(|source| ImageError::Io {
        path: path.to_owned(),
        source,
    })?;
    decode(&bytes, DecodeLimits::default()).map_err(|source| ImageError::InFile {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// Reads an image from the bytes of a PNG, JPEG, GIF, WebP, BMP or TIFF file; its name is
/// ignored.
///
/// # Errors
/// [`ImageError::Empty`], [`ImageError::UnknownFormat`], [`ImageError::Damaged`] (including a
/// truncated file), [`ImageError::Decoder`], [`ImageError::Panicked`],
/// [`ImageError::Unsupported`], [`ImageError::NoDecoder`], [`ImageError::TooLarge`] and
/// [`ImageError::TooLong`].
pub fn decode(bytes: &[u8], limits: DecodeLimits) -> Result<RgbImage, ImageError> {
    let format = recognised(bytes)?;
    let (name, decoder) = names(format);
    refused::check(bytes, format, name)?;
    let decoded = guarded(decoder, || match format {
        ImageFormat::Jpeg => jpeg::decode(bytes, limits),
        ImageFormat::Gif => gif::decode(bytes, limits),
        ImageFormat::WebP => {
            check_riff_length(bytes)?;
            by_crate(bytes, format, name, limits)
        }
        _ => by_crate(bytes, format, name, limits),
    });
    decoded.unwrap_or_else(|source| {
        Err(ImageError::Panicked {
            format: name,
            source,
        })
    })
}

/// Names of a supported format and of its decoder.
fn names(format: ImageFormat) -> (&'static str, &'static str) {
    match format {
        ImageFormat::Png => ("PNG", "PNG decoder"),
        ImageFormat::Jpeg => ("JPEG", "JPEG decoder"),
        ImageFormat::Gif => ("GIF", "GIF decoder"),
        ImageFormat::WebP => ("WebP", "WebP decoder"),
        ImageFormat::Bmp => ("BMP", "BMP decoder"),
        _ => ("TIFF", "TIFF decoder"),
    }
}

/// A WebP file states at byte 4 how many bytes follow; the decoder accepts the first frame alone.
fn check_riff_length(bytes: &[u8]) -> Result<(), ImageError> {
    let stated = bytes
        .get(4..8)
        .and_then(|b| b.try_into().ok())
        .map(u32::from_le_bytes);
    let expected = u64::from(stated.unwrap_or(u32::MAX)) + 8;
    if expected > bytes.len() as u64 {
        let reason = format!("{expected} bytes declared, {} present", bytes.len());
        return Err(ImageError::damaged("WebP", reason));
    }
    Ok(())
}

/// A decoder of the `image` crate, with the header read and checked against the limits.
fn opened(
    bytes: &[u8],
    format: ImageFormat,
    name: &'static str,
    limits: DecodeLimits,
) -> Result<impl ImageDecoder, ImageError> {
    let failed = |error| crate_error(name, error);
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    limits.check(width, height)?;
    let mut allowed = image::Limits::no_limits();
    allowed.max_alloc = Some(limits.max_alloc());
    decoder.set_limits(allowed).map_err(failed)?;
    if decoder.original_color_type() == image::ExtendedColorType::Cmyk16 {
        return Err(ImageError::unsupported(name, "16-bit CMYK"));
    }
    Ok(decoder)
}

/// Decodes the formats for which the `image` crate agrees with Pillow to the last bit.
fn by_crate(
    bytes: &[u8],
    format: ImageFormat,
    name: &'static str,
    limits: DecodeLimits,
) -> Result<RgbImage, ImageError> {
    let failed = |error| crate_error(name, error);
    let mut decoder = opened(bytes, format, name, limits)?;
    let turned = match format {
        ImageFormat::Tiff => Some(decoder.orientation().map_err(failed)?),
        _ => None,
    };
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(failed)?;
    if let Some(orientation) = turned {
        decoded.apply_orientation(orientation);
    }
    // PNG's colour type, at a fixed offset: 4 is grey with alpha.
    let has_alpha = format != ImageFormat::Png || bytes.get(25) == Some(&4);
    pixels::to_rgb(decoded, has_alpha, name)
}

fn crate_error(format: &'static str, error: image::ImageError) -> ImageError {
    match error {
        image::ImageError::Unsupported(reason) => ImageError::NoDecoder {
            format,
            source: reason.into(),
        },
        image::ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            ImageError::damaged(format, "the file ends before the image does")
        }
        other => ImageError::Decoder {
            format,
            source: other.into(),
        },
    }
}
