//! Damage for files: from a sound file and a random number to one that nobody has tried.
//!
//! What the files are handed to stands in the binary of this crate, which
//! `cargo xtask fuzz` starts.

pub mod mutate;
pub mod random;
