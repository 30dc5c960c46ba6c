//! VQAv2: LLaVA's question files, or the official files of the validation part.
//!
//! `val`: `v2_mscoco_val2014_annotations.json` with
//! `llava_vqav2_mscoco_val2014.jsonl` or else `v2_OpenEnded_mscoco_val2014_questions.json`;
//! images in `val2014/`. `test-dev`, `test`: `llava_vqav2_mscoco_test-dev2015.jsonl`,
//! `…_test2015.jsonl`, images in `test2015/`, scored by the server alone.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::collect::Collector;
use super::export::{Exporter, bare_question, ten};
use super::json_stream::for_each_entry;
use super::lines::LineFault;
use super::llava::{Id, Question, find, for_each_question, image_folders, need};
use super::{Benchmark, Dataset, DatasetError, ProblemKind, Reading};
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

/// Parts that a folder has.
pub(super) fn parts(folder: &Path) -> Vec<String> {
    let mut parts = Vec::new();
    let marks = [
        VAL,
        ANNOTATIONS[0],
        ANNOTATIONS[1],
        QUESTIONS[0],
        QUESTIONS[1],
    ];
    if find(folder, &marks).is_some() {
        parts.push("val".to_owned());
    }
    let test = TEST.iter().filter(|(_, file)| folder.join(file).is_file());
    parts.extend(test.map(|(part, _)| (*part).to_owned()));
    parts
}

#[derive(Deserialize)]
struct OfficialQuestion {
    question_id: Id,
    image_id: u64,
    question: String,
}

/// One annotation, without what nothing needs.
#[derive(Deserialize)]
struct Annotation {
    question_id: Id,
    image_id: Id,
    #[serde(default)]
    question_type: Option<String>,
    #[serde(default)]
    answer_type: Option<String>,
    answers: Vec<Answer>,
}

/// What one of ten people said.
#[derive(Deserialize)]
pub(super) struct Answer {
    pub(super) answer: String,
}

/// Reads a part.
pub(super) fn read(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    match TEST.iter().find(|(name, _)| *name == part) {
        Some((_, file)) => read_test(folder, part, file),
        None => read_val(folder, part),
    }
}

fn read_test(folder: &Path, part: &str, file: &str) -> Result<Reading, DatasetError> {
    let path = need(folder, "question file", &[file])?;
    let images = image_folders(folder, &["test2015"]);
    let mut collector = Collector::new("line", None);
    for_each_question(&path, |number, question| {
        let sample = question.and_then(|question| {
            Ok(Sample {
                image: collector.image(&images, &question.image)?,
                boxes: question.boxes(),
                id: question.question_id.into_text(),
                image_id: question.image,
                question: question.text,
                family: "default".to_owned(),
                ..Sample::default()
            })
        });
        collector.take(number, sample);
    })?;
    let mut reading = Reading::new(Benchmark::Vqav2, part, folder, vec![path], collector);
    reading.dataset.judge = Some("the VQAv2 server".to_owned());
    Ok(reading)
}

fn read_val(folder: &Path, part: &str) -> Result<Reading, DatasetError> {
    let annotations = need(folder, "file of annotations", &ANNOTATIONS)?;
    let mut golds: HashMap<String, Annotation> = HashMap::new();
    for_each_entry(&annotations, Some("annotations"), |_, entry: Annotation| {
        golds.insert(entry.question_id.clone().into_text(), entry);
    })?;
    let images = image_folders(folder, &["val2014", "images/val2014", "images"]);
    let rule = Benchmark::Vqav2.answer_rule();
    if let Some(path) = find(folder, &[VAL]) {
        let mut collector = Collector::new("line", rule);
        for_each_question(&path, |number, question| {
            let sample = question.and_then(|question| {
                let Question { image, text, .. } = &question;
                let image = collector.image(&images, image)?;
                let mut sample = sample(
                    question.question_id.clone(),
                    text.clone(),
                    &mut golds,
                    &collector,
                )?;
                sample.image = image;
                sample.boxes = question.boxes();
                Ok(sample)
            });
            collector.take(number, sample);
        })?;
        let files = vec![path, annotations];
        return Ok(Reading::new(
            Benchmark::Vqav2,
            part,
            folder,
            files,
            collector,
        ));
    }
    let path = need(folder, "question file", &QUESTIONS)?;
    let mut collector = Collector::new("entry", rule);
    let mut number = 0;
    for_each_entry(&path, Some("questions"), |_, entry: OfficialQuestion| {
        number += 1;
        let name = format!("COCO_val2014_{:012}.jpg", entry.image_id);
        let text = vqa::question_text(&entry.question);
        let sample = collector.image(&images, &name).and_then(|image| {
            let mut sample = sample(entry.question_id, text, &mut golds, &collector)?;
            sample.image = image;
            Ok(sample)
        });
        collector.take(number, sample);
    })?;
    let files = vec![path, annotations];
    Ok(Reading::new(
        Benchmark::Vqav2,
        part,
        folder,
        files,
        collector,
    ))
}

/// A question with its annotation, which is used up; the image is still to come.
fn sample(
    id: Id,
    question: String,
    golds: &mut HashMap<String, Annotation>,
    collector: &Collector,
) -> Result<Sample, LineFault> {
    let id = id.into_text();
    collector.refuse_known(&id)?;
    let Some(gold) = golds.remove(&id) else {
        let message = format!("question {id} has no annotation");
        return Err((ProblemKind::MissingAnswer, message));
    };
    let mut keys = BTreeMap::new();
    if let Some(kind) = gold.question_type {
        keys.insert("question_type".to_owned(), kind);
    }
    Ok(Sample {
        id,
        image_id: gold.image_id.into_text(),
        question,
        answers: gold.answers.into_iter().map(|entry| entry.answer).collect(),
        family: gold.answer_type.unwrap_or_else(|| "default".to_owned()),
        keys,
        ..Sample::default()
    })
}

/// Writes the part `val`.
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
