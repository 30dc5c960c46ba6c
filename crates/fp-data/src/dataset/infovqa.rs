//! InfographicVQA: `infographicsVQA_val_v1.0_withQT.json` and
//! `infographicsVQA_test_v1.0.json` of the Robust Reading Competition, images in
//! `infographicsvqa_images/`; see [`super::docvqa`] for the rest.

use std::path::Path;

use super::docvqa::Layout;
use super::export::Exporter;
use super::{Benchmark, Dataset, DatasetError, Reading};

const LAYOUT: Layout = Layout {
    benchmark: Benchmark::Infovqa,
    val: &[
        "infographicsVQA_val_v1.0_withQT.json",
        "qas/infographicsVQA_val_v1.0_withQT.json",
        "infographicsvqa_qas/infographicsVQA_val_v1.0_withQT.json",
        "infographicsVQA_val_v1.0.json",
        "qas/infographicsVQA_val_v1.0.json",
    ],
    test: &[
        "infographicsVQA_test_v1.0.json",
        "qas/infographicsVQA_test_v1.0.json",
        "infographicsvqa_qas/infographicsVQA_test_v1.0.json",
    ],
    llava_val: "llava_infovqa_val.jsonl",
    llava_test: "llava_infovqa_test.jsonl",
    images: &["infographicsvqa_images", "images"],
};

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    LAYOUT.splits(folder)
}

/// Reads a split.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    LAYOUT.read(folder, split)
}

/// Writes the split `val`.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    LAYOUT.export(dataset, out)
}
