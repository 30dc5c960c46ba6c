//! VQAv2: LLaVA's question files, or the official files of the validation split.
//!
//! `val`: `v2_mscoco_val2014_annotations.json` with `llava_vqav2_mscoco_val2014.jsonl` or else
//! `v2_OpenEnded_mscoco_val2014_questions.json`; images in `val2014/`. `test-dev`, `test`:
//! `llava_vqav2_mscoco_test-dev2015.jsonl`, `…_test2015.jsonl`, images in `test2015/`, scored only
//! by the server.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::collect::Collector;
use super::export::{Exporter, bare_question, ten};
use super::json_stream::for_each_entry;
use super::lines::LineFault;
use super::llava::{Id, find, for_each_question, image_folders, need, read_unanswered};
use super::{Benchmark, Dataset, DatasetError, Problems, Reading};
use crate::metric::vqa;
use crate::sample::Sample;

const ANNOTATIONS: [&str; 2] = [
    "v2_mscoco_val2014_annotations.json",
    "annotations/v2_mscoco_val2014_annotations.json",
];
const QUESTIONS: [&str; 2] = [
    "v2_OpenEnded_mscoco_val2014_questions.json",
    "questions/v2_OpenEnded_mscoco_val2014_questions.json",
];
const VAL: &str = "llava_vqav2_mscoco_val2014.jsonl";
const TEST: [(&str, &str); 2] = [
    ("test-dev", "llava_vqav2_mscoco_test-dev2015.jsonl"),
    ("test", "llava_vqav2_mscoco_test2015.jsonl"),
];

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    let mut splits = Vec::new();
    let marks = [
        VAL,
        ANNOTATIONS[0],
        ANNOTATIONS[1],
        QUESTIONS[0],
        QUESTIONS[1],
    ];
    if find(folder, &marks).is_some() {
        splits.push("val".to_owned());
    }
    let test = TEST.iter().filter(|(_, file)| folder.join(file).is_file());
    splits.extend(test.map(|(split, _)| (*split).to_owned()));
    splits
}

#[derive(Deserialize)]
struct OfficialQuestion {
    question_id: Id,
    image_id: u64,
    question: String,
}

/// One annotation; unused fields are omitted.
#[derive(Deserialize)]
struct Entry {
    question_id: Id,
    image_id: Id,
    #[serde(default)]
    question_type: Option<String>,
    #[serde(default)]
    answer_type: Option<String>,
    answers: Vec<Answer>,
}

/// The part of an annotation that is kept until its question is read.
struct Gold {
    image_id: Id,
    question_type: Option<String>,
    answer_type: Option<String>,
    answers: Vec<String>,
}

impl From<Entry> for Gold {
    fn from(entry: Entry) -> Self {
        let answers = entry.answers.into_iter().map(|answer| answer.answer);
        let mut answers: Vec<String> = answers.collect();
        // There are hundreds of thousands of these lists, each with spare capacity.
        answers.shrink_to_fit();
        Gold {
            image_id: entry.image_id,
            question_type: entry.question_type,
            answer_type: entry.answer_type,
            answers,
        }
    }
}

/// The answer of one of ten annotators.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) answer: String,
}

/// Reads a split.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    match TEST.iter().find(|(name, _)| *name == split) {
        Some((_, file)) => {
            let judge = "the VQAv2 server";
            read_unanswered(Benchmark::Vqav2, folder, split, file, "test2015", judge)
        }
        None => read_val(folder, split),
    }
}

