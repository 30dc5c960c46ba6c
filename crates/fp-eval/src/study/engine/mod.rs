//! Answering samples under every cell.
//!
//! A worker takes a [`Job`] (some images with their questions) and returns records. A record's
//! content doesn't depend on the worker, on the rest of the job, or on the engine.

mod choosing;
mod ranking;
mod runs;
mod sequential;
mod shared;
mod tree;

pub(crate) use self::ranking::{HeadScores, rank};

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fp_model::prompt::EncodedPrompt;
use fp_model::{
    Branches, GenerateOptions, ImageFeatures, LlavaModel, ModelError, Sample, SystemPrefix,
    VisionRequest,
};
use serde::{Deserialize, Serialize};

use super::answers::{Outcome, Placed};
use super::choose::{Chooser, Subject};
use super::config::TokenDiversity;
use super::failure::{Failure, FailureKind};
use super::grid::Grid;
use super::inputs::{Inputs, LoadedImage};
use super::memory::MemoryPlan;
use super::record::SampleRecord;
use super::timings::{Stages, StopWatch, TimingRecord, seconds};

/// How cells are run. Each engine shares more work than the one before; all give the same records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Each cell of each sample separately, from the vision tower on, as evaluations are commonly
    /// run. Decoded images are still shared.
    Sequential,
    /// Shares the work of an image and a question before tokens are selected among all cells, and
    /// the tokens before the image among all samples.
    Prefix,
    /// Also runs equal kept sets only once.
    Distinct,
    /// Also runs the distinct kept sets in batches.
    #[default]
    Shared,
}

impl Engine {
    /// All engines, from the one that shares least to the one that shares most.
    pub const ALL: [Engine; 4] = [
        Engine::Sequential,
        Engine::Prefix,
        Engine::Distinct,
        Engine::Shared,
    ];

    /// The name in configurations and records.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Sequential => "sequential",
            Engine::Prefix => "prefix",
            Engine::Distinct => "distinct",
            Engine::Shared => "shared",
        }
    }

    fn runs_equals_once(self) -> bool {
        matches!(self, Engine::Distinct | Engine::Shared)
    }

    fn runs_in_batches(self) -> bool {
        self == Engine::Shared
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Engine, String> {
        let found = Engine::ALL.into_iter().find(|engine| engine.name() == name);
        found.ok_or_else(|| {
            let known = Engine::ALL.map(Engine::name).join(", ");
            format!("unknown engine `{name}`; expected one of: {known}")
        })
    }
}

/// Loaded images with their questions, and loaded text-only questions.
pub(crate) struct Job<'a> {
    pub(crate) parts: Vec<Loaded<'a>>,
}

/// The smallest unit of work: an image with questions, or a text-only question.
pub(crate) enum Loaded<'a> {
    Image(ImageJob<'a>),
    Text(TextQuestion<'a>),
}

/// One image with some of its questions.
pub(crate) struct ImageJob<'a> {
    pub(crate) image: Result<LoadedImage, Failure>,
    pub(crate) questions: Vec<Question<'a>>,
}

/// One tokenised question.
pub(crate) struct Question<'a> {
    pub(crate) placed: Placed<'a>,
    pub(crate) prompts: Result<Prompts, Failure>,
}

/// A tokenised question that is asked without an image.
pub(crate) struct TextQuestion<'a> {
    pub(crate) placed: Placed<'a>,
    pub(crate) ids: Result<Vec<u32>, Failure>,
}

/// A question's prompts.
pub(crate) struct Prompts {
    pub(crate) with_image: EncodedPrompt,
    /// Present if the grid has the control `no_image`.
    pub(crate) without_image: Option<Vec<u32>>,
}

/// Results of a job.
pub(crate) struct Done {
    pub(crate) records: Vec<SampleRecord>,
    pub(crate) timings: Vec<TimingRecord>,
}

/// What all workers share.
pub(crate) struct Worker<'a> {
    pub(crate) model: &'a LlavaModel,
    pub(crate) inputs: &'a Inputs,
    /// Evidence of the vision tower that all cells together need.
    pub(crate) vision: &'a VisionRequest,
    pub(crate) grid: &'a Grid,
    pub(crate) chooser: Chooser<'a>,
    pub(crate) generate: GenerateOptions,
    pub(crate) engine: Engine,
    pub(crate) plan: MemoryPlan,
    /// Largest number of questions whose branches run together.
    pub(crate) batch_size: usize,
    /// The measures of diversity to record for kept tokens.
    pub(crate) diversity: TokenDiversity,
    /// Whether records state the layer after which tokens were kept.
    pub(crate) names_layers: bool,
    pub(crate) system: Mutex<Option<Arc<SystemPrefix>>>,
    /// Set when the run has to stop: results of unfinished jobs are then discarded.
    pub(crate) stop: &'a AtomicBool,
}

