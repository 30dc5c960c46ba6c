//! Files of JSON that people write: everything that is wrong with one, with its place.
//!
//! A [`Document`] is a text that parses, with the line of every value in it;
//! [`schema::check`] holds it to a JSON schema. Both report every [`Problem`] that they
//! find rather than stopping at the first.

mod document;
mod path;
mod problem;
pub mod schema;

pub use document::Document;
pub use path::{Path, Step};
pub use problem::Problem;
