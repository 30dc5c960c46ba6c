//! Submission files for external scoring.

use std::collections::{BTreeMap, HashMap};

use super::{AnswerFile, RescoreError, join, workbook};
use crate::dataset::{Benchmark, Dataset, vqav2};
use crate::metric::gqa::GqaEntry;
use crate::metric::mmmu;
use crate::metric::mmvet;
use crate::metric::vizwiz::VizWizEntry;
use crate::metric::vqa::{self, VqaEntry, VqaNormalizer};
use crate::sample::Sample;

/// A submission file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The file's extension.
    pub ending: &'static str,
    /// Its content: JSON, or for MMBench a workbook.
    pub content: Vec<u8>,
    /// Problems that the receiver doesn't report: how many questions have no answer.
    pub warnings: Vec<String>,
    /// Parts that are empty for another reason.
    pub notes: Vec<String>,
}

/// The submission file for the servers of VQAv2, VizWiz, TextVQA, MMBench, DocVQA, InfographicVQA
/// and MMMU, for GQA's script or for MM-Vet's judge. Receivers refuse incomplete files, so each
/// question has an entry, an empty one where there is no answer; for VQAv2 these are all questions
/// of `test2015`, whichever subset was answered.
///
/// # Errors
/// A benchmark without such a file, or answers to none of the dataset's questions.
pub fn upload(file: &AnswerFile, dataset: &Dataset) -> Result<Upload, RescoreError> {
    let form = |reason: String| RescoreError::Form {
        path: file.path.clone(),
        reason,
    };
    let (texts, joined) = join(file, dataset)?;
    // A missing answer becomes an empty one.
    let answers = || {
        let asked = dataset.samples.iter().zip(&texts.samples);
        asked.map(|(sample, text)| (sample, text.as_deref().unwrap_or_default()))
    };
    let mut notes = joined.notes;
    let number = |id: &str| {
        let number = id.parse::<u64>();
        number.map_err(|_| form(format!("question_id {id:?} is not a number")))
    };
    let json = |value: serde_json::Result<String>| {
        value.map_err(|source| RescoreError::Json {
            path: file.path.clone(),
            reason: "its answers can't be written as JSON",
            source,
        })
    };
    let count_as_wrong = " and count as wrong";
    let stand_empty = " and stand empty";
    let mut warnings: Vec<String> = joined
        .warnings
        .iter()
        .map(|text| text.replace(count_as_wrong, stand_empty))
        .collect();
    let content = match dataset.benchmark {
        Benchmark::Vqav2 => {
            let ids = match vqav2::upload_ids(dataset)? {
                Some(ids) => ids,
                None => {
                    warnings.push(vqav2::NO_UPLOAD_LIST.to_owned());
                    let ids = dataset.samples.iter().map(|sample| sample.id.clone());
                    ids.collect()
                }
            };
            let ids = ids.iter().map(|id| number(id));
            let ids = ids.collect::<Result<Vec<u64>, _>>()?;
            let mut by_id = HashMap::new();
            for (sample, text) in answers() {
                by_id.insert(number(&sample.id)?, text.to_owned());
            }
            let num_others = ids.iter().filter(|id| !by_id.contains_key(id)).count();
            if num_others > 0 {
                notes.push(format!(
                    "{num_others} of the {} questions that the server expects are not of {} and \
                     are left empty",
                    ids.len(),
                    dataset.split
                ));
            }
            json(serde_json::to_string(&vqa::upload(&ids, &by_id).0))?
        }
        Benchmark::Mmbench => {
            let by_index: HashMap<&str, &str> = answers()
                .map(|(sample, text)| (sample.id.as_str(), text))
                .collect();
            let workbook::Rows { rows, empty } = workbook::mmbench(dataset, &by_index)?;
            if !empty.is_empty() {
                notes.push(format!(
                    "the dataset's table has no column {}; it is left empty",
                    empty.join(", ")
                ));
            }
            return workbook::workbook(&rows, dataset, warnings, notes);
        }
        Benchmark::Vizwiz => {
            let entries: Vec<VizWizEntry> = answers()
                .map(|(sample, text)| VizWizEntry::new(&sample.image_id, text))
                .collect();
            json(serde_json::to_string(&entries))?
        }
        // Datasets with reference answers are scored locally.
        Benchmark::Textvqa if dataset.judge.is_some() => {
            let entry = |(sample, text): (&Sample, &str)| {
                Ok(VqaEntry {
                    question_id: number(&sample.id)?,
                    answer: VqaNormalizer::M4c.normalize(text),
                })
            };
            let entries = answers()
                .map(entry)
                .collect::<Result<Vec<_>, RescoreError>>()?;
            json(serde_json::to_string(&entries))?
        }
        Benchmark::Gqa => {
            let entries: Vec<GqaEntry> = answers()
                .map(|(sample, text)| GqaEntry::new(&sample.id, text))
                .collect();
            json(serde_json::to_string(&entries))?
        }
        Benchmark::Docvqa | Benchmark::Infovqa => {
            let mut entries = Vec::new();
            for (sample, text) in answers() {
                let id = number(&sample.id)?;
                entries.push(serde_json::json!({"questionId": id, "answer": text}));
            }
            json(serde_json::to_string(&entries))?
        }
        Benchmark::Mmmu => {
            let said = answers().map(|(sample, text)| {
                let said = mmmu::to_hand_in(text, &sample.choices);
                (sample.id.as_str(), said)
            });
            json(serde_json::to_string(&said.collect::<BTreeMap<_, _>>()))?
        }
        Benchmark::Mmvet => {
            let mut entries = Vec::new();
            for (sample, text) in answers() {
                entries.push((number(&sample.id)?, text));
            }
            mmvet::export(entries)
        }
        other => {
            return Err(form(format!(
                "{} has no submission format; it is scored locally",
                other.title()
            )));
        }
    };
    Ok(Upload {
        ending: "json",
        content: content.into_bytes(),
        warnings,
        notes,
    })
}
