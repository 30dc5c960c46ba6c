//! MMMU, questions on one image: `llava_mmmu_val.jsonl` in LLaVA's form and the authors'
//! `answer_dict_val.json`, images in `images/`. The ids are the authors', such as
//! `validation_Art_Theory_1`. The text lists options as lines `A. …`; where options contain line
//! breaks, the line also has them under `options`.
//!
//! Models here are given one image. Questions that need several, by `<image 2>` and so on in their
//! text, are left out and counted: with only its first image, a question is a different one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::beside::{Lines, Taken};
use super::export::{Exporter, choices_of};
use super::llava::need;
use super::{Benchmark, Dataset, DatasetError, Reading};
use crate::metric::mmmu::{discipline, images, subject};
use crate::sample::Sample;

const QUESTIONS: &str = "llava_mmmu_val.jsonl";
const ANNOTATIONS: [&str; 3] = [
    "answer_dict_val.json",
    "eval/answer_dict_val.json",
    "mmmu/answer_dict_val.json",
];
const IMAGES: [&str; 1] = ["images"];
const SPLIT: &str = "val";

/// The authors' name for a question with options.
pub(super) const CHOICE: &str = "multiple-choice";
const OPEN: &str = "short-answer";

/// Why a question is left out.
pub(super) const SEVERAL_IMAGES: &str = "need several images";
/// Why a row is left out.
#[cfg(feature = "parquet")]
pub(super) const OTHER_IMAGE: &str = "need another image than the first of their row";

/// Who scores the split `test`.
#[cfg(feature = "parquet")]
pub(super) const JUDGE: &str = "MMMU's server on EvalAI";

/// Key of the discipline in a sample's keys.
pub(crate) const DISCIPLINE: &str = "discipline";

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    if folder.join(QUESTIONS).is_file() {
        vec![SPLIT.to_owned()]
    } else {
        Vec::new()
    }
}

#[derive(Deserialize)]
struct Entry {
    question_type: String,
    ground_truth: Texts,
}

/// One text, or several alternatives.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

/// The sample without its text: the subject comes from the id, or else from `category`.
pub(super) fn of_subject(
    id: &str,
    category: Option<&str>,
    question_type: &str,
    answers: Vec<String>,
    choices: Vec<String>,
) -> Sample {
    let subject = subject(id).or(category).unwrap_or("default");
    let mut keys = BTreeMap::from([("question_type".to_owned(), question_type.to_owned())]);
    if let Some(discipline) = discipline(subject) {
        keys.insert(DISCIPLINE.to_owned(), discipline.to_owned());
    }
    Sample {
        answers,
        choices,
        family: subject.to_owned(),
        keys,
        ..Sample::default()
    }
}

/// The authors' name for a sample's type of question.
pub(super) fn question_type(sample: &Sample) -> &'static str {
    if sample.choices.is_empty() {
        OPEN
    } else {
        CHOICE
    }
}

/// Reads the questions on one image.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let questions = need(folder, "question file", &[QUESTIONS])?;
    let annotations = need(folder, "file of annotations", &ANNOTATIONS)?;
    let golds = Annotations::read(&annotations, None, |id, entry: Entry| {
        (id.unwrap_or_default(), entry)
    })?;
    let lines = Lines {
        benchmark: Benchmark::Mmmu,
        folder,
        split,
        questions,
        annotations: vec![annotations],
        images: &IMAGES,
    };
    lines.read_with(golds, |question, entry| {
        let id = question.question_id.clone().into_text();
        if images(&question.text).len() > 1 {
            return Ok(Taken::LeftOut(SEVERAL_IMAGES));
        }
        let choices = match &question.options {
            _ if entry.question_type != CHOICE => Vec::new(),
            Some(options) => options.clone(),
            None => choices_of(&question.text),
        };
        let answers = match entry.ground_truth {
            Texts::One(answer) => vec![answer],
            Texts::Several(answers) => answers,
        };
        let category = question.category.as_deref();
        let kind = &entry.question_type;
        Ok(Taken::asked(of_subject(
            &id, category, kind, answers, choices,
        )))
    })
}

/// Whether a sample has one image, and is an open question or a choice with one right option.
pub(super) fn fits(sample: &Sample) -> bool {
    let answers = &sample.answers;
    let is_choice = super::beside::is_letter_of(answers, sample.choices.len());
    let is_right = if sample.choices.is_empty() {
        !answers.is_empty()
    } else {
        is_choice
    };
    is_right && images(&sample.question).len() <= 1
}

/// Writes the questions.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS)?;
    let mut entries = serde_json::Map::new();
    for sample in &dataset.samples {
        let image = out.image(sample, IMAGES[0])?;
        let mut line = out.question(sample, &json!(sample.id), &image, &sample.family);
        if !sample.choices.is_empty() {
            line["options"] = json!(sample.choices);
        }
        lines.write(&line)?;
        let truth = match sample.answers.as_slice() {
            [only] => json!(only),
            several => json!(several),
        };
        let entry = json!({"question_type": question_type(sample), "ground_truth": truth});
        entries.insert(sample.id.clone(), entry);
    }
    lines.finish()?;
    out.json(ANNOTATIONS[0], &json!(entries))
}
