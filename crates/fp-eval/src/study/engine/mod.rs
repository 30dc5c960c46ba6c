//! Answering samples under every cell.
//!
//! A worker takes a [`Job`], some images with their questions, and gives records.
//! What a record holds doesn't depend on the worker, on its company in the job, or
//! on the engine.

mod sequential;
mod shared;

use super::answers::{Outcome, Placed};
use super::choose::{Chooser, Subject, Visible};
use super::config::TokenDiversity;
use super::grid::Grid;
use super::inputs::{Inputs, LoadedImage};
use super::memory::MemoryPlan;
use super::record::SampleRecord;
use super::timings::{Stages, StopWatch, TimingRecord, seconds};
use fp_model::prompt::EncodedPrompt;
use fp_model::{Branches, GenerateOptions, ImageFeatures, LlavaModel, ModelError, Sample};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// How cells are run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// An image's and a question's work once for all cells, equal kept sets once,
    /// the distinct ones in batches.
    #[default]
    Shared,
    /// Each cell of each sample by itself from the vision tower on, as evaluations
    /// are commonly run. Decoded images are shared here too.
    Sequential,
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Engine, String> {
        match name {
            "shared" => Ok(Engine::Shared),
            "sequential" => Ok(Engine::Sequential),
            _ => Err(format!(
                "unknown engine `{name}`; known are shared, sequential"
            )),
        }
    }
}

/// Some images with their questions, loaded.
pub(crate) struct Job<'a> {
    /// Jobs are recorded in the order of their numbers.
    pub(crate) number: usize,
    pub(crate) images: Vec<ImageJob<'a>>,
}

/// One image with some of its questions.
pub(crate) struct ImageJob<'a> {
    pub(crate) image: Result<LoadedImage, String>,
    pub(crate) questions: Vec<Question<'a>>,
}

/// One question, tokenised.
pub(crate) struct Question<'a> {
    pub(crate) placed: Placed<'a>,
    pub(crate) prompts: Result<Prompts, String>,
}

/// A question's prompts.
pub(crate) struct Prompts {
    pub(crate) with_image: EncodedPrompt,
    /// Where the grid has the control `no_image`.
    pub(crate) without_image: Option<Vec<u32>>,
}

/// What came of a job.
pub(crate) struct Done {
    pub(crate) number: usize,
    pub(crate) records: Vec<SampleRecord>,
    pub(crate) timings: Vec<TimingRecord>,
}

/// What all workers share.
pub(crate) struct Worker<'a> {
    pub(crate) model: &'a LlavaModel,
    pub(crate) inputs: &'a Inputs,
    pub(crate) grid: &'a Grid,
    pub(crate) chooser: Chooser<'a>,
    pub(crate) generate: GenerateOptions,
    pub(crate) engine: Engine,
    pub(crate) plan: MemoryPlan,
    /// Questions whose branches are run together at most.
    pub(crate) batch_size: usize,
    /// What is measured of kept tokens.
    pub(crate) diversity: TokenDiversity,
}

impl Worker<'_> {
    /// Answers a job's questions.
    pub(crate) fn run(&self, job: Job<'_>) -> Done {
        let (records, timings) = match self.engine {
            Engine::Shared => shared::run(self, job.images),
            Engine::Sequential => sequential::run(self, job.images),
        };
        Done {
            number: job.number,
            records,
            timings,
        }
    }

    /// Answers a question whose image is left out.
    fn answer_without_image(&self, ids: &[u32], timing: &mut TimingRecord) -> Outcome {
        let mut watch = StopWatch::start();
        let mut branches = self
            .model
            .prefill_text(ids)
            .map_err(|error| error.to_string())?;
        timing.seconds.prefix += watch.lap();
        let outcome = self.decode(&mut branches, timing);
        let first = outcome
            .map_err(|error| error.to_string())?
            .into_iter()
            .next();
        first.unwrap_or_else(|| Err("the model gave no answer".to_owned()))
    }

    /// Decodes branches to the end.
    fn decode(
        &self,
        branches: &mut Branches,
        timing: &mut TimingRecord,
    ) -> Result<Vec<Outcome>, ModelError> {
        let mut watch = StopWatch::start();
        let generations = self.model.generate(branches, &self.generate)?;
        timing.seconds.decode += watch.lap();
        timing.num_runs += branches.num_distinct();
        timing.kv_bytes = timing.kv_bytes.max(branches.kv_bytes());
        Ok(generations
            .into_iter()
            .enumerate()
            .map(|(request, generation)| {
                timing.num_decoded += generation.token_ids.len();
                Ok((generation, branches.min_margin(request)))
            })
            .collect())
    }
}

/// The subject of choices about a question.
fn subject<'a>(
    worker: &Worker<'_>,
    question: &Question<'a>,
    prompt: &EncodedPrompt,
    image: &LoadedImage,
    features: &ImageFeatures,
) -> Subject<'a> {
    let layout = Sample { prompt, features }.layout();
    worker
        .chooser
        .subject(question.placed.sample, image.size, layout)
}

/// A line of timings about `images`, with what loading them took.
fn timing_of(images: &[ImageJob<'_>]) -> TimingRecord {
    let loaded = images.iter().filter_map(|image| image.image.as_ref().ok());
    TimingRecord {
        samples: images
            .iter()
            .flat_map(|image| &image.questions)
            .map(|question| question.placed.index)
            .collect(),
        num_images: images.len(),
        seconds: Stages {
            preprocess: loaded.map(|image| seconds(image.duration)).sum(),
            ..Stages::default()
        },
        ..TimingRecord::default()
    }
}

/// Records of questions that failed together, with their image.
fn all_failed(
    worker: &Worker<'_>,
    questions: &[Question<'_>],
    image_size: Option<[usize; 2]>,
    error: &str,
) -> Vec<SampleRecord> {
    questions
        .iter()
        .map(|question| question.placed.failed(worker.inputs, image_size, error))
        .collect()
}

/// Position of `visible` among the distinct ones, which it joins if it is new.
fn position_of(distinct: &mut Vec<Visible>, visible: &Visible) -> usize {
    match distinct.iter().position(|other| other == visible) {
        Some(position) => position,
        None => {
            distinct.push(visible.clone());
            distinct.len() - 1
        }
    }
}
