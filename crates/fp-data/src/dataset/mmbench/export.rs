//! Writing a table of MMBench.

use super::ROTATION;
use crate::dataset::export::Exporter;
use crate::dataset::{Dataset, DatasetError};
use crate::metric::mmbench::{INSTRUCTION_EN, options, question_text};
use crate::sample::Sample;

const EXPORTED: &str = "mmbench_dev_20230712.tsv";

/// Index of each sample; rotations of one question follow each other.
pub(in crate::dataset) fn rotations(dataset: &Dataset) -> Vec<u64> {
    let mut indices = Vec::new();
    let (mut question, mut rotation) = (0, 0);
    let mut last: Option<&Sample> = None;
    for sample in &dataset.samples {
        let is_next = last.is_some_and(|last| {
            let sorted = |sample: &Sample| {
                let mut choices = sample.choices.clone();
                choices.sort();
                choices
            };
            sample.image == last.image
                && sorted(sample) == sorted(last)
                && sample.choices != last.choices
                && sample.question.lines().next() == last.question.lines().next()
                && rotation < 3
        });
        if is_next {
            rotation += 1;
        } else {
            (question, rotation) = (question + 1, 0);
        }
        indices.push(question + rotation * ROTATION);
        last = Some(sample);
    }
    indices
}

/// Writes a table; every sample is a choice of at most four options.
pub(in crate::dataset) fn export(
    dataset: &Dataset,
    out: &mut Exporter,
) -> Result<(), DatasetError> {
    let mut table = out.table(
        EXPORTED,
        &[
            "index",
            "question",
            "hint",
            "A",
            "B",
            "C",
            "D",
            "answer",
            "category",
            "l2-category",
            "split",
            "image",
        ],
    )?;
    for (sample, index) in dataset.samples.iter().zip(rotations(dataset)) {
        let question = question_of(sample);
        let choice = |place: usize| sample.choices.get(place).map_or("", String::as_str);
        let category = sample
            .keys
            .get("category")
            .map_or(sample.family.as_str(), String::as_str);
        table.write(&[
            &index.to_string(),
            question,
            "",
            choice(0),
            choice(1),
            choice(2),
            choice(3),
            sample.answers.first().map_or("", String::as_str),
            category,
            &sample.family,
            "dev",
            &out.base64(sample)?,
        ])?;
    }
    table.finish()
}

/// The part of a choice's prompt before its options.
pub(in crate::dataset) fn question_of(sample: &Sample) -> &str {
    let options = sample.question.find("\nA. ");
    options.map_or(sample.question.as_str(), |end| &sample.question[..end])
}

/// Whether a sample's prompt can be rebuilt from a row's cells.
pub(in crate::dataset) fn fits(sample: &Sample) -> bool {
    let cells: Vec<&str> = sample.choices.iter().map(String::as_str).collect();
    let options = options(&cells);
    let text = question_text("", question_of(sample), &options);
    (2..=4).contains(&options.len())
        && options.len() == sample.choices.len()
        && sample.question == format!("{text}\n{INSTRUCTION_EN}")
}
