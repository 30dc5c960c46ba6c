//! AI2D: `llava_ai2d_test.jsonl`, whose ids are those of the authors' question files,
//! `questions/<image>.json`, one per image; images in `images/`.
//!
//! The authors' files alone are not enough: a list of images says which questions are tested, and
//! where a question refers to letters in its diagram, these must be drawn into the image first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::beside::{Lines, Taken};
use super::export::Exporter;
use super::json_stream::for_each_entry;
use super::lines::LineFault;
use super::llava::{Id, Question, need};
use super::scienceqa::letter;
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Reading, mmbench};
use crate::sample::Sample;

const QUESTIONS: &str = "llava_ai2d_test.jsonl";
const ANNOTATIONS: &str = "questions";
const IMAGES: [&str; 2] = ["images", "ai2d/images"];
/// Folder of images with letters in place of their labels.
const LETTERED: &str = "abc_images";
const SPLIT: &str = "test";

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    if folder.join(QUESTIONS).is_file() {
        vec![SPLIT.to_owned()]
    } else {
        Vec::new()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    question_id: Id,
    answer_texts: Vec<String>,
    correct_answer: usize,
}

/// Entries of one image's file by id, each taken once, or the reason why there are none.
type OfImage = Result<HashMap<String, Entry>, LineFault>;

fn read_image(path: &Path) -> OfImage {
    let mut entries = HashMap::new();
    let read = for_each_entry(path, Some("questions"), |_, entry: Entry| {
        entries.insert(entry.question_id.clone().into_text(), entry);
    });
    match read {
        Ok(()) => Ok(entries),
        Err(error) => Err((ProblemKind::MissingAnswer, fp_scoring::error_text(&error))),
    }
}

/// Reads the questions.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let questions = need(folder, "question file", &[QUESTIONS])?;
    let lines = Lines {
        benchmark: Benchmark::Ai2d,
        folder,
        split,
        questions,
        annotations: Vec::new(),
        images: &[IMAGES[0], IMAGES[1], LETTERED],
    };
    let mut by_image: HashMap<PathBuf, OfImage> = HashMap::new();
    let mut reading = lines.read(|question| {
        let image = question.image.rsplit('/').next().unwrap_or_default();
        let path = folder.join(ANNOTATIONS).join(format!("{image}.json"));
        let entries = by_image
            .entry(path.clone())
            .or_insert_with(|| read_image(&path));
        let entries = entries.as_mut().map_err(|fault| fault.clone())?;
        let entry = take(entries, question, &path)?;
        Ok(Taken::asked(Sample {
            answers: letter(entry.correct_answer).into_iter().collect(),
            choices: entry.answer_texts,
            family: "ai2d".to_owned(),
            ..Sample::default()
        }))
    })?;
    // Files that define the samples' content, in a deterministic order.
    let mut files: Vec<PathBuf> = by_image.into_keys().filter(|path| path.is_file()).collect();
    files.sort();
    reading.dataset.files.extend(files);
    Ok(reading)
}

fn take(
    entries: &mut HashMap<String, Entry>,
    question: &Question,
    path: &Path,
) -> Result<Entry, LineFault> {
    let id = question.question_id.clone().into_text();
    entries.remove(&id).ok_or_else(|| {
        let message = format!("question {id} isn't in {}", path.display());
        (ProblemKind::MissingAnswer, message)
    })
}

/// Writes questions, and one file of answers per image.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS)?;
    let mut by_image: HashMap<String, serde_json::Map<String, serde_json::Value>> = HashMap::new();
    for sample in &dataset.samples {
        let image = out.image(sample, IMAGES[0])?;
        let id = out.id(&sample.id);
        lines.write(&out.question(sample, &id, &image, "default"))?;
        let of_image = by_image.entry(image).or_default();
        // The authors' files key entries by their text; a repeated text gets its id appended.
        let mut name = mmbench::export::question_of(sample).to_owned();
        if of_image.contains_key(&name) {
            name = format!("{name} ({})", sample.id);
        }
        let entry = json!({
            "abcLabel": false,
            "answerTexts": sample.choices,
            "correctAnswer": place_of_answer(sample),
            "questionId": sample.id,
        });
        of_image.insert(name, entry);
    }
    lines.finish()?;
    for (image, questions) in by_image {
        let file = json!({"imageName": image, "questions": questions});
        out.json(&format!("{ANNOTATIONS}/{image}.json"), &file)?;
    }
    Ok(())
}

/// Index of a choice's right option, from 0.
pub(super) fn place_of_answer(sample: &Sample) -> Option<usize> {
    let answer = sample.answers.first()?;
    ('A'..='Z').position(|letter| answer.chars().eq([letter]))
}
