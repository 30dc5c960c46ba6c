//! MMStar (Chen et al., NeurIPS 2024). Its authors publish it as Parquet. As plain files it is
//! `llava_mmstar.jsonl` in LLaVA's form, images in `images/`, and `mmstar.json`, a list with the
//! authors' other columns: `index` (a question's id), `question`, `answer`, `category` (one of six
//! core capabilities) and `l2_category`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::beside::{Lines, Taken};
use super::export::{Exporter, choices_of};
use super::llava::{Id, need};
use super::{Benchmark, Dataset, DatasetError, Reading};
use crate::sample::Sample;

const QUESTIONS: &str = "llava_mmstar.jsonl";
const ANNOTATIONS: &str = "mmstar.json";
const IMAGES: [&str; 1] = ["images"];
const SPLIT: &str = "val";

/// Key of the finer category in a sample's keys.
pub(crate) const FINE: &str = "l2_category";

/// The end of the prompt, without a full stop, as in lmms-eval.
pub(super) const INSTRUCTION: &str =
    "Answer with the option's letter from the given choices directly";
/// Text that lmms-eval removes from questions.
#[cfg(any(feature = "parquet", test))]
const YES_OR_NO: &str = " Please answer yes or no.";

/// The prompt of a question that lists its own options, as lmms-eval builds it for LLaVA
/// (`tasks/mmstar`).
#[cfg(any(feature = "parquet", test))]
pub(super) fn question_text(question: &str) -> String {
    let question = question.trim().replace(YES_OR_NO, "");
    format!("{question}\n{INSTRUCTION}")
}

/// A question without the instruction at its end.
pub(super) fn bare(question: &str) -> &str {
    let bare = question.strip_suffix(INSTRUCTION);
    bare.and_then(|text| text.strip_suffix('\n'))
        .unwrap_or(question)
}

/// Options that a question lists in the authors' form, `Options: A: red, B: blue`, or as lines
/// `A. red`; empty where they are in another form.
pub(super) fn choices(question: &str) -> Vec<String> {
    let lines = choices_of(question);
    if !lines.is_empty() {
        return lines;
    }
    let question = bare(question);
    let Some((_, mut rest)) = question.rsplit_once("Options:") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (letter, next) in ('A'..='Z').zip('B'..='Z') {
        let Some(text) = rest.trim_start().strip_prefix(letter) else {
            break;
        };
        let Some(text) = text.strip_prefix(": ") else {
            break;
        };
        let end = text.find(&format!(", {next}: "));
        found.push(text[..end.unwrap_or(text.len())].trim().to_owned());
        match end {
            Some(end) => rest = &text[end + ", ".len()..],
            None => break,
        }
    }
    found
}

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
    index: Id,
    answer: String,
    #[serde(default)]
    category: Option<String>,
    #[serde(default)]
    l2_category: Option<String>,
}

/// The sample without its text.
pub(super) fn of_category(answer: &str, category: Option<&str>, fine: Option<&str>) -> Sample {
    let mut keys = BTreeMap::new();
    if let Some(fine) = fine.filter(|fine| !fine.is_empty()) {
        keys.insert(FINE.to_owned(), fine.to_owned());
    }
    let answer = answer.trim();
    Sample {
        answers: (!answer.is_empty())
            .then(|| answer.to_owned())
            .into_iter()
            .collect(),
        family: category.unwrap_or("default").to_owned(),
        keys,
        ..Sample::default()
    }
}

/// Reads the questions.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    let questions = need(folder, "question file", &[QUESTIONS])?;
    let annotations = need(folder, "file of annotations", &[ANNOTATIONS])?;
    let golds = Annotations::read(&annotations, None, |_, entry: Entry| {
        (entry.index.clone().into_text(), entry)
    })?;
    let lines = Lines {
        benchmark: Benchmark::Mmstar,
        folder,
        split,
        questions,
        annotations: vec![annotations],
        images: &IMAGES,
    };
    lines.read_with(golds, |question, entry| {
        let (category, fine) = (entry.category.as_deref(), entry.l2_category.as_deref());
        Ok(Taken::asked(Sample {
            choices: choices(&question.text),
            ..of_category(&entry.answer, category, fine)
        }))
    })
}

/// Writes the questions.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    let mut lines = out.lines(QUESTIONS)?;
    let mut entries = Vec::new();
    for sample in &dataset.samples {
        let image = out.image(sample, IMAGES[0])?;
        let id = out.id(&sample.id);
        lines.write(&out.question(sample, &id, &image, &sample.family))?;
        entries.push(json!({
            "index": id,
            "question": bare(&sample.question),
            "answer": sample.answers.first(),
            "category": sample.family,
            "l2_category": sample.keys.get(FINE),
        }));
    }
    lines.finish()?;
    out.json(ANNOTATIONS, &json!(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_as_the_owners_write_them() {
        let question = "Which one?\nOptions: A: red, B: blue, or so, C: 3:1, D: none of A: and B: ";
        let text = question_text(question);
        assert!(text.ends_with(&format!("B:\n{INSTRUCTION}")), "{text}");
        let expected = ["red", "blue, or so", "3:1", "none of A: and B:"];
        assert_eq!(choices(&text), expected);
        assert_eq!(choices("Which?\nA. up\nB. down\nAnswer"), ["up", "down"]);
        for other in ["Which?", "Options: (A) red", "Options: B: red"] {
            assert!(choices(other).is_empty(), "{other}");
        }
        assert_eq!(choices("Options: A: only this"), ["only this"]);
    }

    #[test]
    fn what_does_not_belong_to_a_choice_is_taken_out() {
        let text = question_text(" Is it? Please answer yes or no. Options: A: yes, B: no\n");
        assert_eq!(
            text,
            format!("Is it? Options: A: yes, B: no\n{INSTRUCTION}")
        );
        assert_eq!(bare(&text), "Is it? Options: A: yes, B: no");
    }
}
