//! ScienceQA, questions with an image: `llava_test_CQM-A.json` with `problems.json`,
//! images in `images/test/<id>/`. Questions without an image are set apart and counted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::collect::Collector;
use super::export::Exporter;
use super::json_stream::for_each_entry;
use super::lines::LineFault;
use super::llava::{Boxes, Id, find, image_folders, need};
use super::{Benchmark, Dataset, DatasetError, ImageRef, ProblemKind, Reading};
use crate::metric::scienceqa::INSTRUCTION;
use crate::sample::Sample;

const QUESTIONS: [&str; 2] = ["llava_test_CQM-A.json", IMAGES_ONLY];
/// The file with only the questions that have an image.
const IMAGES_ONLY: &str = "llava_test_CQM-I.json";
const PROBLEMS: &str = "problems.json";
const SPLITS: &str = "pid_splits.json";

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    match find(folder, &QUESTIONS) {
        Some(_) => vec!["test".to_owned()],
        None => Vec::new(),
    }
}

#[derive(Deserialize)]
struct Entry {
    id: Id,
    #[serde(default)]
    image: Option<String>,
    conversations: Vec<Turn>,
    #[serde(default)]
    bbox: Option<Boxes>,
}

#[derive(Deserialize)]
struct Turn {
    value: String,
}

#[derive(Deserialize)]
struct Problem {
    choices: Vec<String>,
    answer: usize,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    grade: Option<String>,
}

/// Reads the questions; those without an image are set apart.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "question file", &QUESTIONS)?;
    let problems_path = need(folder, "file of problems", &[PROBLEMS])?;
    let mut problems = Annotations::read(&problems_path, None, |id, problem: Problem| {
        (id.unwrap_or_default(), problem)
    })?;
    let images = image_folders(folder, &["images/test", "test", "images"]);
    let mut collector = Collector::new("entry", Benchmark::Scienceqa.answer_rule());
    let mut number = 0;
    for_each_entry(&path, None, |_, entry: Entry| {
        number += 1;
        let name = entry.image.as_deref().filter(|name| !name.is_empty());
        let image = name.map_or(Ok(ImageRef::None), |name| collector.image(&images, name));
        let sample = image.and_then(|image| {
            let mut sample = sample(&entry, &mut problems)?;
            sample.image = image;
            Ok(sample)
        });
        collector.take(number, sample);
    })?;
    let files = vec![path, problems_path];
    let mut reading = Reading::new(Benchmark::Scienceqa, split, folder, files, collector);
    reading.dataset.note_text_only(number);
    if reading.dataset.files[0].ends_with(IMAGES_ONLY) {
        let note = format!(
            "{IMAGES_ONLY} holds image questions only; {} has all, which the overall accuracy is \
             over",
            QUESTIONS[0]
        );
        reading.dataset.notes.push(note);
    }
    Ok(reading)
}

fn sample(entry: &Entry, problems: &mut Annotations<Problem>) -> Result<Sample, LineFault> {
    let id = entry.id.clone().into_text();
    let problem = problems.take(&id)?;
    let Some(turn) = entry.conversations.first() else {
        let message = "no conversation; its first turn is the question".to_owned();
        return Err((ProblemKind::Malformed, message));
    };
    let text = turn.value.replace(fp_image::IMAGE_PLACEHOLDER, "");
    let mut keys = BTreeMap::new();
    for (key, value) in [("topic", problem.topic), ("grade", problem.grade)] {
        if let Some(value) = value {
            keys.insert(key.to_owned(), value);
        }
    }
    Ok(Sample {
        image_id: id.clone(),
        id,
        question: format!("{}\n{INSTRUCTION}", text.trim()),
        answers: letter(problem.answer).into_iter().collect(),
        choices: problem.choices,
        family: problem.subject.unwrap_or_else(|| "scienceqa".to_owned()),
        keys,
        boxes: entry.bbox.as_ref().map(Boxes::corners).unwrap_or_default(),
        ..Sample::default()
    })
}

/// The letter of an option, counted from 0.
pub(super) fn letter(index: usize) -> Option<String> {
    ('A'..='Z').nth(index).map(String::from)
}

/// Writes questions, problems and splits, with one image per question.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut entries = Vec::new();
    let mut problems = serde_json::Map::new();
    let mut ids = Vec::new();
    for sample in &dataset.samples {
        let image = out.own_image(sample, &format!("images/test/{}", sample.id), "image")?;
        let text = sample
            .question
            .strip_suffix(INSTRUCTION)
            .unwrap_or(&sample.question);
        let text = text.trim_end();
        let answer = sample.answers.first();
        let mut entry = json!({
            "id": sample.id,
            "image": format!("{}/{image}", sample.id),
            "conversations": [
                {"from": "human", "value": format!("<image>\n{text}")},
                {"from": "gpt", "value": answer},
            ],
        });
        out.add_boxes(sample, &mut entry);
        entries.push(entry);
        let index = ('A'..='Z').position(|l| answer.is_some_and(|a| a.starts_with(l)));
        problems.insert(
            sample.id.clone(),
            json!({
                "question": text.lines().next(),
                "choices": sample.choices,
                "answer": index,
                "hint": "",
                "image": image,
                "task": "closed choice",
                "subject": sample.family,
                "topic": sample.keys.get("topic"),
                "grade": sample.keys.get("grade"),
                "split": "test",
            }),
        );
        ids.push(sample.id.clone());
    }
    out.json(QUESTIONS[0], &json!(entries))?;
    out.json(PROBLEMS, &json!(problems))?;
    out.json(SPLITS, &json!({"test": ids, "train": [], "val": []}))
}
