//! Files for those who score answers elsewhere.

use std::collections::{BTreeMap, HashMap};

use super::{AnswerFile, RescoreError, join, workbook};
use crate::dataset::{Benchmark, Dataset, vqav2};
use crate::metric::gqa::GqaEntry;
use crate::metric::mmmu;
use crate::metric::mmvet;
use crate::metric::vizwiz::VizWizEntry;
use crate::metric::vqa;

/// A file to hand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// The ending of its name.
    pub ending: &'static str,
    /// Its content: JSON, or for MMBench a workbook.
    pub content: Vec<u8>,
    /// What its receiver won't say: how many questions have no answer in it.
    pub warnings: Vec<String>,
}

/// The file that the servers of VQAv2, VizWiz, MMBench, DocVQA, InfographicVQA and MMMU,
/// GQA's script or MM-Vet's judge take. VQAv2's names every question of `test2015`, whichever part was answered.
///
/// # Errors
/// A benchmark without such a file, answers to nothing of the data set.
pub fn upload(file: &AnswerFile, dataset: &Dataset) -> Result<Upload, RescoreError> {
    let form = |reason: String| RescoreError::Form {
        path: file.path.clone(),
        reason,
    };
    let (texts, joined) = join(file, dataset)?;
    let answers = || {
        let answered = dataset.samples.iter().zip(&texts);
        answered.filter_map(|(sample, text)| Some((sample, text.as_deref()?)))
    };
    let number = |id: &str| {
        let number = id.parse::<u64>();
        number.map_err(|_| form(format!("question_id {id:?} is no number")))
    };
    let json = |value: serde_json::Result<String>| {
        value.map_err(|source| RescoreError::Json {
            path: file.path.clone(),
            reason: "its answers can't be written as JSON",
            source,
        })
    };
    let count_as_wrong = " and count as wrong";
    let mut warnings: Vec<String> = joined
        .warnings
        .iter()
        .map(|text| text.replace(count_as_wrong, ""))
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
            json(serde_json::to_string(&vqa::upload(&ids, &by_id).0))?
        }
        Benchmark::Mmbench => {
            let by_index: HashMap<&str, &str> = answers()
                .map(|(sample, text)| (sample.id.as_str(), text))
                .collect();
            let rows = workbook::mmbench(dataset, &by_index)?;
            return workbook::workbook(&rows, dataset, warnings);
        }
        Benchmark::Vizwiz => {
            let entries: Vec<VizWizEntry> = answers()
                .map(|(sample, text)| VizWizEntry::new(&sample.image_id, text))
                .collect();
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
                "nobody takes a file of answers for {}; it is scored here",
                other.title()
            )));
        }
    };
    Ok(Upload {
        ending: "json",
        content: content.into_bytes(),
        warnings,
    })
}
