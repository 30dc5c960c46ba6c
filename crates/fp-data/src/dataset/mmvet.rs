//! MM-Vet: `llava-mm-vet.jsonl`, images in `images/`, and `mm-vet.json` with the capabilities that
//! each question needs. An external judge scores the answers.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::collect::Collector;
use super::export::Exporter;
use super::llava::{find, for_each_question, image_folders, need};
use super::{Benchmark, Dataset, DatasetError, Reading};
use crate::sample::Sample;

const QUESTIONS: &str = "llava-mm-vet.jsonl";
const DETAILS: &str = "mm-vet.json";
/// Who scores the answers.
pub(super) const JUDGE: &str = "MM-Vet's judge, a language model";

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    if folder.join(QUESTIONS).is_file() {
        vec!["test".to_owned()]
    } else {
        Vec::new()
    }
}

#[derive(Deserialize)]
struct Details {
    answer: String,
    #[serde(default)]
    capability: Vec<String>,
}

/// Reads the questions.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "question file", &[QUESTIONS])?;
    let images = image_folders(folder, &["images"]);
    let mut files = vec![path.clone()];
    let mut details = None;
    if let Some(path) = find(folder, &[DETAILS]) {
        details = Some(Annotations::read(&path, None, |id, entry: Details| {
            (id.unwrap_or_default(), entry)
        })?);
        files.push(path);
    }
    let mut collector = Collector::new("line", None);
    for_each_question(&path, |number, question| {
        let sample = question.and_then(|question| {
            let image = collector.image(&images, &question.image)?;
            let boxes = question.boxes();
            let id = question.question_id.into_text();
            let known = match &mut details {
                Some(details) => Some(details.take(&format!("v1_{id}"))?),
                None => None,
            };
            let capabilities = known.as_ref().map(|known| known.capability.join("+"));
            Ok(Sample {
                id,
                image,
                boxes,
                image_id: question.image,
                question: question.text,
                answers: known.into_iter().map(|known| known.answer).collect(),
                family: capabilities.unwrap_or_else(|| "mm-vet".to_owned()),
                ..Sample::default()
            })
        });
        collector.take(number, sample);
    })?;
    let mut reading = Reading::new(Benchmark::Mmvet, split, folder, files, collector);
    reading.dataset.judge = Some(JUDGE.to_owned());
    let note = details.and_then(|details| details.note());
    reading.dataset.notes.extend(note);
    Ok(reading)
}

/// Writes questions and details.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS)?;
    let mut details = BTreeMap::new();
    for (number, sample) in dataset.samples.iter().enumerate() {
        let image = out.image(sample, "images")?;
        lines.write(&out.question(sample, &json!(number), &image, "conv"))?;
        let capability: Vec<&str> = sample.family.split('+').collect();
        details.insert(
            format!("v1_{number}"),
            json!({
                "imagename": image,
                "question": sample.question,
                "answer": sample.answers.first(),
                "capability": capability,
            }),
        );
    }
    lines.finish()?;
    out.json(DETAILS, &json!(details))
}
