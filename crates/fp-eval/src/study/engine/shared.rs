//! Everything once: the image, the question, each distinct way through the stages.

use std::collections::HashMap;
use std::sync::Arc;

use fp_model::{ImageFeatures, Prefix};
use fp_scoring::{ImageInput, PositionRule, Selected, TokenLayout, TokenSelection};

use super::runs::run_waiting;
use super::tree::{Tree, Variant};
use super::{ImageJob, Loaded, Prompts, Question, Worker, all_failed, subject, timing_of};
use crate::study::answers::{Answers, Outcome, Placed};
use crate::study::choose::{Choice, Subject, measure_diversity};
use crate::study::failure::Failure;
use crate::study::inputs::{ImageFacts, LoadedImage};
use crate::study::path::VisualInput;
use crate::study::quality::TokenFeatures;
use crate::study::record::{QueryRows, SampleRecord};
use crate::study::timings::{StopWatch, TimingRecord};

/// A question whose cells have chosen and wait for the model.
pub(super) struct Pending<'a> {
    placed: Placed<'a>,
    image: ImageFacts,
    pub(super) layout: TokenLayout,
    pub(super) without_image: Option<Vec<u32>>,
    looks: Vec<QueryRows>,
    choices: Vec<Choice>,
    /// What is to be run, and what came of it.
    pub(super) runs: Vec<Run>,
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// For each cell, which of the runs answers it.
    run_of_cell: Vec<Option<usize>>,
    /// Bytes of what was run for this question beside its prefixes.
    held: u64,
}

/// A run that waits.
#[derive(Debug, Clone)]
pub(super) enum Run {
    /// A prefix continues to the end with what is selected of it.
    Ending(Ending),
    /// The prompt without its image.
    Text,
}

/// The last stretch of a way through stages.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) prefix: Arc<Prefix>,
    pub(super) selection: TokenSelection,
    pub(super) positions: PositionRule,
}

/// An entry is a finished record, or a question that is waiting; in the order of the job.
pub(super) enum Entry<'a> {
    Finished(Box<SampleRecord>),
    Waiting(Box<Pending<'a>>),
}

/// An image whose work is done.
pub(super) struct SharedImage<'a> {
    pub(super) image: &'a LoadedImage,
    /// The image as it is.
    pub(super) features: ImageFeatures,
    /// Where the study asks how different tokens are.
    tokens: Option<TokenFeatures>,
    /// What was run of it, by what the vision tower was given.
    pub(super) variants: HashMap<ImageInput, Variant>,
    /// By cell, what was chosen before layer 1 by what looks at the image alone.
    pub(super) of_image: HashMap<usize, Selected>,
}

pub(super) fn run(
    worker: &Worker<'_>,
    parts: Vec<Loaded<'_>>,
) -> (Vec<SampleRecord>, Vec<TimingRecord>) {
    let mut timing = timing_of(&parts);
    let mut records = Vec::new();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for part in parts {
        let ImageJob { image, questions } = match part {
            Loaded::Image(image) => image,
            Loaded::Text(question) => {
                let record = worker.answer_text_only(&question, &mut timing);
                entries.push(Entry::Finished(Box::new(record)));
                continue;
            }
        };
        let image = match image {
            Ok(image) => image,
            Err(error) => {
                let failed = all_failed(worker, &questions, None, &error);
                entries.extend(failed.into_iter().map(|r| Entry::Finished(Box::new(r))));
                continue;
            }
        };
        let mut watch = StopWatch::start();
        let features = match image.features(worker.model, worker.vision) {
            Ok(features) => features,
            Err(error) => {
                let failed =
                    all_failed(worker, &questions, Some(image.size), &Failure::from(error));
                entries.extend(failed.into_iter().map(|r| Entry::Finished(Box::new(r))));
                continue;
            }
        };
        timing.seconds.vision += watch.lap();
        let tokens = match TokenFeatures::new(&features, worker.diversity) {
            Ok(tokens) => tokens,
            Err(error) => {
                let failed =
                    all_failed(worker, &questions, Some(image.size), &Failure::from(error));
                entries.extend(failed.into_iter().map(|r| Entry::Finished(Box::new(r))));
                continue;
            }
        };
        timing.seconds.diversity += watch.lap();
        let mut seen = SharedImage {
            image: &image,
            features,
            tokens,
            variants: HashMap::new(),
            of_image: HashMap::new(),
        };
        for question in questions {
            if worker.is_stopped() {
                return (records, vec![timing]);
            }
            let placed = question.placed;
            let entry = match choose(worker, question, &mut seen, &mut timing) {
                Ok(pending) => Entry::Waiting(Box::new(pending)),
                Err(failure) => {
                    let failed = placed.failed(worker.inputs, Some(image.size), &failure);
                    Entry::Finished(Box::new(failed))
                }
            };
            entries.push(entry);
            if is_full(worker, &entries) {
                flush(worker, &mut entries, &mut records, &mut timing);
            }
        }
    }
    flush(worker, &mut entries, &mut records, &mut timing);
    (records, vec![timing])
}

