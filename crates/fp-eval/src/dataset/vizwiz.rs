//! VizWiz: `val.json` with images in `val/` (prompts from `llava_val.jsonl` where it is
//! there), or LLaVA's `llava_test.jsonl` with images in `test/`, scored by the server.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::collect::{Collector, Occurrences};
use super::export::{Exporter, ten};
use super::json_stream::for_each_entry;
use super::llava::{find, for_each_question, image_folders, need};
use super::vqav2::Answer;
use super::{Benchmark, Dataset, DatasetError, Reading};
use crate::metric::vizwiz;
use crate::sample::Sample;

const TEST: &str = "llava_test.jsonl";
const VAL: &str = "llava_val.jsonl";
const ANNOTATIONS: [&str; 2] = ["val.json", "Annotations/val.json"];

/// Parts that a folder has.
pub(super) fn parts(folder: &Path) -> Vec<String> {
    let mut parts = Vec::new();
    // `val.json` alone is a name that others use too.
    let has_images = folder.join("val").is_dir() || folder.join(TEST).is_file();
    if find(folder, &ANNOTATIONS).is_some() && has_images || folder.join(VAL).is_file() {
        parts.push("val".to_owned());
    }
    if folder.join(TEST).is_file() {
        parts.push("test".to_owned());
    }
    parts
}

#[derive(Deserialize)]
struct Entry {
    image: String,
    question: String,
    #[serde(default)]
    answer_type: Option<String>,
    answers: Vec<Answer>,
}

/// Reads a part.
pub(super) fn read(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    match part {
        "test" => read_test(folder, part),
        _ => read_val(folder, part),
    }
}

fn read_test(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "question file", &[TEST])?;
    let images = image_folders(folder, &["test"]);
    let mut collector = Collector::new("line", None);
    for_each_question(&path, |number, question| {
        let sample = question.and_then(|question| {
            Ok(Sample {
                image: collector.image(&images, &question.image)?,
                id: question.question_id.into_text(),
                image_id: question.image,
                question: question.text,
                family: "default".to_owned(),
                ..Sample::default()
            })
        });
        collector.take(number, sample);
    })?;
    let mut reading = Reading::new(Benchmark::Vizwiz, part, folder, vec![path], collector);
    reading.dataset.judge = Some("the VizWiz server".to_owned());
    Ok(reading)
}

/// An image has one question, so that its name is the question's id.
fn read_val(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "file of annotations", &ANNOTATIONS)?;
    let images = image_folders(folder, &["val", "images/val"]);
    let mut files = vec![path.clone()];
    let mut asked = HashMap::new();
    let mut occurrences = Occurrences::default();
    if let Some(prompts) = find(folder, &[VAL]) {
        for_each_question(&prompts, |_, question| {
            // A line that can't be read is missed below, by its image.
            if let Ok(question) = question {
                asked.insert(occurrences.next(&question.image), question);
            }
        })?;
        files.insert(0, prompts);
    }
    let has_prompts = files.len() > 1;
    let mut places = Occurrences::default();
    let mut collector = Collector::new("entry", Benchmark::Vizwiz.answer_rule());
    let mut number = 0;
    for_each_entry(&path, None, |_, entry: Entry| {
        number += 1;
        let place = places.next(&entry.image);
        let prompt = asked.remove(&place);
        let sample = collector.image(&images, &entry.image).and_then(|image| {
            let (id, question, boxes) = match prompt {
                Some(asked) => {
                    let boxes = asked.boxes();
                    (asked.question_id.into_text(), asked.text, boxes)
                }
                None if has_prompts => {
                    let message = format!("{VAL} has no line on {}", entry.image);
                    return Err((super::ProblemKind::Malformed, message));
                }
                None => {
                    let text = vizwiz::question_text(&entry.question);
                    (entry.image.clone(), text, Vec::new())
                }
            };
            Ok(Sample {
                id,
                image,
                image_id: entry.image,
                question,
                answers: entry
                    .answers
                    .into_iter()
                    .map(|entry| entry.answer)
                    .collect(),
                family: entry.answer_type.unwrap_or_else(|| "default".to_owned()),
                boxes,
                ..Sample::default()
            })
        });
        collector.take(number, sample);
    })?;
    Ok(Reading::new(
        Benchmark::Vizwiz,
        part,
        folder,
        files,
        collector,
    ))
}

/// Writes the part `val`.
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
