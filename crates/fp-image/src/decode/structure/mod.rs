//! How the parts of an image's file follow each other, as far as its end.
//!
//! A cut file is told from a whole one without unpacking anything; damage inside of
//! compressed data is not.

mod bmp;
mod gif;
mod png;
pub(super) mod tags;
mod tiff;
mod webp;

use image::ImageFormat;

use super::super::ImageError;
use super::inspect::Remark;
use super::{DecodeLimits, jpeg};

/// What is said of a file that has no more bytes where some have to follow.
const CUT: &str = "the file ends before the image does";

/// What was found on the way through a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Structure {
    pub(super) remarks: Vec<Remark>,
    /// What keeps the file from being whole.
    pub(super) fault: Option<String>,
    /// Whether only decoding can tell where the image ends.
    pub(super) is_untold: bool,
    /// Width and height; none where a decoder's header has to say it.
    pub(super) size: Option<[u32; 2]>,
    /// Whether decoding exchanges width and height.
    pub(super) is_turned: bool,
}

impl Structure {
    fn damaged(reason: impl Into<String>) -> Structure {
        Structure {
            fault: Some(reason.into()),
            ..Structure::default()
        }
    }

    pub(super) fn remark_orientation(&mut self, orientation: Option<u16>) {
        if let Some(orientation @ 2..=8) = orientation {
            self.remarks.push(Remark::Turned { orientation });
        }
    }

    fn remark_frames(&mut self, num_frames: usize) {
        if num_frames > 1 {
            self.remarks.push(Remark::Animated { num_frames });
        }
    }
}

/// Goes through a file.
///
/// # Errors
/// An image that isn't read, or is too large, as far as that shows on the way.
pub(super) fn of(
    bytes: &[u8],
    format: ImageFormat,
    limits: DecodeLimits,
) -> Result<Structure, ImageError> {
    match format {
        ImageFormat::Png => Ok(png::structure(bytes)),
        ImageFormat::Jpeg => jpeg::structure(bytes, limits),
        ImageFormat::Gif => gif::structure(bytes),
        ImageFormat::WebP => Ok(webp::structure(bytes)),
        ImageFormat::Bmp => Ok(bmp::structure(bytes)),
        _ => Ok(tiff::structure(bytes)),
    }
}

/// So many bytes of a file from byte `at` on.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
