//! Common parts of the layouts of LLaVA's evaluation: question files with one JSON object per line
//! (`question_id`, `image`, `text`, `category`), and the files beside them.
//!
//! A line may also have `bbox`, one box or several as `[x, y, width, height]` in pixels, as COCO
//! and RefCOCO write them.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::collect::Collector;
use super::lines::{LineFault, for_each_line, parse};
use super::{Benchmark, DatasetError, ImageRef, Reading};
use crate::sample::Sample;

/// An id, written as a string or as a number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Id {
    /// A whole number.
    Number(u64),
    /// Any text.
    Text(String),
}

impl Id {
    pub(crate) fn into_text(self) -> String {
        match self {
            Id::Number(number) => number.to_string(),
            Id::Text(text) => text,
        }
    }
}

/// One box, or several.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(super) enum Boxes {
    One([f64; 4]),
    Several(Vec<[f64; 4]>),
}

impl Boxes {
    /// The boxes as corners `[x0, y0, x1, y1]`.
    pub(super) fn corners(&self) -> Vec<[f64; 4]> {
        let boxes = match self {
            Boxes::One(area) => std::slice::from_ref(area),
            Boxes::Several(areas) => areas,
        };
        boxes
            .iter()
            .map(|&[x, y, width, height]| [x, y, x + width, y + height])
            .collect()
    }
}

/// A line of a question file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Question {
    pub(super) question_id: Id,
    pub(super) image: String,
    pub(super) text: String,
    #[serde(default)]
    pub(super) category: Option<String>,
    #[serde(default)]
    pub(super) bbox: Option<Boxes>,
    /// Texts of a choice's options, where they can't be parsed from the question's text.
    #[serde(default)]
    pub(super) options: Option<Vec<String>>,
}

impl Question {
    pub(super) fn boxes(&self) -> Vec<[f64; 4]> {
        self.bbox.as_ref().map(Boxes::corners).unwrap_or_default()
    }

    /// The sample that the line alone gives, on an image that was found.
    pub(super) fn into_sample(self, image: ImageRef) -> Sample {
        Sample {
            image,
            boxes: self.boxes(),
            id: self.question_id.into_text(),
            image_id: self.image,
            question: self.text,
            ..Sample::default()
        }
    }
}

/// Calls `take` for every line of a question file, counted from 1.
pub(super) fn for_each_question(
    path: &Path,
    mut take: impl FnMut(usize, Result<Question, LineFault>),
) -> Result<(), DatasetError> {
    for_each_line(path, |number, line| {
        take(number, line.and_then(parse::<Question>));
    })?;
    Ok(())
}

/// Reads a question file of a split whose reference answers only `judge` knows.
pub(super) fn read_unanswered(
    benchmark: Benchmark,
    folder: &Path,
    split: &str,
    file: &str,
    images: &str,
    judge: &str,
) -> Result<Reading, DatasetError> {
    let path = need(folder, "question file", &[file])?;
    let images = image_folders(folder, &[images]);
    let mut collector = Collector::new("line", None);
    for_each_question(&path, |number, question| {
        let sample = question.and_then(|question| {
            let image = collector.image(&images, &question.image)?;
            Ok(Sample {
                family: "default".to_owned(),
                ..question.into_sample(image)
            })
        });
        collector.take(number, sample);
    })?;
    let mut reading = Reading::new(benchmark, split, folder, vec![path], collector);
    reading.dataset.judge = Some(judge.to_owned());
    Ok(reading)
}

/// The first of several files that exists; names may contain folders.
pub(super) fn find(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    let mut paths = names.iter().map(|name| folder.join(name));
    paths.find(|path| path.is_file())
}

/// As [`find`], for a file that is required.
pub(super) fn need(
    folder: &Path,
    what: &'static str,
    names: &[&str],
) -> Result<PathBuf, DatasetError> {
    find(folder, names).ok_or_else(|| DatasetError::Missing {
        folder: folder.to_owned(),
        what,
        names: names.iter().map(|&name| name.to_owned()).collect(),
    })
}

/// Folders that may hold images: those that exist, or else the usual one, which messages then name.
pub(super) fn image_folders(folder: &Path, names: &[&str]) -> Vec<PathBuf> {
    let paths = names.iter().map(|name| folder.join(name));
    let found: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    match (found.is_empty(), names.first()) {
        (true, Some(usual)) => vec![folder.join(usual)],
        _ => found,
    }
}

/// A file's name without its extension.
pub(crate) fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_boxes_in_every_form() {
        let line = r#"{"question_id": 7, "image": "a/b.c.jpg", "text": "t", "category": "default", "bbox": [1, 2, 3, 4.5], "more": null}"#;
        let question: Question = parse(line).unwrap();
        assert_eq!(question.boxes(), [[1.0, 2.0, 4.0, 6.5]]);
        assert_eq!(question.question_id.into_text(), "7");
        assert_eq!(stem(&question.image), "b.c");
        let line = r#"{"question_id": "x/1.png", "image": "a", "text": "t", "bbox": [[0,0,1,1],[1,1,2,2]]}"#;
        let question: Question = parse(line).unwrap();
        assert_eq!(
            question.boxes(),
            [[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 3.0, 3.0]]
        );
        assert!(parse::<Question>(r#"{"question_id": 7, "image": "a"}"#).is_err());
    }
}
