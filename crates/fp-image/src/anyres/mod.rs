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

use fp_scoring::named_enum;

use super::PixelValues;

named_enum! {
    /// How an image of any resolution becomes tokens.
    pub enum AnyRes as "any-resolution form" {
        /// The checkpoint's own: the best of its sizes, the padding's features taken out, a
        /// newline embedding after each row. The number of tokens depends on the image.
        Unpad = "unpad",
        /// What papers on pruning report for LLaVA-NeXT: always two by two tiles, every
        /// patch of them and of the squeezed whole image a token, no newlines; 5 · P · P
        /// tokens of a tower of P × P patches, 2,880 of 24 × 24. The squeezed image comes
        /// first, then the rows of the stitched tiles, each across both tiles.
        ///
        /// Read in `prepare_inputs_labels_for_multimodal` of FasterVLM @ 29ed074, VisPruner
        /// @ a089bff and CDPruner @ ed9c12d (`llava_arch.py`): the patch merge is `spatial`
        /// there, without `_unpad`, whatever the checkpoint says. VisPruner and CDPruner pin
        /// the grid to 672 × 672; FasterVLM's file takes it from the checkpoint. The image
        /// keeps its proportions in the tiles, centred on black, so that some patches show
        /// padding alone. Not known: whether the other methods' LLaVA-NeXT figures were made
        /// so.
        Fixed2880 = "fixed-2880",
    }
}

/// One image at any resolution, ready for the vision tower.
#[derive(Debug, Clone, PartialEq)]
pub struct AnyResPixels {
    /// The squeezed whole image, then the tiles row by row; all of one size.
    pub tiles: Vec<PixelValues>,
    /// How the tiles were cut, for [`Tiling::packing`].
    pub tiling: Tiling,
}
