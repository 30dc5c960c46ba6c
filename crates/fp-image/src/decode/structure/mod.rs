//! Checks the structure of an image file up to its end.
//!
//! This detects truncated files without unpacking anything; damage inside compressed data is not
//! detected.

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

/// Fault of a file that ends where more bytes must follow.
const CUT: &str = "the file ends before the image does";

/// Result of checking a file's structure.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Structure {
    pub(super) remarks: Vec<Remark>,
    /// Why the file is incomplete.
    pub(super) fault: Option<String>,
    /// Whether only decoding can determine where the image ends.
    pub(super) is_untold: bool,
    /// Width and height; `None` if they must be read from a decoder's header.
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

/// Checks a file's structure.
///
/// # Errors
/// An image that isn't supported or is too large, as far as the structure shows it.
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

/// `N` bytes of a file from offset `at` on.
fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
