//! OCRBench: the authors' `OCRBench.json`, images in `OCRBench_Images/`. Where
//! `llava_ocrbench.jsonl` exists, prompts, ids and their order come from it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::beside::{Lines, Taken, image_name};
use super::collect::Collector;
use super::export::Exporter;
use super::json_stream::for_each_entry;
use super::llava::{Id, image_folders, need};
use super::{Benchmark, Dataset, DatasetError, Reading};
use crate::metric::ocrbench::EXPRESSIONS;
use crate::sample::Sample;

const ANNOTATIONS: [&str; 2] = ["OCRBench.json", "OCRBench/OCRBench.json"];
const QUESTIONS: &str = "llava_ocrbench.jsonl";
const IMAGES: [&str; 2] = ["OCRBench_Images", "images"];
const SPLIT: &str = "test";

/// Source dataset whose answers are formulas.
const FORMULAS: &str = "HME100k";
/// Key of a question's source dataset in a sample's keys.
const SOURCE: &str = "dataset";

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    let marks = [ANNOTATIONS[0], ANNOTATIONS[1], QUESTIONS];
    match super::llava::find(folder, &marks) {
        Some(_) => vec![SPLIT.to_owned()],
        None => Vec::new(),
    }
}

/// One text, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    id: Option<Id>,
    image_path: String,
    question: String,
    answers: Texts,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    dataset_name: Option<String>,
}

impl Entry {
    fn sample(self) -> Sample {
        let answers = match self.answers {
            Texts::One(answer) => vec![answer],
            Texts::Several(answers) => answers,
        };
        of_category(self.kind, answers, self.dataset_name)
    }
}

/// The sample of a category and source dataset; answers from HME100k are formulas.
pub(super) fn of_category(
    category: String,
    answers: Vec<String>,
    source: Option<String>,
) -> Sample {
    let family = match source.as_deref() {
        Some(FORMULAS) => EXPRESSIONS.to_owned(),
        _ => category,
    };
    let mut keys = BTreeMap::new();
    if let Some(source) = source.filter(|source| !source.is_empty()) {
        keys.insert(SOURCE.to_owned(), source);
    }
    Sample {
        answers,
        family,
        keys,
        ..Sample::default()
    }
}

/// A question's source dataset, as its files name it.
pub(super) fn source(sample: &Sample) -> String {
    match sample.keys.get(SOURCE) {
        Some(source) => source.clone(),
        None if sample.family == EXPRESSIONS => FORMULAS.to_owned(),
        None => String::new(),
    }
}

/// Reads the questions.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let annotations = need(folder, "file of annotations", &ANNOTATIONS)?;
    let questions = folder.join(QUESTIONS);
    let mut place = 0;
    // Where the authors give no id, the entry's index is the id.
    let mut id_of = |id: Option<Id>| {
        place += 1;
        id.map_or_else(|| (place - 1).to_string(), Id::into_text)
    };
    if questions.is_file() {
        let golds = Annotations::read(&annotations, None, |_, mut entry: Entry| {
            (id_of(entry.id.take()), entry)
        })?;
        let lines = Lines {
            benchmark: Benchmark::Ocrbench,
            folder,
            split,
            questions,
            annotations: vec![annotations],
            images: &IMAGES,
        };
        return lines.read_with(golds, |_, entry| Ok(Taken::asked(entry.sample())));
    }
    let images = image_folders(folder, &IMAGES);
    let mut collector = Collector::new("entry", Benchmark::Ocrbench.answer_rule());
    let mut number = 0;
    for_each_entry(&annotations, None, |_, mut entry: Entry| {
        number += 1;
        let id = id_of(entry.id.take());
        let image_id = image_name(&entry.image_path, &IMAGES).to_owned();
        let sample = collector.image(&images, &image_id).map(|image| Sample {
            id,
            image,
            image_id,
            question: entry.question.trim().to_owned(),
            ..entry.sample()
        });
        collector.take(number, sample);
    })?;
    let files = vec![annotations];
    Ok(Reading::new(
        Benchmark::Ocrbench,
        split,
        folder,
        files,
        collector,
    ))
}

/// Writes the questions.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS)?;
    let mut entries = Vec::new();
    for sample in &dataset.samples {
        let image = out.image(sample, IMAGES[0])?;
        let id = out.id(&sample.id);
        lines.write(&out.question(sample, &id, &image, &sample.family))?;
        entries.push(json!({
            "id": id,
            "dataset_name": source(sample),
            "type": sample.family,
            "image_path": image,
            "question": sample.question,
            "answers": sample.answers,
        }));
    }
    lines.finish()?;
    out.json(ANNOTATIONS[0], &json!(entries))
}
