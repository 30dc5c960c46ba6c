//! Datasets with missing images: a study asks all questions, and those without an image fail.

use super::{Dataset, DatasetError, Problems, Reading, locate};
use crate::sample::Sample;

/// As [`open`](super::open), but images may be missing: their questions are among the samples, and
/// their ids are returned second. See [`Reading::whole_but_for_images`].
///
/// # Errors
/// As [`open`](super::open).
pub fn open_but_for_images(selector: &str) -> Result<(Dataset, Vec<String>), DatasetError> {
    locate(selector)?.read()?.whole_but_for_images()
}

impl Reading {
    /// All questions without a problem, or whose only problem is a missing image.
    pub(super) fn questions(&self) -> impl Iterator<Item = &Sample> {
        let Dataset {
            samples, text_only, ..
        } = &self.dataset;
        let without_file = self.without_file.iter().map(|(_, sample)| sample);
        samples.iter().chain(text_only).chain(without_file)
    }

    pub(super) fn is_without_question(&self) -> bool {
        self.questions().next().is_none()
    }

    /// The dataset, if nothing is wrong with it except missing images. Their questions are among
    /// the samples, and fail one by one when they are asked; their ids are returned second. A
    /// dataset of which all images are missing is an error.
    ///
    /// # Errors
    /// As [`Reading::whole`].
    pub fn whole_but_for_images(mut self) -> Result<(Dataset, Vec<String>), DatasetError> {
        let count = self.without_file.len();
        let is_else_right = self.problems.len() == count;
        if count == 0 || !is_else_right || self.dataset.samples.is_empty() {
            return Ok((self.whole()?, Vec::new()));
        }
        let mut absent = std::mem::take(&mut self.without_file)
            .into_iter()
            .peekable();
        let mut ids = Vec::with_capacity(count);
        let mut samples = Vec::with_capacity(self.dataset.samples.len() + count);
        for (place, sample) in std::mem::take(&mut self.dataset.samples)
            .into_iter()
            .enumerate()
        {
            while let Some((_, sample)) = absent.next_if(|(before, _)| *before <= place) {
                ids.push(sample.id.clone());
                samples.push(sample);
            }
            samples.push(sample);
        }
        for (_, sample) in absent {
            ids.push(sample.id.clone());
            samples.push(sample);
        }
        self.dataset.samples = samples;
        self.problems = Problems::of(self.problems.unit());
        Ok((self.whole()?, ids))
    }
}
