//! Quality of the kept tokens: whether they cover the evidence, how concentrated the attention that
//! selected them was, and how different their features are.
//!
//! Tokens are arranged row by row on a grid, or on several over the same image ([`TokenPlaces`]).
//! No paper on pruning defines a standard share of evidence kept, so each measure states its own
//! definition.

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
