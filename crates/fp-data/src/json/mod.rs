//! JSON files that users write: everything that is wrong with one, with its position.
//!
//! A [`Document`] is a text that parses, with the line of every value in it; [`schema::check`]
//! checks it against a JSON schema. Both report every [`Problem`] that they find rather than
//! stopping at the first.

mod document;
mod path;
mod problem;
pub mod schema;

pub use document::Document;
pub use path::{Path, Step};
pub use problem::Problem;
