//! Datasets: the sources of samples.
//!
//! A dataset is named by its folder, or by `FOLDER:SPLIT` where the folder holds several: [`find`]
//! lists them, [`open`] reads one.

mod ai2d;
mod annotations;
mod benchmark;
pub(crate) mod beside;
mod chartqa;
pub mod check;
mod collect;
mod dispatch;
pub(crate) mod docvqa;
pub(crate) mod encoding;
mod error;
pub mod export;
mod gqa;
mod image;
mod infovqa;
mod json_stream;
#[cfg(any(feature = "parquet", feature = "xlsx"))]
mod limit;
pub(crate) mod lines;
mod links;
pub(crate) mod llava;
mod mmbench;
mod mme;
pub(crate) mod mmmu;
pub(crate) mod mmstar;
mod mmvet;
mod near;
mod ocrbench;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod plain;
mod pope;
mod refcoco;
mod scienceqa;
pub(crate) mod seedbench;
mod sheet;
mod table;
mod textvqa;
mod tsv;
mod vizwiz;
pub(crate) mod vqav2;
mod without_file;
#[cfg(feature = "xlsx")]
mod workbook;

pub use benchmark::Benchmark;
pub(crate) use collect::Occurrences;
pub use encoding::read_text;
pub use error::{DatasetError, LineProblem, ProblemKind, Problems};
pub use image::ImageRef;
#[cfg(any(feature = "parquet", feature = "xlsx"))]
pub use limit::LIMIT_VARIABLE;
pub use links::follow_links;
pub(crate) use llava::stem as file_stem;
pub(crate) use mmbench::{incomplete as incomplete_questions, table_row};
pub use sheet::{SheetError, SheetOptions, contact_sheet};
pub(crate) use table::{TextTable, for_each_tab_row, read_table};
pub use without_file::open_but_for_images;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::metric::AnswerRule;
use crate::sample::Sample;

/// A dataset that was read: its description, and its samples in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Name of the dataset.
    pub name: String,
    /// Name of the split.
    pub split: String,
    /// The benchmark.
    pub benchmark: Benchmark,
    /// How answers are scored.
    pub answer_rule: AnswerRule,
    /// Who scores the answers, where the dataset has no reference answers.
    pub judge: Option<String>,
    /// Kinds of question in it; empty if the dataset doesn't say.
    pub families: Vec<String>,
    /// Terms of use.
    pub license: Option<String>,
    /// Source of the dataset.
    pub source: Option<String>,
    /// Folder of the dataset.
    pub folder: PathBuf,
    /// Files that define its content, besides the images. The first one holds the questions.
    pub files: Vec<PathBuf>,
    /// Notes for readers of results, such as what was left out.
    pub notes: Vec<String>,
    /// The samples with images, in the order of the file.
    pub samples: Vec<Sample>,
    /// Questions without an image, in the order of the file. A study answers them only on request.
    pub text_only: Vec<Sample>,
}

impl Dataset {
    /// Refuses a dataset without reference answers.
    ///
    /// # Errors
    /// Someone else scores it.
    pub fn require_answers(&self) -> Result<(), DatasetError> {
        match &self.judge {
            None => Ok(()),
            Some(judge) => Err(DatasetError::NoAnswers {
                name: self.name.clone(),
                split: self.split.clone(),
                judge: judge.clone(),
            }),
        }
    }
}

/// What could be used of a dataset, and the problems of the rest.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Everything that can be used.
    pub dataset: Dataset,
    /// Problems of lines, rows or entries that can't be used.
    pub problems: Problems,
    /// Number of the line, row or entry that each sample came from, counted from 1; empty if
    /// unknown.
    pub numbers: Vec<usize>,
    /// Problems of a file as a whole, although its lines could be read.
    pub faults: Vec<Arc<DatasetError>>,
    /// Questions whose only problem is that their image is missing, each with the number of samples
    /// before it.
    pub without_file: Vec<(usize, Sample)>,
}

