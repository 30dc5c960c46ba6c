//! DocVQA: the files of the Robust Reading Competition (rrc.cvc.uab.es, challenge 17),
//! `val_v1.0_withQT.json` and `test_v1.0.json`, in the folder itself, in `qas/` or in
//! `spdocvqa_qas/`; images in `documents/` or `spdocvqa_images/`. The reference answers of the test
//! split are known only to the server. Where `llava_docvqa_val.jsonl` or `llava_docvqa_test.jsonl`
//! exists, prompts and their order come from it.
//!
//! InfographicVQA has the same form under other names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::annotations::Annotations;
use super::beside::{KINDS, Lines, Taken, family, image_name};
use super::collect::Collector;
use super::export::{Exporter, bare_question};
use super::json_stream::for_each_entry;
use super::llava::{Id, find, image_folders, need, read_unanswered};
use super::{Benchmark, Dataset, DatasetError, Reading};
use crate::metric::vqa;
use crate::sample::Sample;

/// Who scores test splits.
pub(super) const JUDGE: &str = "the server of the Robust Reading Competition";

/// Key of the operation that a question asks for, in InfographicVQA's samples.
pub(crate) const OPERATION: &str = "operation";

/// Names of a benchmark's files and folders. The first of several names is used for writing.
pub(super) struct Layout {
    pub(super) benchmark: Benchmark,
    pub(super) val: &'static [&'static str],
    pub(super) test: &'static [&'static str],
    pub(super) llava_val: &'static str,
    pub(super) llava_test: &'static str,
    pub(super) images: &'static [&'static str],
}

const LAYOUT: Layout = Layout {
    benchmark: Benchmark::Docvqa,
    val: &[
        "val_v1.0_withQT.json",
        "qas/val_v1.0_withQT.json",
        "spdocvqa_qas/val_v1.0_withQT.json",
        "val_v1.0.json",
        "qas/val_v1.0.json",
    ],
    test: &[
        "test_v1.0.json",
        "qas/test_v1.0.json",
        "spdocvqa_qas/test_v1.0.json",
    ],
    llava_val: "llava_docvqa_val.jsonl",
    llava_test: "llava_docvqa_test.jsonl",
    images: &["documents", "spdocvqa_images", "images"],
};

/// Splits that a folder has.
pub(super) fn splits(folder: &Path) -> Vec<String> {
    LAYOUT.splits(folder)
}

/// Reads a split.
pub(super) fn read(folder: &Path, split: &str) -> Result<Reading, DatasetError> {
    LAYOUT.read(folder, split)
}

/// Writes the split `val`.
pub(super) fn export(dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
    LAYOUT.export(dataset, out)
}

/// A question in the official files of either benchmark.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "questionId")]
    question_id: Id,
    question: String,
    #[serde(alias = "image_local_name")]
    image: String,
    #[serde(default)]
    answers: Option<Vec<String>>,
    #[serde(default)]
    question_types: Option<Vec<String>>,
    #[serde(default)]
    answer_type: Option<Vec<String>>,
    #[serde(default, rename = "operation/reasoning")]
    operation: Option<Vec<String>>,
}

impl Entry {
    /// The sample, without its question and image.
    fn sample(self, layout: &Layout) -> Sample {
        let kinds = self.question_types.or(self.answer_type);
        let operations = self.operation.unwrap_or_default();
        Sample {
            image_id: image_name(&self.image, layout.images).to_owned(),
            answers: self.answers.unwrap_or_default(),
            family: family(&kinds.unwrap_or_default()),
            keys: keys(&operations),
            ..Sample::default()
        }
    }
}

/// Keys of a question that asks for operations, such as counting.
pub(super) fn keys(operations: &[String]) -> BTreeMap<String, String> {
    if operations.is_empty() {
        return BTreeMap::new();
    }
    BTreeMap::from([(OPERATION.to_owned(), operations.join(KINDS))])
}

