//! The questions that answers belong to: a dataset, with or without its images.

use crate::dataset::{Dataset, DatasetError, ProblemKind, Reading, locate};

/// Reads the dataset that `selector` names, as [`crate::dataset::open`] does, but without requiring
/// images, which scoring doesn't need. A note states how many image files are missing.
///
/// # Errors
/// As [`crate::dataset::open`], except for missing images.
pub fn open_questions(selector: &str) -> Result<Dataset, DatasetError> {
    let mut dataset = with_or_without_images(locate(selector)?.read()?)?;
    let (count, others) = (dataset.text_only.len(), dataset.samples.len());
    if count > 0 {
        // A study skips these questions; here they have a figure of their own.
        let is_left_out = |note: &String| note.ends_with("questions have no image and are skipped");
        dataset.notes.retain(|note| !is_left_out(note));
        dataset.notes.push(format!(
            "{count} of {} questions have no image and count only in the overall accuracy",
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
        // Some rows can't be read without their image.
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
    let note = format!(
        "{num_absent} of {count} questions have no image here; scoring doesn't need images"
    );
    reading.dataset.notes.push(note);
    reading.whole()
}