impl Dataset {
    /// A dataset of a benchmark, with the benchmark's scoring rule and name; without samples.
    pub(crate) fn empty(
        benchmark: Benchmark,
        split: &str,
        folder: &Path,
        files: Vec<PathBuf>,
    ) -> Dataset {
        Dataset {
            name: benchmark.name().to_owned(),
            split: split.to_owned(),
            benchmark,
            answer_rule: benchmark.answer_rule().unwrap_or_default(),
            judge: None,
            families: Vec::new(),
            license: None,
            source: None,
            folder: folder.to_owned(),
            files,
            notes: Vec::new(),
            samples: Vec::new(),
            text_only: Vec::new(),
        }
    }

    /// Notes how many of `number` questions have no image.
    pub(crate) fn note_text_only(&mut self, number: usize) {
        let count = self.text_only.len();
        if count > 0 {
            self.notes.push(format!(
                "{count} of {number} questions have no image and are skipped"
            ));
        }
    }
}

impl Reading {
    fn new(
        benchmark: Benchmark,
        split: &str,
        folder: &Path,
        files: Vec<PathBuf>,
        collector: collect::Collector,
    ) -> Reading {
        let dataset = Dataset {
            name: benchmark.result_name(split),
            samples: collector.samples,
            text_only: collector.text_only,
            ..Dataset::empty(benchmark, split, folder, files)
        };
        Reading {
            dataset,
            problems: collector.problems,
            numbers: collector.numbers,
            faults: Vec::new(),
            without_file: collector.without_file,
        }
    }

    /// Reads with the scoring rule, and without it where no question has an answer: files of test
    /// splits have an empty answer column.
    fn scored_or_not(
        read: impl Fn(bool) -> Result<Reading, DatasetError>,
    ) -> Result<Reading, DatasetError> {
        let scored = read(true)?;
        if !scored.is_without_question() || scored.problems.is_empty() {
            return Ok(scored);
        }
        let unscored = read(false)?;
        let has_none = !unscored.is_without_question()
            && unscored.questions().all(|sample| sample.answers.is_empty());
        Ok(if has_none { unscored } else { scored })
    }

    /// The dataset, if nothing is wrong with it.
    ///
    /// # Errors
    /// A problem of a whole file; any line that can't be used, by number; no question at all.
    pub fn whole(self) -> Result<Dataset, DatasetError> {
        let Reading {
            dataset,
            problems,
            faults,
            ..
        } = self;
        if let Some(fault) = faults.into_iter().next() {
            return Err(Arc::try_unwrap(fault).unwrap_or_else(DatasetError::Shared));
        }
        let path = dataset.files.first().cloned().unwrap_or_default();
        if !problems.is_empty() {
            return Err(DatasetError::Lines { path, problems });
        }
        if dataset.samples.is_empty() && dataset.text_only.is_empty() {
            return Err(DatasetError::Empty { path });
        }
        Ok(dataset)
    }
}

/// The form in which a dataset is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// `benchmark.json` and `questions.jsonl`.
    Plain,
    /// The layout of LLaVA's evaluation.
    Llava,
    /// Parquet with the columns used on the Hugging Face Hub.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// A dataset that a folder holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DatasetSplit {
    /// Folder of the dataset.
    pub folder: PathBuf,
    /// The benchmark.
    pub benchmark: Benchmark,
    /// The form in which it is stored.
    pub form: Form,
    /// Name of the split; empty for the plain form.
    pub name: String,
}

impl DatasetSplit {
    /// The selector for [`open`].
    pub fn selector(&self) -> String {
        if self.name.is_empty() {
            self.folder.display().to_string()
        } else {
            format!("{}:{}", self.folder.display(), self.name)
        }
    }

