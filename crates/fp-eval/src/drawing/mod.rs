//! Pictures of kept tokens.

mod font;
mod overlay;
mod shade;
mod shapes;
mod square;
mod text;

pub use overlay::{Overlay, OverlayError, OverlayFormat, Panel};
pub(crate) use shade::shade;
pub(crate) use square::squared;
pub(crate) use text::{escaped, wrapped};
