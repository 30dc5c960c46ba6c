//! The default question of `--model embedded` without an image.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fp_data::dataset;
use fp_eval::study::dataset_selector;

/// An image of the shipped benchmark, and a question about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShippedQuestion {
    pub(super) image: PathBuf,
    pub(super) question: String,
    /// The reference answer.
    pub(super) answer: String,
}

impl ShippedQuestion {
    /// The first question of the shipped benchmark's confirmation split.
    pub(super) fn first() -> Result<ShippedQuestion> {
        let dataset = dataset::open(&dataset_selector("embedded:confirm")?)?;
        let sample = dataset.samples.into_iter().next();
        let sample = sample.context("the shipped benchmark has no question")?;
        let image = sample.image.as_file().map(Path::to_owned);
        Ok(ShippedQuestion {
            image: image.context("the shipped benchmark's images are not files")?,
            question: sample.question,
            answer: sample.answers.into_iter().next().unwrap_or_default(),
        })
    }
}