impl Worker<'_> {
    /// Whether the run has to stop.
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Answers a job's questions; `None` if it was stopped before the end.
    pub(crate) fn run(&self, job: Job<'_>) -> Option<Done> {
        let (records, timings) = match self.engine {
            Engine::Sequential => sequential::run(self, job.parts),
            Engine::Prefix | Engine::Distinct | Engine::Shared => shared::run(self, job.parts),
        };
        // Answers that may be incomplete are not recorded.
        (!self.is_stopped()).then_some(Done { records, timings })
    }

    /// Answers a text-only question, once for all cells.
    fn answer_text_only(
        &self,
        question: &TextQuestion<'_>,
        timing: &mut TimingRecord,
    ) -> SampleRecord {
        let placed = question.placed;
        self.try_text_only(question, timing)
            .unwrap_or_else(|failure| placed.failed(self.inputs, None, &failure))
    }

    fn try_text_only(
        &self,
        question: &TextQuestion<'_>,
        timing: &mut TimingRecord,
    ) -> Result<SampleRecord, Failure> {
        let ids = question.ids.as_ref().map_err(Clone::clone)?;
        self.check_room(ids.len())?;
        let outcomes = self.answer_without_image(&[ids], timing)?;
        let Some(Ok((generation, margin))) = outcomes.into_iter().next() else {
            return Err(Failure {
                kind: FailureKind::Model,
                error: "the model gave no answer".to_owned(),
            });
        };
        timing.num_answers += self.grid.cells.len();
        let num_cells = self.grid.cells.len();
        let placed = question.placed;
        Ok(placed.text_only(self.inputs, num_cells, &generation, margin)?)
    }

    /// Refuses a prompt that leaves no position for an answer, or whose answer would exceed the
    /// attention window.
    fn check_room(&self, num_tokens: usize) -> Result<(), Failure> {
        let text = &self.model.config().text;
        let tokens = self.generate.max_new_tokens;
        match text.sliding_window {
            Some(window) if num_tokens.saturating_add(tokens) > window => {
                let what = format!(
                    "with {tokens} of its answer that is more than the model's attention window \
                     of {window}"
                );
                Err(Failure::prompt_too_long(num_tokens, &what))
            }
            _ if num_tokens >= text.max_positions => {
                let what = format!(
                    "the model has {} positions for prompt and answer",
                    text.max_positions
                );
                Err(Failure::prompt_too_long(num_tokens, &what))
            }
            _ => Ok(()),
        }
    }

    /// Answers questions without their images.
    fn answer_without_image(
        &self,
        prompts: &[&[u32]],
        timing: &mut TimingRecord,
    ) -> Result<Vec<Outcome>, ModelError> {
        let mut watch = StopWatch::start();
        let mut branches = self.model.prefill_texts(prompts)?;
        timing.seconds.prefix += watch.lap();
        self.decode(&mut branches, timing)
    }

    /// The tokens before the image, run through all layers. All prompts of a template begin alike,
    /// so the last result is kept.
    fn system(&self, ids: &[u32]) -> Result<Arc<SystemPrefix>, ModelError> {
        let mut last = self.system.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(system) = last.as_ref().filter(|system| system.ids() == ids) {
            return Ok(Arc::clone(system));
        }
        let system = Arc::new(self.model.prefill_system(ids)?);
        *last = Some(Arc::clone(&system));
        Ok(system)
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
    image: &'a LoadedImage,
    features: &ImageFeatures,
) -> Subject<'a> {
    let layout = Sample { prompt, features }.layout();
    worker
        .chooser
        .subject(question.placed.sample, image, layout)
}

/// Timing record for `parts`, with the time for loading them.
fn timing_of(parts: &[Loaded<'_>]) -> TimingRecord {
    let images = parts.iter().filter_map(|part| match part {
        Loaded::Image(image) => Some(image),
        Loaded::Text(_) => None,
    });
    let loaded = images.clone().filter_map(|image| image.image.as_ref().ok());
    let samples = parts.iter().flat_map(|part| match part {
        Loaded::Image(image) => image.questions.iter().map(|q| q.placed.index).collect(),
        Loaded::Text(question) => vec![question.placed.index],
    });
    TimingRecord {
        samples: samples.collect(),
        num_images: images.clone().count(),
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
    failure: &Failure,
) -> Vec<SampleRecord> {
    questions
        .iter()
        .map(|question| question.placed.failed(worker.inputs, image_size, failure))
        .collect()
}
