//! The vision tower, and evidence that can be read of it.

mod encode;
mod evidence;
mod layer;
mod needs;
mod parts;
mod projections;
mod request;
mod shrink;
mod square;
mod tower;

pub use evidence::VisionEvidence;
pub(crate) use evidence::check_finite;
pub(crate) use layer::{EncoderLayer, EncoderShape, Norm};
pub use parts::VisionParts;
pub use request::{VisionRead, VisionRequest};
pub(crate) use square::SquareVision;

use crate::families::PatchVision;

/// A model's vision part: from pixels to image tokens.
#[derive(Debug)]
pub(crate) enum Vision {
    /// A tower of squares, for single images and for tiles.
    Square(Box<SquareVision>),
    /// A tower of patches, for images of any size.
    Patches(Box<PatchVision>),
}
