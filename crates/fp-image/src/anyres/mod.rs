//! Any-resolution input (LLaVA-NeXT): an image is enlarged to the best of a few resolutions and
//! cut into tiles, and the features of the tiles are stitched together without the padding.
//!
//! Arithmetic in f64 and truncations follow the original project, since they decide about single
//! rows of features.

mod packing;
mod pinpoints;
mod tiling;

pub use packing::{FeaturePacking, TokenSource};
pub use pinpoints::{GridPinpoints, Resolution};
pub use tiling::Tiling;

use fp_scoring::named_enum;

use super::PixelValues;

named_enum! {
    /// How an image of any resolution becomes image tokens.
    pub enum AnyRes as "any-resolution form" {
        /// The checkpoint's own form: the best of its sizes, the padding's features removed, a
        /// newline embedding after each row. The number of tokens depends on the image.
        Unpad = "unpad",
        /// The form for which papers on pruning report LLaVA-NeXT: always two by two tiles, where
        /// every patch of the tiles and of the squeezed whole image is a token, without newlines;
        /// 5 · P · P tokens for a tower of P × P patches, 2,880 for 24 × 24. The squeezed image
        /// comes first, then the rows of the stitched tiles, each across both tiles.
        ///
        /// Source: `prepare_inputs_labels_for_multimodal` of FasterVLM @ 29ed074, VisPruner @
        /// a089bff and CDPruner @ ed9c12d (`llava_arch.py`): the patch merge there is `spatial`,
        /// without `_unpad`, whatever the checkpoint says. VisPruner and CDPruner fix the grid to
        /// 672 × 672; FasterVLM's file takes it from the checkpoint. The image keeps its
        /// proportions in the tiles, centred on black, so that some patches show only padding. It
        /// is unknown whether the LLaVA-NeXT figures of the other methods were computed this way.
        Fixed2880 = "fixed-2880",
    }
}

/// One image at any resolution, ready for the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyResPixels {
    /// The squeezed whole image, then the tiles row by row; all of the same size.
    pub tiles: Vec<PixelValues>,
    /// How the tiles were cut, for [`Tiling::packing`].
    pub tiling: Tiling,
}
