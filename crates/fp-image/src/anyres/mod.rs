//! Any-resolution input (LLaVA-NeXT): an image is enlarged to the best of a few resolutions, cut
//! into tiles, and its features are stitched together again without the padding.
//!
//! Arithmetic in f64 and its truncations are those of the original project, which decide about
//! single rows of features.

mod packing;
mod pinpoints;
mod tiling;

pub use packing::{FeaturePacking, TokenSource};
pub use pinpoints::{GridPinpoints, Resolution};
pub use tiling::Tiling;

use super::PixelValues;

/// One image at any resolution, ready for the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyResPixels {
    /// The squeezed whole image, then the tiles row by row; all of one size.
    pub tiles: Vec<PixelValues>,
    /// How the tiles were cut, for [`Tiling::packing`].
    pub tiling: Tiling,
}