fn is_full(worker: &Worker<'_>, entries: &[Entry<'_>]) -> bool {
    let (mut waiting, mut held) = (0, 0);
    let mut most = worker.batch_size;
    for entry in entries {
        if let Entry::Waiting(pending) = entry {
            waiting += 1;
            held += pending.held;
            most = most.min(worker.plan.questions(&pending.layout));
        }
    }
    waiting >= most || worker.plan.is_held_too_much(held)
}

/// Runs a question up to its stages and lets every cell choose.
fn choose<'a>(
    worker: &Worker<'_>,
    question: Question<'a>,
    image: &mut SharedImage<'_>,
    timing: &mut TimingRecord,
) -> Result<Pending<'a>, Failure> {
    let prompts = question.prompts.as_ref().map_err(Clone::clone)?;
    let subject = subject(
        worker,
        &question,
        &prompts.with_image,
        image.image,
        &image.features,
    );
    worker.check_room(subject.layout.sequence_len())?;
    let chosen = walk(worker, &subject, prompts, image, timing)?;
    let mut choices: Vec<Choice> = Vec::with_capacity(chosen.cells.len());
    let mut endings = Vec::with_capacity(chosen.cells.len());
    for (choice, ending) in chosen.cells {
        choices.push(choice);
        endings.push(ending);
    }
    let (runs, run_of_cell) = runs_of(worker, &choices, endings);
    let mut watch = StopWatch::start();
    if let Some(tokens) = &image.tokens {
        measure_diversity(&mut choices, tokens);
        timing.seconds.diversity += watch.lap();
    }
    timing.num_answers += run_of_cell.iter().flatten().count();
    Ok(Pending {
        placed: question.placed,
        image: image.image.facts(),
        layout: subject.layout,
        without_image: question
            .prompts
            .ok()
            .and_then(|prompts| prompts.without_image),
        looks: chosen.looks,
        choices,
        outcomes: vec![None; runs.len()],
        runs,
        run_of_cell,
        held: chosen.held,
    })
}

/// What the cells of a question chose.
pub(super) struct Walked {
    /// In the order of the grid, with the last stretch of their way.
    pub(super) cells: Vec<(Choice, Option<Run>)>,
    pub(super) looks: Vec<QueryRows>,
    pub(super) held: u64,
}

fn walk(
    worker: &Worker<'_>,
    subject: &Subject<'_>,
    prompts: &Prompts,
    image: &mut SharedImage<'_>,
    timing: &mut TimingRecord,
) -> Result<Walked, Failure> {
    Ok(Tree::new(worker, subject, prompts, timing).walk(image)?)
}

/// The runs that choices come to, and which of them answers each cell.
fn runs_of(
    worker: &Worker<'_>,
    choices: &[Choice],
    endings: Vec<Option<Run>>,
) -> (Vec<Run>, Vec<Option<usize>>) {
    let mut runs: Vec<Run> = Vec::new();
    let mut known: HashMap<&VisualInput, usize> = HashMap::new();
    let run_of_cell = choices
        .iter()
        .zip(endings)
        .map(|(choice, ending)| {
            let (visible, ending) = (choice.visible.as_ref()?, ending?);
            let equal = known.get(visible).copied();
            let equal = equal.filter(|_| worker.engine.runs_equals_once());
            Some(equal.unwrap_or_else(|| {
                known.insert(visible, runs.len());
                runs.push(ending);
                runs.len() - 1
            }))
        })
        .collect();
    (runs, run_of_cell)
}

/// Runs everything that waits, and records it.
fn flush(
    worker: &Worker<'_>,
    entries: &mut Vec<Entry<'_>>,
    records: &mut Vec<SampleRecord>,
    timing: &mut TimingRecord,
) {
    run_waiting(worker, entries, timing);
    for entry in entries.drain(..) {
        records.push(match entry {
            Entry::Finished(record) => *record,
            Entry::Waiting(pending) => pending.finish(worker),
        });
    }
}

impl Pending<'_> {
    fn finish(self, worker: &Worker<'_>) -> SampleRecord {
        let mut answers = Answers::new(
            self.placed,
            worker.inputs,
            self.image,
            self.layout,
            self.looks,
            worker.names_layers,
        );
        for (choice, run) in self.choices.into_iter().zip(self.run_of_cell) {
            let outcome = run.and_then(|run| self.outcomes.get(run)?.as_ref());
            answers.add(choice, outcome);
        }
        answers.finish()
    }
}
