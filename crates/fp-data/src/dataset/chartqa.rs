//! ChartQA: the authors' `test/test_human.json` and `test/test_augmented.json`, images in
//! `test/png/`; `val/` has the same layout. Their questions have no ids. Where
//! `llava_chartqa_test.jsonl` (or `…_val.jsonl`) exists, prompts, ids and their order come from it.
//! The `category` of a line is `human` or `augmented`; its answer is that of the entry of that file
//! with the same image whose text the line begins with.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::beside::{Lines, Taken};
use super::collect::Collector;
use super::export::{Exporter, bare_question};
use super::json_stream::for_each_entry;
use super::lines::LineFault;
use super::llava::{Question, find, image_folders, need};
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Reading};
use crate::metric::chartqa::{AUGMENTED, HUMAN, split_name};
use crate::metric::vqa;
use crate::sample::Sample;

const PARTS: [&str; 2] = ["val", "test"];
const SPLITS: [&str; 2] = [HUMAN, AUGMENTED];

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    let has = |part: &&str| {
        let file = |split: &&str| find(folder, &as_strs(&names(part, split))).is_some();
        folder.join(questions(part)).is_file() || SPLITS.iter().any(file)
    };
    let parts = PARTS.into_iter().filter(has);
    parts.map(str::to_owned).collect()
}

fn questions(part: &str) -> String {
    format!("llava_chartqa_{part}.jsonl")
}

/// Possible names of the file with a split's human-written or machine-written questions.
fn names(part: &str, split: &str) -> [String; 3] {
    let name = format!("{part}_{split}.json");
    [
        format!("{part}/{name}"),
        format!("ChartQA Dataset/{part}/{name}"),
        name,
    ]
}

fn images(part: &str) -> [String; 4] {
    [
        format!("{part}/png"),
        format!("ChartQA Dataset/{part}/png"),
        "png".to_owned(),
        "images".to_owned(),
    ]
}

fn as_strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

#[derive(Deserialize)]
struct Entry {
    imgname: String,
    query: String,
    label: String,
}

/// Entries of both files by split and image; each can be taken once.
#[derive(Default)]
struct Golds {
    by_image: HashMap<(&'static str, String), Vec<Option<Entry>>>,
}

impl Golds {
    /// The label of the question: of the entries on its image that its text begins with, that of
    /// the longest.
    fn take(&mut self, question: &Question) -> Result<(&'static str, String), LineFault> {
        let missing = |message: String| (ProblemKind::MissingAnswer, message);
        let category = question.category.as_deref().unwrap_or_default();
        let named = split_name(category);
        let Some(split) = SPLITS.into_iter().find(|split| *split == named) else {
            let message = format!("category {category:?} is neither {HUMAN} nor {AUGMENTED}");
            return Err((ProblemKind::InvalidValue, message));
        };
        let image = super::beside::image_name(&question.image, &["png"]);
        let key = (split, image.to_owned());
        let entries = self.by_image.get_mut(&key).map_or(&mut [][..], |e| e);
        let length = |entry: &Option<Entry>| match entry {
            Some(entry) if question.text.starts_with(&entry.query) => Some(entry.query.len()),
            _ => None,
        };
        // The first of equal ones, so that repeated questions are answered in their order.
        let longest = entries
            .iter()
            .enumerate()
            .rev()
            .max_by_key(|(_, entry)| length(entry));
        let place = longest.filter(|(_, entry)| length(entry).is_some());
        let place = place.map(|(place, _)| place);
        let entry = place.and_then(|place| entries[place].take());
        let entry = entry.ok_or_else(|| {
            let about = if entries.is_empty() {
                "has no question on"
            } else {
                "doesn't ask this of"
            };
            missing(format!("the {split} file {about} {image}"))
        })?;
        Ok((split, entry.label))
    }

    fn note(&self) -> Option<String> {
        let left = self.by_image.values().flatten().filter(|e| e.is_some());
        let left = left.count();
        let total = self.by_image.values().map(Vec::len).sum::<usize>();
        (left > 0).then(|| format!("{left} of the {total} entries belong to no question"))
    }
}

/// Reads a split.
pub(super) fn read(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    let mut files = Vec::new();
    for split in SPLITS {
        let names = names(part, split);
        files.push((
            split,
            need(folder, "file of annotations", &as_strs(&names))?,
        ));
    }
    let asked = folder.join(questions(part));
    if asked.is_file() {
        read_asked(folder, part, asked, files)
    } else {
        read_entries(folder, part, files)
    }
}

fn read_asked(
    folder: &Path,
    part: &str,
    questions: PathBuf,
    files: Vec<(&'static str, PathBuf)>,
) -> Result<Reading, DatasetError> {
    let mut golds = Golds::default();
    let mut annotations = Vec::new();
    for (split, path) in files {
        for_each_entry(&path, None, |_, entry: Entry| {
            let key = (split, entry.imgname.clone());
            golds.by_image.entry(key).or_default().push(Some(entry));
        })?;
        annotations.push(path);
    }
    let images = images(part);
    let lines = Lines {
        benchmark: Benchmark::Chartqa,
        folder,
        split: part,
        questions,
        annotations,
        images: &as_strs(&images),
    };
    let mut reading = lines.read(|question| {
        let (split, label) = golds.take(question)?;
        Ok(Taken::asked(sample(split, label)))
    })?;
    reading.dataset.notes.extend(golds.note());
    Ok(reading)
}

fn sample(split: &str, label: String) -> Sample {
    Sample {
        answers: vec![label],
        family: split.to_owned(),
        ..Sample::default()
    }
}

/// Questions of the authors' files, the human-written ones first; entries are numbered over both
/// files.
fn read_entries(
    folder: &Path,
    part: &str,
    files: Vec<(&'static str, PathBuf)>,
) -> Result<Reading, DatasetError> {
    let names = images(part);
    let images = image_folders(folder, &as_strs(&names));
    let mut collector = Collector::new("entry", Benchmark::Chartqa.answer_rule());
    let mut number = 0;
    for (split, path) in &files {
        let mut place = 0;
        for_each_entry(path, None, |_, entry: Entry| {
            number += 1;
            let found = collector.image(&images, &entry.imgname);
            let sample = found.map(|image| Sample {
                id: format!("{split}-{place}"),
                image,
                image_id: entry.imgname,
                question: vqa::question_text(&entry.query),
                ..sample(split, entry.label)
            });
            place += 1;
            collector.take(number, sample);
        })?;
    }
    let files = files.into_iter().map(|(_, path)| path).collect();
    Ok(Reading::new(
        Benchmark::Chartqa,
        part,
        folder,
        files,
        collector,
    ))
}

/// Writes the split `test`. Questions of any family other than ChartQA's two are written as
/// human-written ones.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let part = "test";
    let [folder, ..] = images(part);
    let mut lines = out.lines(&questions(part))?;
    let mut entries: HashMap<&str, Vec<serde_json::Value>> = HashMap::new();
    for sample in &dataset.samples {
        let image = out.image(sample, &folder)?;
        let id = out.id(&sample.id);
        let split = match split_name(&sample.family) {
            AUGMENTED => AUGMENTED,
            _ => HUMAN,
        };
        lines.write(&out.question(sample, &id, &image, split))?;
        entries.entry(split).or_default().push(json!({
            "imgname": image,
            "query": bare_question(&sample.question),
            "label": sample.answers.first(),
        }));
    }
    lines.finish()?;
    for split in SPLITS {
        let [name, ..] = names(part, split);
        out.json(&name, &json!(entries.remove(split).unwrap_or_default()))?;
    }
    Ok(())
}
