//! Errors between an image file and pixel values.

use std::path::PathBuf;

use fp_scoring::Cause;

use super::{DecoderPanic, ImageSize, Resolution};

/// An error of decoding or preprocessing, with the value found and the values expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file could not be read.
    #[error("can't read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// An error in the bytes, with the file that they came from.
    #[error("{}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        source: Box<ImageError>,
    },
    /// No bytes at all.
    #[error("the image is empty (0 bytes)")]
    Empty,
    /// The bytes are not an image, or are in an unknown format.
    #[error("not an image in a known format: {what}; expected one of: {known}")]
    UnknownFormat {
        /// What they appear to be, judging from the first bytes.
        what: String,
        /// The supported formats.
        known: &'static str,
    },
    /// A known format with damaged or truncated content.
    #[error("damaged {format} image: {reason}")]
    Damaged {
        /// Name of the format.
        format: &'static str,
        /// What is wrong, and at which byte if known.
        reason: String,
    },
    /// A valid image that is not supported.
    #[error("unsupported {format} image: {reason}; convert it to PNG")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// The unsupported feature.
        reason: String,
    },
    /// A known format whose decoder returned an error.
    #[error("damaged {format} image")]
    Decoder {
        /// Name of the format.
        format: &'static str,
        /// The decoder's error.
        source: Cause,
    },
    /// A known format whose decoder panicked.
    #[error("damaged {format} image, or one that its decoder doesn't support")]
    Panicked {
        /// Name of the format.
        format: &'static str,
        /// The decoder and its message.
        source: DecoderPanic,
    },
    /// A valid image that its decoder doesn't support.
    #[error("unsupported {format} image, which can be converted to PNG")]
    NoDecoder {
        /// Name of the format.
        format: &'static str,
        /// The decoder's error.
        source: Cause,
    },
    /// The header declares more pixels than allowed; nothing was allocated.
    #[error(
        "the image is {width}x{height} = {} pixels, more than the limit of {max_pixels}",
        u64::from(*width) * u64::from(*height)
    )]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit, see [`DecodeLimits`](super::DecodeLimits).
        max_pixels: u64,
    },
    /// A side is longer than allowed; nothing was allocated.
    #[error("the image is {width}x{height}; its longer side exceeds the limit of {max_side}")]
    TooLong {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The limit.
        max_side: u32,
    },
    /// Raw pixels that do not fill the stated size.
    #[error("{width}x{height} RGB pixels need {expected} bytes, got {got}")]
    RawLength {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// 3 × width × height.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// An image without pixels.
    #[error("the image has no pixels ({width}x{height})")]
    NoPixels {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// preprocessor_config.json is not JSON, or a field has the wrong type.
    #[error("the preprocessor configuration is invalid")]
    ConfigSyntax(#[from] serde_json::Error),
    /// A field of preprocessor_config.json with an invalid value.
    #[error("preprocessor configuration: `{field}` is {got}, expected {expected}")]
    ConfigField {
        /// The field.
        field: &'static str,
        /// Its value.
        got: String,
        /// Accepted values.
        expected: &'static str,
    },
    /// Any-resolution preprocessing with a configuration without pinpoints.
    #[error(
        "any-resolution preprocessing needs `image_grid_pinpoints`, which the configuration lacks"
    )]
    NoPinpoints,
    /// A pinpoint that is not a whole number of tiles.
    #[error("grid pinpoint {pinpoint} is not a multiple of the tile side {tile_side}")]
    PinpointNotTiled {
        /// The pinpoint.
        pinpoint: Resolution,
        /// Side of one tile in pixels.
        tile_side: usize,
    },
    /// An image whose longer side is too many times the shorter one.
    #[error(
        "image of {size} is too elongated: its longer side is more than {most} times the shorter"
    )]
    Elongated {
        /// The image.
        size: ImageSize,
        /// The largest allowed ratio.
        most: usize,
    },
    /// An image so elongated that at every pinpoint its short side rounds to zero.
    #[error("image of {size} is too elongated for every grid pinpoint")]
    NoFittingPinpoint {
        /// The image.
        size: ImageSize,
    },
}

impl ImageError {
    pub(crate) fn damaged(format: &'static str, reason: impl Into<String>) -> Self {
        Self::Damaged {
            format,
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(format: &'static str, reason: impl Into<String>) -> Self {
        Self::Unsupported {
            format,
            reason: reason.into(),
        }
    }
}
