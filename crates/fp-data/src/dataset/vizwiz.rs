//! VizWiz: `val.json` with images in `val/` (prompts from `llava_val.jsonl` where it exists), or
//! LLaVA's `llava_test.jsonl` with images in `test/`, scored by the server.

use std::io::Read as _;
use std::path::Path;

use fp_scoring::open_file;
use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::collect::{Collector, Occurrences};
use super::export::{Exporter, ten};
use super::json_stream::for_each_entry;
use super::llava::{find, for_each_question, image_folders, need, read_unanswered};
use super::vqav2::Answer;
use super::{Benchmark, Dataset, DatasetError, Reading};
use crate::metric::vizwiz;
use crate::sample::Sample;

const TEST: &str = "llava_test.jsonl";
const VAL: &str = "llava_val.jsonl";
const ANNOTATIONS: [&str; 2] = ["val.json", "Annotations/val.json"];

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    let mut splits = Vec::new();
    // Other datasets use the name `val.json` too.
    let is_known = folder.join("val").is_dir() || folder.join(TEST).is_file();
    let annotations = find(folder, &ANNOTATIONS);
    if annotations.is_some_and(|path| is_known || begins_as_vizwiz(&path))
        || folder.join(VAL).is_file()
    {
        splits.push("val".to_owned());
    }
    if folder.join(TEST).is_file() {
        splits.push("test".to_owned());
    }
    splits
}

/// Whether an annotation file names VizWiz's images: scoring needs only the annotations.
fn begins_as_vizwiz(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = open_file(path).map(|file| file.take(4096).read_to_end(&mut head));
    let head = String::from_utf8_lossy(&head);
    matches!(read, Ok(Ok(_))) && head.contains("\"VizWiz_val_")
}

#[derive(Deserialize)]
struct Entry {
    image: String,
    question: String,
    #[serde(default)]
    answer_type: Option<String>,
    answers: Vec<Answer>,
}

impl Entry {
    /// The sample, without the question itself.
    fn sample(self) -> Sample {
        Sample {
            image_id: self.image,
            answers: self.answers.into_iter().map(|one| one.answer).collect(),
            family: self.answer_type.unwrap_or_else(|| "default".to_owned()),
            ..Sample::default()
        }
    }
}

/// Reads a split.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let judge = "the VizWiz server";
    match split {
        "test" => read_unanswered(Benchmark::Vizwiz, folder, split, TEST, "test", judge),
        _ => read_val(folder, split),
    }
}

/// An image has one question, so its name is the question's id if no other id is given.
fn read_val(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "file of annotations", &ANNOTATIONS)?;
    if let Some(asked) = find(folder, &[VAL]) {
        return read_asked(folder, split, &asked, &path);
    }
    let images = image_folders(folder, &["val", "images/val"]);
    let mut collector = Collector::new("entry", Benchmark::Vizwiz.answer_rule());
    let mut number = 0;
    for_each_entry(&path, None, |_, entry: Entry| {
        number += 1;
        let sample = collector.image(&images, &entry.image).map(|image| Sample {
            id: entry.image.clone(),
            question: vizwiz::question_text(&entry.question),
            image,
            ..entry.sample()
        });
        collector.take(number, sample);
    })?;
    let files = vec![path];
    Ok(Reading::new(
        Benchmark::Vizwiz,
        split,
        folder,
        files,
        collector,
    ))
}

/// Prompts and ids come from a question file. Entries are matched by image, in order where an image
/// occurs in several.
fn read_asked(
    folder: &Path,
    split: &str,
    asked: &Path,
    annotations: &Path,
) -> Result<Reading, DatasetError> {
    let images = image_folders(folder, &["val", "images/val"]);
    let mut places = Occurrences::default();
    let mut golds = Annotations::read(annotations, None, |_, entry: Entry| {
        (places.next(&entry.image), entry)
    })?;
    let mut places = Occurrences::default();
    let mut collector = Collector::new("line", Benchmark::Vizwiz.answer_rule());
    for_each_question(asked, |number, question| {
        let sample = question.and_then(|question| {
            let boxes = question.boxes();
            let id = question.question_id.into_text();
            collector.refuse_known(&id)?;
            let image = collector.image(&images, &question.image)?;
            let entry = golds.take(&places.next(&question.image))?;
            Ok(Sample {
                id,
                image,
                boxes,
                question: question.text,
                ..entry.sample()
            })
        });
        collector.take(number, sample);
    })?;
    let files = vec![asked.to_owned(), annotations.to_owned()];
    let mut reading = Reading::new(Benchmark::Vizwiz, split, folder, files, collector);
    reading.dataset.notes.extend(golds.note());
    Ok(reading)
}

/// Writes the split `val`.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(VAL)?;
    let mut entries = Vec::new();
    for sample in &dataset.samples {
        let image = out.image(sample, "val")?;
        let id = out.id(&sample.id);
        lines.write(&out.question(sample, &id, &image, "default"))?;
        let answers: Vec<_> = ten(&sample.answers)
            .iter()
            .map(|answer| json!({"answer": answer, "answer_confidence": "yes"}))
            .collect();
        entries.push(json!({
            "image": image,
            "question": sample.question.lines().next(),
            "answers": answers,
            "answer_type": sample.family,
            "answerable": 1,
        }));
    }
    lines.finish()?;
    out.json(ANNOTATIONS[0], &json!(entries))
}
