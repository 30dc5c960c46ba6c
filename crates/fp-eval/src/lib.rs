//! Studies, and what pruning saves.

pub mod efficiency;
#[cfg(test)]
mod error_kinds;
pub mod format;
pub mod study;
