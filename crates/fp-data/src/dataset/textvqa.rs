//! TextVQA: `llava_textvqa_val_v051_ocr.jsonl` and `TextVQA_0.5.1_val.json`, images in
//! `train_images/`; boxes from `TextVQA_Rosetta_OCR_v0.2_val.json` where it exists.
//!
//! LLaVA's question file uses the image's name as the question's id, which repeats: a question is
//! looked up by its image and its text in lower case, as in LLaVA's script.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::annotations::Annotations;
use super::collect::Collector;
use super::export::{Exporter, ten};
use super::json_stream::for_each_entry;
use super::lines::LineFault;
use super::llava::{Id, Question, find, for_each_question, image_folders, need, stem};
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Reading};
use crate::metric::textvqa::{NUM_GOLDS, evidence, question_key};
use crate::sample::Sample;

const QUESTIONS: &str = "llava_textvqa_val_v051_ocr.jsonl";
const ANNOTATIONS: &str = "TextVQA_0.5.1_val.json";
const OCR: &str = "TextVQA_Rosetta_OCR_v0.2_val.json";

/// With the line of OCR tokens, as in LLaVA's prompts.
pub(super) const WITH_OCR: &str = "ocr";
/// Without it, as in lmms-eval's prompts.
pub(super) const WITHOUT_OCR: &str = "noocr";

/// Splits that a folder has: the same questions with and without the OCR line.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    match find(folder, &[QUESTIONS, ANNOTATIONS]) {
        Some(_) => vec![WITH_OCR.to_owned(), WITHOUT_OCR.to_owned()],
        None => Vec::new(),
    }
}

#[derive(Deserialize)]
struct Gold {
    question_id: Id,
    image_id: String,
    question: String,
    answers: Vec<String>,
    #[serde(default)]
    image_width: Option<usize>,
    #[serde(default)]
    image_height: Option<usize>,
}

#[derive(Deserialize)]
struct Ocr {
    image_id: String,
    ocr_info: Vec<OcrToken>,
}

#[derive(Deserialize)]
struct OcrToken {
    word: String,
    bounding_box: OcrBox,
}

/// Box in fractions of the image's width and height.
#[derive(Deserialize)]
struct OcrBox {
    top_left_x: f64,
    top_left_y: f64,
    width: f64,
    height: f64,
}

/// Reads the questions, with or without the OCR line.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "question file", &[QUESTIONS])?;
    let annotations = need(folder, "file of annotations", &[ANNOTATIONS])?;
    let mut golds = Annotations::read(&annotations, Some("data"), |_, gold: Gold| {
        (key(&gold.image_id, &gold.question.to_lowercase()), gold)
    })?;
    let mut files = vec![path.clone(), annotations];
    let images = image_folders(folder, &["train_images", "train_val_images/train_images"]);
    let mut collector = Collector::new("line", Benchmark::Textvqa.answer_rule());
    for_each_question(&path, |number, question| {
        let sample = question.and_then(|question| {
            let image = collector.image(&images, &question.image)?;
            let mut sample = sample(&question, split, &mut golds)?;
            sample.image = image;
            Ok(sample)
        });
        collector.take(number, sample);
    })?;
    let mut notes: Vec<String> = golds.note().into_iter().collect();
    match find(folder, &[OCR]) {
        Some(ocr) => {
            add_boxes(&ocr, &mut collector)?;
            files.push(ocr);
        }
        None => notes.push(format!("no {OCR}, so no boxes")),
    }
    let mut reading = Reading::new(Benchmark::Textvqa, split, folder, files, collector);
    reading.dataset.notes = notes;
    Ok(reading)
}

/// Lookup key of a question.
fn key(image_id: &str, question: &str) -> String {
    format!("{question:?} on image {image_id}")
}

fn sample(
    question: &Question,
    split: &str,
    golds: &mut Annotations<Gold>,
) -> Result<Sample, LineFault> {
    let image_id = question.question_id.clone().into_text();
    // A prompt in another form is used as the question itself.
    let text = question_key(&question.text).unwrap_or_else(|_| question.text.to_lowercase());
    let gold = golds.take(&key(&image_id, &text))?;
    check_golds(&gold.answers)?;
    Ok(Sample {
        id: gold.question_id.into_text(),
        image_id,
        image_size: gold.image_width.zip(gold.image_height).map(|(w, h)| [w, h]),
        question: match split {
            WITHOUT_OCR => without_ocr(&question.text),
            _ => question.text.clone(),
        },
        answers: gold.answers,
        family: "textvqa".to_owned(),
        boxes: question.boxes(),
        ..Sample::default()
    })
}

