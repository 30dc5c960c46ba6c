//! From an image file to the vision tower's input.
//!
//! [`decode`] reads a file as Pillow's `Image.open(…).convert("RGB")` does, [`ImageProcessor`]
//! resizes and normalises as Hugging Face's processors do, and [`Tiling`] cuts any-resolution
//! input into tiles. The crate's purpose is equality with those references: a pixel that differs
//! by one step changes image features, and with them the pruning.
//!
//! ```
//! use fp_image::{ImageAspect, ImageProcessor, PreprocessorConfig, RgbImage};
//!
//! let image = RgbImage::new(2, 1, vec![0, 0, 0, 255, 255, 255])?;
//! let processor = ImageProcessor::new(PreprocessorConfig::from_json(r#"{"size": 4, "crop_size": 4}"#)?);
//! let pixels = processor.preprocess(&image, ImageAspect::Pad)?;
//! assert_eq!(pixels.data.len(), 3 * 4 * 4);
//! # Ok::<(), fp_image::ImageError>(())
//! ```

mod anyres;
mod config;
mod content;
mod decode;
mod error;
#[cfg(test)]
mod error_kinds;
mod framing;
mod guard;
mod padding;
mod processor;
mod resample;
mod rgb;
mod smart;
mod token_grid;

pub use anyres::{
    AnyRes, AnyResPixels, FeaturePacking, GridPinpoints, Resolution, Tiling, TokenSource,
};
pub use config::{ChannelStatistics, PreprocessorConfig, ResizeTarget, onevision_pinpoints};
pub use decode::{DecodeLimits, Inspection, Remark, decode, decode_file, inspect};
pub use error::ImageError;
pub use framing::{ImageAspect, Square, shortest_edge};
pub use guard::{DecoderPanic, guarded};
pub use processor::{ImageProcessor, PixelValues};
pub use resample::{ResampleFilter, resize};
pub use rgb::{ImageSize, RgbImage};
pub use smart::SmartResize;
pub use token_grid::TokenGrid;

/// Placeholder of the image in a prompt's text.
pub const IMAGE_PLACEHOLDER: &str = "<image>";