impl Layout {
    pub(super) fn splits(&self, folder: &Path) -> Vec<String> {
        let has = |names: &[&str], questions: &str| {
            find(folder, names).is_some() || folder.join(questions).is_file()
        };
        let mut splits = Vec::new();
        if has(self.val, self.llava_val) {
            splits.push("val".to_owned());
        }
        if has(self.test, self.llava_test) {
            splits.push("test".to_owned());
        }
        splits
    }

    pub(super) fn read(&self, folder: &Path, split: &str) -> Result<Reading, DatasetError> {
        if split == "test" {
            return self.read_test(folder, split);
        }
        let annotations = need(folder, "file of annotations", self.val)?;
        let questions = folder.join(self.llava_val);
        if !questions.is_file() {
            return self.read_entries(folder, split, annotations);
        }
        let golds = Annotations::read(&annotations, Some("data"), |_, entry: Entry| {
            (entry.question_id.clone().into_text(), entry)
        })?;
        let lines = Lines {
            benchmark: self.benchmark,
            folder,
            split,
            questions,
            annotations: vec![annotations],
            images: self.images,
        };
        lines.read_with(golds, |_, entry| Ok(Taken::asked(entry.sample(self))))
    }

    fn read_test(&self, folder: &Path, split: &str) -> Result<Reading, DatasetError> {
        if folder.join(self.llava_test).is_file() {
            let images = image_folders(folder, self.images);
            let images = images.first().and_then(|path| path.file_name()?.to_str());
            let images = images.unwrap_or(self.images[0]);
            return read_unanswered(
                self.benchmark,
                folder,
                split,
                self.llava_test,
                images,
                JUDGE,
            );
        }
        let path = need(folder, "question file", self.test)?;
        self.read_entries(folder, split, path)
    }

    /// Questions of an official file, with the prompts that lmms-eval uses.
    fn read_entries(
        &self,
        folder: &Path,
        split: &str,
        path: PathBuf,
    ) -> Result<Reading, DatasetError> {
        let is_test = split == "test";
        let images = image_folders(folder, self.images);
        let rule = self.benchmark.answer_rule().filter(|_| !is_test);
        let mut collector = Collector::new("entry", rule);
        let mut number = 0;
        for_each_entry(&path, Some("data"), |_, entry: Entry| {
            number += 1;
            let name = image_name(&entry.image, self.images);
            let sample = collector.image(&images, name).map(|image| Sample {
                id: entry.question_id.clone().into_text(),
                question: vqa::question_text(&entry.question),
                image,
                ..entry.sample(self)
            });
            collector.take(number, sample);
        })?;
        let mut reading = Reading::new(self.benchmark, split, folder, vec![path], collector);
        reading.dataset.judge = is_test.then(|| JUDGE.to_owned());
        Ok(reading)
    }

    pub(super) fn export(&self, dataset: &Dataset, out: &mut Exporter) -> Result<(), DatasetError> {
        let mut lines = out.lines(self.llava_val)?;
        let mut entries = Vec::new();
        for sample in &dataset.samples {
            let image = out.image(sample, self.images[0])?;
            let id = out.id(&sample.id);
            lines.write(&out.question(sample, &id, &image, "default"))?;
            let mut entry = json!({
                "questionId": id,
                "question": bare_question(&sample.question),
                "answers": sample.answers,
                "data_split": "val",
            });
            let kinds: Vec<&str> = sample.family.split(KINDS).collect();
            if self.benchmark == Benchmark::Docvqa {
                entry["question_types"] = json!(kinds);
                entry["image"] = json!(format!("{}/{image}", self.images[0]));
            } else {
                let operations = sample.keys.get(OPERATION).map(|text| text.split(KINDS));
                let operations: Vec<&str> = operations.into_iter().flatten().collect();
                entry["answer_type"] = json!(kinds);
                entry["operation/reasoning"] = json!(operations);
                entry["image_local_name"] = json!(image);
            }
            entries.push(entry);
        }
        lines.finish()?;
        let split = json!({"dataset_split": "val", "data": entries});
        out.json(self.val[0], &split)
    }
}
