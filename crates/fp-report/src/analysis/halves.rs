//! One half of the images to choose by, the other to confirm on.

use serde::Serialize;

use crate::run::Run;

/// How the halves came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Halves {
    /// Datasets whose split is called `select`, and those called `confirm`.
    BySplit,
    /// Images by the parity of a hash of their names.
    ByImageHash,
}

/// The samples of both halves, by position in the run's records.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    pub(crate) halves: Halves,
    pub(crate) select: Vec<usize>,
    pub(crate) confirm: Vec<usize>,
}

impl Split {
    pub(crate) fn new(run: &Run) -> Split {
        let datasets = &run.spec.datasets;
        let has = |split: &str| datasets.iter().any(|dataset| dataset.split == split);
        let halves = if has("select") && has("confirm") {
            Halves::BySplit
        } else {
            Halves::ByImageHash
        };
        let is_select = |sample: &usize| {
            let record = &run.records[*sample];
            match halves {
                Halves::BySplit => datasets[record.dataset].split == "select",
                Halves::ByImageHash => is_even(&record.image_id),
            }
        };
        let (select, confirm) = (0..run.records.len()).partition(is_select);
        Split {
            halves,
            select,
            confirm,
        }
    }
}

/// Whether the first hexadecimal digit of a name's hash, as a character, is even.
fn is_even(image: &str) -> bool {
    fp_data::hash::sha256_hex(image.as_bytes()).as_bytes()[0].is_multiple_of(2)
}
