//! Damages files: makes a new test input from a sound file and random numbers.
//!
//! The parsers that are tested are in this crate's binary, which `cargo xtask fuzz` starts.

pub mod mutate;
pub mod random;
