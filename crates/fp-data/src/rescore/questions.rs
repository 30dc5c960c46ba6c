//! The questions that answers are to: a dataset, whether its images are there or not.

use crate::dataset::{Dataset, DatasetError, ProblemKind, Reading, locate};

/// Reads the dataset that `selector` names, as [`crate::dataset::open`] does, but for images:
/// scores need none. A note says how many files aren't there.
///
/// # Errors
/// As [`crate::dataset::open`], but for images that aren't there.
pub fn open_questions(selector: &str) -> Result<Dataset, DatasetError> {
    let mut dataset = with_or_without_images(locate(selector)?.read()?)?;
    let (count, others) = (dataset.text_only.len(), dataset.samples.len());
    if count > 0 {
        // A study leaves them out; here they have a figure of their own.
        let is_left_out =
            |note: &String| note.ends_with("questions have no image and are left out");
        dataset.notes.retain(|note| !is_left_out(note));
        dataset.notes.push(format!(
            "{count} of {} questions have no image and count in the overall accuracy alone",
            count + others
        ));
    }
    Ok(dataset)
}

fn with_or_without_images(mut reading: Reading) -> Result<Dataset, DatasetError> {
    let absent = std::mem::take(&mut reading.without_file);
    if absent.is_empty() {
        return reading.whole();
    }
    let num_absent = absent.len();
    let others = reading.problems.without(ProblemKind::MissingImage);
    if others.is_empty() && reading.problems.len() > num_absent {
        // Rows that can't be had without their image.
        return reading.whole();
    }
    reading.problems = others;
    let present = std::mem::take(&mut reading.dataset.samples);
    let count = present.len() + num_absent;
    reading.dataset.samples.reserve(count);
    let mut absent = absent.into_iter().peekable();
    for (place, sample) in present.into_iter().enumerate() {
        while let Some((_, sample)) = absent.next_if(|(before, _)| *before <= place) {
            reading.dataset.samples.push(sample);
        }
        reading.dataset.samples.push(sample);
    }
    let left = absent.map(|(_, sample)| sample);
    reading.dataset.samples.extend(left);
    let note = format!("{num_absent} of {count} questions have no image here; scores need none");
    reading.dataset.notes.push(note);
    reading.whole()
}
