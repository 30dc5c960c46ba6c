//! What can go wrong between an image file and pixel values.

use std::path::PathBuf;

use fp_scoring::Cause;

use super::{DecoderPanic, ImageSize, Resolution};

/// Every failure of decoding and preprocessing, with what was found and what would be right.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why the operating system refused.
        source: std::io::Error,
    },
    /// An error of the bytes, told with the file that they came from.
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
    /// The bytes are no image, or one of a format that nobody knows here.
    #[error("not an image in a known format: {what}; known: {known}")]
    UnknownFormat {
        /// What they are instead, as far as their beginning tells.
        what: String,
        /// The formats that are read.
        known: &'static str,
    },
    /// The format is known, the content is damaged or cut off.
    #[error("damaged {format} image: {reason}")]
    Damaged {
        /// Name of the format.
        format: &'static str,
        /// What is wrong, and where known, at which byte.
        reason: String,
    },
    /// A legal image that is not read here.
    #[error("unsupported {format} image: {reason}; convert it to PNG")]
    Unsupported {
        /// Name of the format.
        format: &'static str,
        /// What isn't read of it.
        reason: String,
    },
    /// The format is known, and its decoder gives up on the content.
    #[error("damaged {format} image")]
    Decoder {
        /// Name of the format.
        format: &'static str,
        /// What the decoder says.
        source: Cause,
    },
    /// The format is known, and its decoder panics on the content.
    #[error("damaged {format} image, or one that its decoder doesn't know")]
    Panicked {
        /// Name of the format.
        format: &'static str,
        /// The decoder, and what it said.
        source: DecoderPanic,
    },
    /// A legal image that its decoder doesn't read.
    #[error("unsupported {format} image, which can be converted to PNG")]
    NoDecoder {
        /// Name of the format.
        format: &'static str,
        /// What the decoder says.
        source: Cause,
    },
    /// The header promises more pixels than allowed; nothing was allocated.
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
    #[error("the image is {width}x{height}, and its longer side above the limit of {max_side}")]
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
    /// preprocessor_config.json is no JSON, or a field has the wrong type.
    #[error("the preprocessor configuration is invalid")]
    ConfigSyntax(#[from] serde_json::Error),
    /// A field of preprocessor_config.json with a value that cannot be used.
    #[error("preprocessor configuration: `{field}` is {got}, expected {expected}")]
    ConfigField {
        /// The field.
        field: &'static str,
        /// Its value.
        got: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Any-resolution input was asked of a configuration without pinpoints.
    #[error(
        "any-resolution preprocessing needs `image_grid_pinpoints`, which the configuration lacks"
    )]
    NoPinpoints,
    /// A pinpoint that whole tiles cannot fill.
    #[error("grid pinpoint {pinpoint} is not a multiple of the tile side {tile_side}")]
    PinpointNotTiled {
        /// The offending pinpoint.
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
        /// Most times.
        most: usize,
    },
    /// The image is so elongated that at every pinpoint its short side rounds to nothing.
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
