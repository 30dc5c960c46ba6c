//! POPE: `llava_pope_test.jsonl` and a file of labels per category,
//! `coco/coco_pope_{adversarial,popular,random}.json`; images in `val2014/`.
//!
//! Labels and questions are matched by their position within a category, as in LLaVA's script; here
//! image and text must agree too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::collect::Collector;
use super::export::{Exporter, bare_question};
use super::lines::{LineFault, for_each_line, parse};
use super::llava::{Question, for_each_question, image_folders, need};
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Problems, Reading};
use crate::sample::Sample;

const QUESTIONS: &str = "llava_pope_test.jsonl";

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    if folder.join(QUESTIONS).is_file() {
        vec!["test".to_owned()]
    } else {
        Vec::new()
    }
}

#[derive(Deserialize)]
struct Label {
    image: String,
    text: String,
    label: String,
}

/// Labels of one category, taken in order.
struct Labels {
    path: PathBuf,
    labels: Vec<Label>,
    /// Index of the first label that may still be taken.
    next: usize,
    num_used: usize,
}

impl Labels {
    fn read(folder: &Path, category: &str) -> Result<Labels, DatasetError> {
        let names =
            ["coco/", "", "output/coco/"].map(|place| format!("{place}coco_pope_{category}.json"));
        let names = names.each_ref().map(String::as_str);
        let path = need(folder, "file of labels for a category of questions", &names)?;
        let mut labels = Vec::new();
        let mut problems = Problems::default();
        for_each_line(&path, |number, line| match line.and_then(parse::<Label>) {
            Ok(label) => labels.push(label),
            Err((kind, reason)) => problems.add(number, kind, reason),
        })?;
        if problems.is_empty() {
            Ok(Labels {
                path,
                labels,
                next: 0,
                num_used: 0,
            })
        } else {
            Err(DatasetError::Lines { path, problems })
        }
    }

    /// The label of the next question: the one at its position, or a later one if lines before the
    /// question couldn't be read.
    fn next(&mut self, question: &Question) -> Result<String, LineFault> {
        let is_meant = |label: &Label| {
            label.image == question.image && question.text.starts_with(label.text.as_str())
        };
        let left = self.labels.get(self.next..).unwrap_or_default();
        if let Some(ahead) = left.iter().position(is_meant) {
            self.next += ahead + 1;
            self.num_used += 1;
            return Ok(self.labels[self.next - 1].label.clone());
        }
        let path = self.path.display();
        let message = match left.first() {
            None => format!("{path} has {} labels only", self.labels.len()),
            Some(label) => format!(
                "label {} of {path} is about {} and {:?}; the random questions of LLaVA's file belong to the first release of POPE, with 2910 of them",
                self.next + 1,
                label.image,
                label.text
            ),
        };
        Err((ProblemKind::MissingAnswer, message))
    }
}

/// Reads questions and labels.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "question file", &[QUESTIONS])?;
    let images = image_folders(folder, &["val2014", "images"]);
    let mut labels: BTreeMap<String, Labels> = BTreeMap::new();
    let mut collector = Collector::new("line", Benchmark::Pope.answer_rule());
    let mut missing = None;
    for_each_question(&path, |number, question| {
        let sample = question.and_then(|question| {
            // A repeated question has no label of its own.
            collector.refuse_known(&question.question_id.clone().into_text())?;
            let category = question.category.clone().unwrap_or_default();
            if !labels.contains_key(&category) {
                let read = Labels::read(folder, &category).map_err(|error| {
                    let message = fp_scoring::error_text(&error);
                    missing.get_or_insert(error);
                    (ProblemKind::MissingAnswer, message)
                })?;
                labels.insert(category.clone(), read);
            }
            let labels = labels.get_mut(&category);
            let label = labels.map(|labels| labels.next(&question)).transpose()?;
            let image = collector.image(&images, &question.image)?;
            Ok(Sample {
                answers: label.into_iter().collect(),
                family: category,
                ..question.into_sample(image)
            })
        });
        collector.take(number, sample);
    })?;
    if let Some(error) = missing {
        return Err(error);
    }
    let mut files = vec![path];
    let mut notes = Vec::new();
    for labels in labels.into_values() {
        if labels.num_used < labels.labels.len() {
            notes.push(format!(
                "{} has {} labels, of which {} are asked for",
                labels.path.display(),
                labels.labels.len(),
                labels.num_used
            ));
        }
        files.push(labels.path);
    }
    let mut reading = Reading::new(Benchmark::Pope, split, folder, files, collector);
    reading.dataset.notes = notes;
    Ok(reading)
}

/// Writes questions and labels, one category per kind of question.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS)?;
    let mut labels: BTreeMap<&str, Vec<serde_json::Value>> = BTreeMap::new();
    for sample in &dataset.samples {
        let image = out.image(sample, "val2014")?;
        let id = out.id(&sample.id);
        lines.write(&out.question(sample, &id, &image, &sample.family))?;
        let of_family = labels.entry(&sample.family).or_default();
        of_family.push(json!({
            "question_id": of_family.len() + 1,
            "image": image,
            "text": bare_question(&sample.question),
            "label": sample.answers.first(),
        }));
    }
    lines.finish()?;
    for (category, labels) in labels {
        let mut lines = out.lines(&format!("coco/coco_pope_{category}.json"))?;
        for label in &labels {
            lines.write(label)?;
        }
        lines.finish()?;
    }
    Ok(())
}
