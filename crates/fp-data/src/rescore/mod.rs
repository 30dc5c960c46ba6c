//! Metrics of answers that others produced, without a model: answer files of LLaVA, of
//! MME's official tool and of MMBench, scored and compared pairwise.
//!
//! [`AnswerFile::read`] reads one file, [`Scored::new`] joins it with a data set and
//! scores it, [`compare`] tests two of them against each other on the same questions.
//! [`AnswerSets`] are many sets of answers to the same questions, as a study has them.

mod answers;
mod compare;
mod figures;
mod join;
mod sets;
mod tables;
mod upload;
mod workbook;

pub use answers::{Answer, AnswerFile};
pub use compare::{Comparison, compare, compare_all};
pub use figures::{Figure, Figures, Groups};
pub use join::{Joined, join};
pub use sets::{
    Additive, AnswerSets, FigureMeans, Part, Questions, SetFigures, Unit, UnitCounts, benchmark_of,
};
pub use upload::{Upload, upload};

use std::path::PathBuf;

use fp_stats::StatsError;

use crate::dataset::{Dataset, DatasetError};
use crate::metric::MetricError;

/// Why answers can't be scored or compared.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RescoreError {
    /// A file or a data set that can't be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A figure that has no value.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A test that can't be made.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// A file in no known form.
    #[error("{}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is known.
        reason: String,
    },
    /// Answers that aren't the JSON that they have to be.
    #[error("{}: {reason}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What it is not.
        reason: &'static str,
        /// What and where.
        source: serde_json::Error,
    },
    /// Answers to nothing that was asked.
    #[error("none of the {count} answers in {} is to a question of {dataset}; the first one's question_id is {first:?}", path.display())]
    NothingInCommon {
        /// The file.
        path: PathBuf,
        /// Answers in it.
        count: usize,
        /// The data set.
        dataset: String,
        /// The first answer's id.
        first: String,
    },
    /// Files whose questions differ.
    #[error("{first} and {second} answer different questions; name the data set that both are of")]
    Different {
        /// The first file.
        first: String,
        /// The other one.
        second: String,
    },
}

/// One file of answers, joined with its questions and scored.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Scored {
    /// What it is called in tables.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The data set.
    pub dataset: String,
    /// How answers met questions.
    pub joined: Joined,
    /// What came of it.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Scored {
    /// Joins and scores answers. Questions without an answer count as wrong.
    ///
    /// # Errors
    /// A data set without answers, or answers to nothing of it.
    pub fn new(name: &str, file: &AnswerFile, dataset: &Dataset) -> Result<Scored, RescoreError> {
        dataset.require_answers()?;
        let (texts, joined) = join(file, dataset)?;
        Ok(Scored {
            name: name.to_owned(),
            path: file.path.clone(),
            dataset: dataset.name.clone(),
            joined,
            figures: Figures::new(dataset, &texts)?,
        })
    }
}
