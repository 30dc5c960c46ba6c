//! Pictures of kept tokens.

mod font;
mod overlay;
mod shade;
mod shapes;
mod square;

pub use overlay::{Overlay, OverlayError, OverlayFormat, Panel};
pub(crate) use shade::shade;
pub(crate) use square::{shrunk, squared};
