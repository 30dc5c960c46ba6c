//! What the kept tokens cover: do they hold the evidence, how concentrated was the
//! attention that chose them, and how different are they from each other?
//!
//! Tokens lie row by row on a grid, or on several over the same image
//! ([`TokenPlaces`]). No paper on pruning defines a standard share
//! of evidence kept, so each measure states its own.

mod attention;
mod concentration;
mod coverage;
mod diversity;
mod framing;
mod overlap;
mod places;
mod singular_values;
mod spatial;

pub use attention::AttentionOverlap;
pub use concentration::Concentration;
pub use coverage::{AreaStratum, CoverageGrid};
pub use diversity::{Diversity, DiversityOptions, coverage_of_all};
pub use framing::Framing;
pub use overlap::{Overlap, TokenOverlap};
pub use places::{PlacedGrid, TokenPlaces};
pub use singular_values::{effective_rank, singular_values};
pub use spatial::{Spatial, padding_waste, row_profile};
