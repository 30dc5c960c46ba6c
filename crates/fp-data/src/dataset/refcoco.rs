//! RefCOCO, RefCOCO+ and RefCOCOg: `refcoco_val.jsonl`, `refcoco+_testA.jsonl` and others named
//! like these, with one expression and its box per line, as evaluation scripts distribute them;
//! COCO images in `train2014/`.
//!
//! The box is both the evidence that kept tokens should cover and the reference for the answer.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::collect::{Collector, Occurrences};
use super::export::Exporter;
use super::lines::{for_each_line, parse};
use super::llava::{image_folders, need, stem};
use super::{Benchmark, Dataset, DatasetError, Reading};
use crate::metric::refcoco::{answer, expression, question_text};
use crate::sample::Sample;

const PREFIXES: [&str; 3] = ["refcoco_", "refcoco+_", "refcocog_"];
const EXPORTED: &str = "refcoco_val.jsonl";
const IMAGES: [&str; 4] = [
    "train2014",
    "coco/train2014",
    "data/coco/train2014",
    "images",
];
/// Note on every split.
pub(super) const NOTE: &str = "correct answers are boxes in shares of the image's width and height, as lmms-eval asks for them, with an IoU of at least 0.5";

/// Splits that a folder has: names of files without their extension.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut splits: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let split = name.strip_suffix(".jsonl")?;
            let is_known = PREFIXES.iter().any(|prefix| split.starts_with(prefix));
            is_known.then(|| split.to_owned())
        })
        .collect();
    splits.sort();
    splits
}

/// A line of the file; the box has corners in pixels.
#[derive(Serialize, Deserialize)]
struct Line {
    image: String,
    sent: String,
    bbox: [f64; 4],
    width: usize,
    height: usize,
}

/// A question on the box of an expression, in an image of `[width, height]` pixels.
pub(super) fn sample(text: &str, corners: [f64; 4], size: [usize; 2]) -> Sample {
    Sample {
        image_size: Some(size),
        question: question_text(text),
        answers: vec![answer(corners, size)],
        family: "refcoco".to_owned(),
        boxes: vec![corners],
        ..Sample::default()
    }
}

/// The image id in a file name: names of single annotations end in `_` and a number.
pub(super) fn image_id(file_name: &str) -> String {
    let name = stem(file_name);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match name.rsplit_once('_') {
        Some((image, number))
            if is_number(number)
                && image
                    .rsplit('_')
                    .next()
                    .is_some_and(|id| id.len() == 12 && is_number(id)) =>
        {
            image.to_owned()
        }
        _ => name.to_owned(),
    }
}

/// Reads a split.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "file of expressions", &[&format!("{split}.jsonl")])?;
    let images = image_folders(folder, &IMAGES);
    let mut occurrences = Occurrences::default();
    let mut collector = Collector::new("line", Benchmark::Refcoco.answer_rule());
    for_each_line(&path, |number, line| {
        let sample = line.and_then(parse::<Line>).and_then(|line| {
            // Paths are relative to wherever the file was made.
            let name = line.image.rsplit('/').next().unwrap_or_default();
            let image = collector.image(&images, name)?;
            let image_id = image_id(name);
            Ok(Sample {
                // An object has several expressions without numbers of their own.
                id: occurrences.next(&image_id),
                image,
                image_id,
                ..sample(&line.sent, line.bbox, [line.width, line.height])
            })
        });
        collector.take(number, sample);
    })?;
    let mut reading = Reading::new(Benchmark::Refcoco, split, folder, vec![path], collector);
    reading.dataset.notes.push(NOTE.to_owned());
    Ok(reading)
}

/// Whether a sample asks for one box.
pub(super) fn fits(sample: &Sample) -> bool {
    sample.boxes.len() == 1 && expression(&sample.question).is_some()
}

/// Writes expressions and boxes.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(EXPORTED)?;
    for sample in &dataset.samples {
        let image = out.image(sample, IMAGES[0])?;
        let [width, height] = out.size(sample)?;
        let line = Line {
            image,
            sent: expression(&sample.question).unwrap_or_default().to_owned(),
            bbox: sample.boxes.first().copied().unwrap_or_default(),
            width,
            height,
        };
        lines.write(&serde_json::to_value(&line).unwrap_or_default())?;
    }
    lines.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_of_one_image_share_it() {
        for name in [
            "COCO_train2014_000000581857_16.jpg",
            "COCO_train2014_000000581857.jpg",
        ] {
            assert_eq!(image_id(name), "COCO_train2014_000000581857");
        }
        assert_eq!(image_id("scene_17.png"), "scene_17");
    }
}
