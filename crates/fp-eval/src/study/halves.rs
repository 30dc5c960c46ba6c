//! The selection half of the images and the confirmation half.

use fp_data::hash::sha256_hex;
use serde::{Deserialize, Serialize};

use super::spec::DatasetSpec;

/// How images are divided into halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Halves {
    /// By dataset: those whose split is called `select`, and those called `confirm`.
    BySplit,
    /// By image: by the parity of a hash of its name.
    ByImageHash,
}

impl Halves {
    /// How the images of these datasets are divided.
    pub fn of(datasets: &[DatasetSpec]) -> Halves {
        let has = |split: &str| datasets.iter().any(|dataset| dataset.split == split);
        if has("select") && has("confirm") {
            Halves::BySplit
        } else {
            Halves::ByImageHash
        }
    }

    /// Whether an image of a dataset's `split` is in the selection half.
    pub fn is_select(self, split: &str, image_id: &str) -> bool {
        match self {
            Halves::BySplit => split == "select",
            // The first hexadecimal digit of the hash, as a character.
            Halves::ByImageHash => sha256_hex(image_id.as_bytes()).as_bytes()[0].is_multiple_of(2),
        }
    }
}