    /// Reads it and sets apart what can't be used. Images are looked for, not opened.
    ///
    /// # Errors
    /// A file that is missing, can't be read, or is wrong as a whole.
    pub fn read(&self) -> Result<Reading, DatasetError> {
        let mut reading = match self.form {
            Form::Plain | Form::Llava => self.benchmark.read(&self.folder, &self.name)?,
            #[cfg(feature = "parquet")]
            Form::Parquet => parquet::read(self.benchmark, &self.folder, &self.name)?,
        };
        let leads_out = links::leading_out(&reading);
        reading.faults.extend(leads_out.map(Arc::new));
        Ok(reading)
    }
}

/// All datasets directly in a folder, in any form.
///
/// # Errors
/// A Parquet file that can't be read; only Parquet files whose columns match no benchmark; only
/// files of a benchmark that it isn't read from.
pub fn find(folder: &Path) -> Result<Vec<DatasetSplit>, DatasetError> {
    let (found, errors) = find_all(folder);
    match errors.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

/// All datasets directly in a folder, and the problems of files that might be others. A bad file
/// hides none of the rest.
pub fn find_all(folder: &Path) -> (Vec<DatasetSplit>, Vec<DatasetError>) {
    let mut found = Vec::new();
    for benchmark in Benchmark::ALL {
        let form = match benchmark {
            Benchmark::Plain => Form::Plain,
            _ => Form::Llava,
        };
        found.extend(
            benchmark
                .splits(folder)
                .into_iter()
                .map(|name| DatasetSplit {
                    folder: folder.to_owned(),
                    benchmark,
                    form,
                    name,
                }),
        );
    }
    #[cfg(feature = "parquet")]
    let mut errors = {
        let parquet::Found {
            splits,
            unknown,
            mut errors,
        } = parquet::find(folder);
        found.extend(splits);
        errors.extend(unknown.filter(|_| found.is_empty()));
        errors
    };
    #[cfg(not(feature = "parquet"))]
    let mut errors = Vec::new();
    if found.is_empty() {
        errors.extend(near::near_misses(folder));
    }
    (found, errors)
}

/// Finds the dataset that `selector` names: a folder, or `FOLDER:SPLIT`.
///
/// # Errors
/// No such folder, a folder in no known form, a folder with several datasets and no split named, or
/// a split that the folder doesn't have.
pub fn locate(selector: &str) -> Result<DatasetSplit, DatasetError> {
    let whole = Path::new(selector);
    let (folder, name) = match selector.rsplit_once(':') {
        Some((folder, name)) if !whole.is_dir() => (Path::new(folder), Some(name)),
        _ => (whole, None),
    };
    if !folder.exists() {
        return Err(DatasetError::NoFolder {
            name: selector.to_owned(),
            folder: folder.to_owned(),
        });
    }
    let mut splits = find(folder)?;
    if splits.is_empty() {
        return Err(DatasetError::UnknownForm {
            folder: folder.to_owned(),
        });
    }
    let Some(name) = name else {
        if splits.len() > 1 {
            return Err(DatasetError::Ambiguous {
                folder: folder.to_owned(),
                selectors: splits.iter().map(DatasetSplit::selector).collect(),
            });
        }
        return Ok(splits.remove(0));
    };
    match splits.iter().position(|split| split.name == name) {
        Some(place) => Ok(splits.remove(place)),
        None => Err(DatasetError::UnknownPart {
            folder: folder.to_owned(),
            name: name.to_owned(),
            known: splits.into_iter().map(|split| split.name).collect(),
        }),
    }
}

/// Reads the dataset that `selector` names; every line must be valid.
///
/// # Errors
/// As [`locate`], or anything that is wrong with the dataset.
pub fn open(selector: &str) -> Result<Dataset, DatasetError> {
    locate(selector)?.read()?.whole()
}

/// Loads the dataset in `folder`, in any form.
///
/// # Errors
/// As [`open`].
pub fn load(folder: &Path) -> Result<Dataset, DatasetError> {
    open(&folder.to_string_lossy())
}
