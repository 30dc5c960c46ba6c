//! Inspects an image's headers and structure without decoding its pixels.

use std::fmt;

use image::{ImageDecoder, ImageFormat};

use super::super::{ImageError, ImageSize, guarded};
use super::structure::{self, Structure};
use super::{DecodeLimits, decode, names, opened, pixels, refused};
use crate::content::recognised;

/// Information from the header and the structure of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Name of the format, such as `PNG`.
    pub format: &'static str,
    /// Height and width in pixels, equal to those from [`decode`].
    pub size: ImageSize,
    /// Differences that matter when the picture is viewed in another program.
    pub remarks: Vec<Remark>,
}

/// Differences between the pixels of [`decode`] and those shown by another program. Each follows
/// Pillow's `convert("RGB")`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Remark {
    /// An EXIF orientation other than 1, which is ignored: pixels are as stored.
    Turned {
        /// The orientation, 2 to 8.
        orientation: u16,
    },
    /// 16-bit grey, whose samples are clipped at 255, so that nearly all of them become white.
    Grey16,
    /// Several frames or pages, of which the first is read.
    Animated {
        /// Number of frames found; for PNG the number that the file declares.
        num_frames: usize,
    },
    /// A palette with transparent colours, which are treated as opaque.
    PaletteAlpha,
    /// The pixels can be decoded, but the rest of the file is incomplete.
    Irregular {
        /// What is wrong with it.
        reason: String,
    },
}

impl fmt::Display for Remark {
    /// A sentence without its final stop, for an image that was named before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::Turned { orientation } => write!(
                f,
                "its EXIF orientation ({orientation}) is ignored: the model sees the pixels as stored, as in LLaVA"
            ),
            Remark::Grey16 => f.write_str(
                "it is 16-bit grey, of which every sample above 255 becomes white, as in Pillow's convert(\"RGB\"); scale it to 8 bits",
            ),
            Remark::Animated { num_frames } => write!(
                f,
                "it has {num_frames} frames or pages, of which the model sees the first"
            ),
            Remark::PaletteAlpha => f.write_str(
                "colours of its palette are transparent: the model sees them as opaque",
            ),
            Remark::Irregular { reason } => {
                write!(f, "it can be decoded, but is incomplete: {reason}")
            }
        }
    }
}

/// Checks an image's headers, and whether its structure is complete: every chunk of a PNG with
/// its checksum, all scans of a JPEG to its end marker, all blocks of a GIF, all chunks of a
/// WebP, the rows of a BMP and the strips of a TIFF. Compressed data isn't unpacked, so damage
/// inside it is not found; if the structure is irregular, [`decode`] decides.
///
/// # Errors
/// The errors of [`decode`] that can be found this way.
pub fn inspect(bytes: &[u8], limits: DecodeLimits) -> Result<Inspection, ImageError> {
    let format = recognised(bytes)?;
    let (name, decoder) = names(format);
    refused::check(bytes, format, name)?;
    let looked = guarded(decoder, || {
        let structure = structure::of(bytes, format, limits)?;
        let size = size(bytes, format, name, limits, &structure);
        Ok((structure, size))
    });
    let (structure, size) = looked.unwrap_or_else(|source| {
        Err(ImageError::Panicked {
            format: name,
            source,
        })
    })?;
    let Structure {
        mut remarks,
        fault,
        is_untold,
        ..
    } = structure;
    let size = if fault.is_some() || is_untold {
        match (decode(bytes, limits), fault) {
            (Ok(image), fault) => {
                remarks.extend(fault.map(|reason| Remark::Irregular { reason }));
                image.size()
            }
            // A third-party decoder describes damage in terms of its own parts.
            (Err(ImageError::Decoder { .. } | ImageError::Panicked { .. }), Some(reason)) => {
                return Err(ImageError::damaged(name, reason));
            }
            (Err(error), _) => return Err(error),
        }
    } else {
        size?
    };
    if size.width == 0 || size.height == 0 {
        return Err(ImageError::NoPixels {
            width: size.width,
            height: size.height,
        });
    }
    remarks.sort();
    Ok(Inspection {
        format: name,
        size,
        remarks,
    })
}

/// The size after decoding, after a check that the pixel type is supported.
fn size(
    bytes: &[u8],
    format: ImageFormat,
    name: &'static str,
    limits: DecodeLimits,
    structure: &Structure,
) -> Result<ImageSize, ImageError> {
    let known = |[width, height]: [u32; 2]| ImageSize {
        height: height as usize,
        width: width as usize,
    };
    if let Some(size) = structure.size {
        limits.check(size[0], size[1])?;
        return Ok(known(size));
    }
    let decoder = opened(bytes, format, name, limits)?;
    pixels::check(decoder.color_type(), name)?;
    let (width, height) = decoder.dimensions();
    Ok(known(if structure.is_turned {
        [height, width]
    } else {
        [width, height]
    }))
}
