//! Integration tests of decoding and preprocessing.

mod image;
mod image_cases;
mod inspected;
