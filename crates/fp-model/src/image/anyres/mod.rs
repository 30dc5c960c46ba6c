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

use candle_core::{Device, Tensor};

use super::PixelValues;

/// One image at any resolution, ready for the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyResPixels {
    /// The squeezed whole image, then the tiles row by row; all of one size.
    pub tiles: Vec<PixelValues>,
    /// How the tiles were cut, for [`Tiling::packing`].
    pub tiling: Tiling,
}

impl AnyResPixels {
    /// The values as an f32 tensor of shape `[tiles, 3, height, width]`.
    ///
    /// # Errors
    /// Whatever candle reports, such as a device out of memory.
    pub fn to_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        let tiles: candle_core::Result<Vec<_>> = self
            .tiles
            .iter()
            .map(|tile| tile.to_tensor(device))
            .collect();
        Tensor::cat(&tiles?, 0)
    }
}