/// The accuracy is defined for ten answers only.
pub(super) fn check_golds(answers: &[String]) -> Result<(), LineFault> {
    match answers.len() {
        NUM_GOLDS => Ok(()),
        count => {
            let message = format!("{count} answers; TextVQA's accuracy needs {NUM_GOLDS}");
            Err((ProblemKind::InvalidValue, message))
        }
    }
}

/// A prompt without its line of OCR tokens.
fn without_ocr(prompt: &str) -> String {
    let lines = prompt.split('\n');
    let kept = lines.filter(|line| !line.starts_with("Reference OCR token:"));
    kept.collect::<Vec<_>>().join("\n")
}

/// Adds the boxes of OCR tokens that equal an answer.
fn add_boxes(path: &Path, collector: &mut Collector) -> Result<(), DatasetError> {
    let mut by_image: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, sample) in collector.samples.iter().enumerate() {
        let indices = by_image.entry(sample.image_id.clone()).or_default();
        indices.push(index);
    }
    for_each_entry(path, Some("data"), |_, entry: Ocr| {
        let tokens: Vec<String> = entry.ocr_info.iter().map(|t| t.word.clone()).collect();
        for &index in by_image.get(&entry.image_id).into_iter().flatten() {
            let sample = &mut collector.samples[index];
            let Some([width, height]) = sample.image_size else {
                continue;
            };
            let (width, height) = (width as f64, height as f64);
            let found = evidence(&tokens, &sample.answers);
            let corners = found.into_iter().map(|token| {
                let area = &entry.ocr_info[token].bounding_box;
                let (x, y) = (area.top_left_x * width, area.top_left_y * height);
                [x, y, x + area.width * width, y + area.height * height]
            });
            sample.boxes = corners
                .filter(|[x0, y0, x1, y1]| x0 < x1 && y0 < y1)
                .collect();
        }
    })
}

/// Writes questions, annotations and, if there are boxes, the answer as an OCR token in each.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS)?;
    let mut golds = Vec::new();
    let mut tokens: HashMap<String, Vec<Value>> = HashMap::new();
    for sample in &dataset.samples {
        let image = out.image(sample, "train_images")?;
        let image_id = stem(&image).to_owned();
        let [width, height] = out.size(sample)?;
        lines.write(&json!({
            "question_id": image_id, "image": image, "text": sample.question,
            "category": "default",
        }))?;
        let key = question_key(&sample.question).unwrap_or_else(|_| sample.question.clone());
        golds.push(json!({
            "question_id": out.id(&sample.id),
            "image_id": image_id,
            "question": key,
            "answers": ten(&sample.answers),
            "image_width": width,
            "image_height": height,
        }));
        let (width, height) = (width as f64, height as f64);
        let of_image = tokens.entry(image_id).or_default();
        for [x0, y0, x1, y1] in &sample.boxes {
            of_image.push(json!({
                "word": sample.answers.first(),
                "bounding_box": {
                    "top_left_x": x0 / width,
                    "top_left_y": y0 / height,
                    "width": (x1 - x0) / width,
                    "height": (y1 - y0) / height,
                },
            }));
        }
    }
    lines.finish()?;
    out.json(ANNOTATIONS, &json!({"data": golds}))?;
    let mut entries: Vec<_> = tokens.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let entries: Vec<Value> = entries
        .into_iter()
        .map(|(image_id, info)| json!({"image_id": image_id, "ocr_info": info}))
        .collect();
    out.json(OCR, &json!({"data": entries}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ocr_line_alone_goes() {
        let prompt = "What?\nReference OCR token: A, B\nAnswer.";
        assert_eq!(without_ocr(prompt), "What?\nAnswer.");
        assert_eq!(without_ocr("What?\nAnswer."), "What?\nAnswer.");
    }
}
