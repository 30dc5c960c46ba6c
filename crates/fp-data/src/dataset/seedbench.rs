//! SEED-Bench, its nine dimensions on images: LLaVA's `llava-seed-bench.jsonl` and the authors'
//! `SEED-Bench.json`, images in `SEED-Bench-image/`. The questions on videos, in three more
//! dimensions, are left out and counted.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::beside::{Lines, Taken};
use super::export::Exporter;
use super::json_stream::for_each_entry;
use super::llava::{Id, need};
use super::{Benchmark, Dataset, DatasetError, Reading, mmbench};
use crate::sample::Sample;

const QUESTIONS: &str = "llava-seed-bench.jsonl";
const ANNOTATIONS: &str = "SEED-Bench.json";
const IMAGES: [&str; 1] = ["SEED-Bench-image"];
const SPLIT: &str = "image";

/// Why a question is left out.
pub(super) const ON_VIDEO: &str = "are on videos";
/// Value of `data_type` for a question on an image.
pub(super) const IMAGE: &str = "image";

/// Dimensions by their number in the files, from 1; the last three are on videos.
pub(crate) const DIMENSIONS: [&str; 12] = [
    "Scene Understanding",
    "Instance Identity",
    "Instance Attributes",
    "Instance Location",
    "Instances Counting",
    "Spatial Relation",
    "Instance Interaction",
    "Visual Reasoning",
    "Text Understanding",
    "Action Recognition",
    "Action Prediction",
    "Procedure Understanding",
];

/// The name of a dimension.
pub(super) fn dimension(number: usize) -> String {
    let known = number
        .checked_sub(1)
        .and_then(|place| DIMENSIONS.get(place));
    known.map_or_else(|| format!("dimension {number}"), |name| (*name).to_owned())
}

/// The numbers of dimensions; families other than SEED-Bench's are numbered in their order.
pub(super) fn numbers(families: impl Iterator<Item = String>) -> HashMap<String, usize> {
    let mut numbers: HashMap<String, usize> =
        DIMENSIONS.into_iter().map(str::to_owned).zip(1..).collect();
    for family in families {
        let next = numbers.len() + 1;
        numbers.entry(family).or_insert(next);
    }
    numbers
}

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    let marks = [QUESTIONS, ANNOTATIONS];
    match super::llava::find(folder, &marks) {
        Some(_) => vec![SPLIT.to_owned()],
        None => Vec::new(),
    }
}

#[derive(Deserialize)]
struct Entry {
    question_id: Id,
    question_type_id: usize,
    data_type: String,
    choice_a: String,
    choice_b: String,
    choice_c: String,
    choice_d: String,
    answer: String,
}

/// Reads the questions on images.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let questions = need(folder, "question file", &[QUESTIONS])?;
    let annotations = need(folder, "file of annotations", &[ANNOTATIONS])?;
    let mut names: HashMap<usize, String> = HashMap::new();
    for_each_entry(&annotations, Some("question_type"), |name, number| {
        names.insert(number, name.unwrap_or_default());
    })?;
    let golds = Annotations::read(&annotations, Some("questions"), |_, entry: Entry| {
        (entry.question_id.clone().into_text(), entry)
    })?;
    let lines = Lines {
        benchmark: Benchmark::Seedbench,
        folder,
        split,
        questions,
        annotations: vec![annotations],
        images: &IMAGES,
    };
    lines.read_with(golds, |_, entry| {
        if entry.data_type != IMAGE {
            return Ok(Taken::LeftOut(ON_VIDEO));
        }
        let name = names.get(&entry.question_type_id).cloned();
        Ok(Taken::asked(Sample {
            answers: vec![entry.answer],
            choices: vec![
                entry.choice_a,
                entry.choice_b,
                entry.choice_c,
                entry.choice_d,
            ],
            family: name.unwrap_or_else(|| dimension(entry.question_type_id)),
            ..Sample::default()
        }))
    })
}

/// Writes questions of four options.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let numbers = numbers(dataset.samples.iter().map(|sample| sample.family.clone()));
    let mut lines = out.lines(QUESTIONS)?;
    let mut entries = Vec::new();
    for sample in &dataset.samples {
        let name = out.image(sample, IMAGES[0])?;
        let image = format!("{}/{name}", IMAGES[0]);
        let id = out.id(&sample.id);
        lines.write(&out.question(sample, &id, &image, &sample.family))?;
        let choice = |place: usize| sample.choices.get(place);
        entries.push(json!({
            "question_id": sample.id,
            "data_id": name,
            "data_type": IMAGE,
            "question_type_id": numbers.get(&sample.family),
            "question": mmbench::export::question_of(sample),
            "choice_a": choice(0),
            "choice_b": choice(1),
            "choice_c": choice(2),
            "choice_d": choice(3),
            "answer": sample.answers.first(),
        }));
    }
    lines.finish()?;
    let file = json!({"question_type": numbers, "questions": entries});
    out.json(ANNOTATIONS, &file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_have_names_and_numbers() {
        assert_eq!(dimension(9), "Text Understanding");
        assert_eq!(
            (dimension(0), dimension(13)),
            ("dimension 0".into(), "dimension 13".into())
        );
        let numbers = numbers(
            ["Other", "Spatial Relation", "Other"]
                .map(str::to_owned)
                .into_iter(),
        );
        assert_eq!((numbers["Other"], numbers["Spatial Relation"]), (13, 6));
        assert_eq!(numbers.len(), 13);
    }
}