fn read_val(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let annotations = need(folder, "file of annotations", &ANNOTATIONS)?;
    let mut golds = Annotations::read(&annotations, Some("annotations"), |_, entry: Entry| {
        (entry.question_id.clone().into_text(), Gold::from(entry))
    })?;
    let images = image_folders(folder, &["val2014", "images/val2014", "images"]);
    let rule = Benchmark::Vqav2.answer_rule();
    let mut collector;
    let path = match find(folder, &[VAL]) {
        Some(path) => {
            collector = Collector::new("line", rule);
            for_each_question(&path, |number, question| {
                let sample = question.and_then(|question| {
                    let boxes = question.boxes();
                    let image = collector.image(&images, &question.image)?;
                    let sample = sample(question.question_id, question.text, &mut golds)?;
                    Ok(Sample {
                        image,
                        boxes,
                        ..sample
                    })
                });
                collector.take(number, sample);
            })?;
            path
        }
        None => {
            let path = need(folder, "question file", &QUESTIONS)?;
            collector = Collector::new("entry", rule);
            let mut number = 0;
            for_each_entry(&path, Some("questions"), |_, entry: OfficialQuestion| {
                number += 1;
                let name = format!("COCO_val2014_{:012}.jpg", entry.image_id);
                let text = vqa::question_text(&entry.question);
                let sample = collector.image(&images, &name).and_then(|image| {
                    let sample = sample(entry.question_id, text, &mut golds)?;
                    Ok(Sample { image, ..sample })
                });
                collector.take(number, sample);
            })?;
            path
        }
    };
    let files = vec![path, annotations];
    let mut reading = Reading::new(Benchmark::Vqav2, split, folder, files, collector);
    reading.dataset.notes.extend(golds.note());
    Ok(reading)
}

/// Message for a submission without the server's own list of questions.
pub(crate) const NO_UPLOAD_LIST: &str = "the server expects every question of test2015, in the order of llava_vqav2_mscoco_test2015.jsonl, which is missing: only the questions of this split are in the file";

/// Ids of all questions that the server expects in a submission of a test split: those of the split
/// `test`, also for `test-dev`. `None` where the file of `test` is missing.
///
/// # Errors
/// A line of the file that can't be read.
pub(crate) fn upload_ids(dataset: &Dataset) -> Result<Option<Vec<String>>, DatasetError> {
    let [_, (_, list)] = TEST;
    let path = dataset.folder.join(list);
    // The Hugging Face Hub calls it `testdev`.
    if dataset.split.replace('-', "") != "testdev" {
        let ids = dataset.samples.iter().map(|sample| sample.id.clone());
        return Ok(Some(ids.collect()));
    }
    if !path.is_file() {
        return Ok(None);
    }
    let mut ids = Vec::new();
    let mut problems = Problems::default();
    for_each_question(&path, |number, question| match question {
        Ok(question) => ids.push(question.question_id.into_text()),
        Err((kind, message)) => problems.add(number, kind, message),
    })?;
    if problems.is_empty() {
        Ok(Some(ids))
    } else {
        Err(DatasetError::Lines { path, problems })
    }
}

/// A question with its annotation; the image is added later.
fn sample(id: Id, question: String, golds: &mut Annotations<Gold>) -> Result<Sample, LineFault> {
    let id = id.into_text();
    let gold = golds.take(&id)?;
    let mut keys = BTreeMap::new();
    if let Some(kind) = gold.question_type {
        keys.insert("question_type".to_owned(), kind);
    }
    Ok(Sample {
        id,
        image_id: gold.image_id.into_text(),
        question,
        answers: gold.answers,
        family: gold.answer_type.unwrap_or_else(|| "default".to_owned()),
        keys,
        ..Sample::default()
    })
}

/// Writes the split `val`.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut annotations = Vec::new();
    let mut questions = Vec::new();
    let mut lines = out.lines(VAL)?;
    for sample in &dataset.samples {
        let image = out.image(sample, "val2014")?;
        let id = out.id(&sample.id);
        lines.write(&out.question(sample, &id, &image, "default"))?;
        questions.push(json!({
            "question_id": id,
            "image_id": sample.image_id,
            "question": bare_question(&sample.question),
        }));
        let answers = ten(&sample.answers);
        annotations.push(json!({
            "question_id": id,
            "image_id": sample.image_id,
            "question_type": sample.keys.get("question_type"),
            "answer_type": sample.family,
            "multiple_choice_answer": sample.answers.first(),
            "answers": answers.iter().zip(1..).map(|(answer, number)| json!({
                "answer": answer, "answer_confidence": "yes", "answer_id": number,
            })).collect::<Vec<_>>(),
        }));
    }
    lines.finish()?;
    out.json(QUESTIONS[0], &json!({"questions": questions}))?;
    out.json(ANNOTATIONS[0], &json!({"annotations": annotations}))
}
