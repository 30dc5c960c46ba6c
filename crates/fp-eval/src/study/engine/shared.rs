//! Running everything once: the image, the question, each distinct path through the stages.

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

/// A question whose cells have selected tokens, waiting for the model to run.
pub(super) struct Pending<'a> {
    placed: Placed<'a>,
    image: ImageFacts,
    pub(super) layout: TokenLayout,
    pub(super) without_image: Option<Vec<u32>>,
    looks: Vec<QueryRows>,
    choices: Vec<Choice>,
    /// The runs to execute.
    pub(super) runs: Vec<Run>,
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// For each cell, the index of the run that answers it.
    run_of_cell: Vec<Option<usize>>,
    /// Bytes held for this question besides its first prefixes.
    held: u64,
}

/// A waiting run.
#[derive(Debug, Clone)]
pub(super) enum Run {
    /// A prefix with a selection from it, to be run to the end.
    Ending(Ending),
    /// The prompt without its image.
    Text,
}

/// The last selection of a path through stages.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) prefix: Arc<Prefix>,
    pub(super) selection: TokenSelection,
    pub(super) positions: PositionRule,
}

/// A finished record or a waiting question, in the order of the job.
pub(super) enum Entry<'a> {
    Finished(Box<SampleRecord>),
    Waiting(Box<Pending<'a>>),
}

/// An encoded image with what its questions share.
pub(super) struct SharedImage<'a> {
    pub(super) image: &'a LoadedImage,
    /// Features of the whole image, not reduced.
    pub(super) features: ImageFeatures,
    /// Features of the tokens, if the study measures diversity.
    tokens: Option<TokenFeatures>,
    /// What was run for each input of the vision tower.
    pub(super) variants: HashMap<ImageInput, Variant>,
    /// By cell, selections before layer 1 that depend only on the image.
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

/// Runs a question through its stages and lets every cell select tokens.
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

/// The selections of a question's cells.
pub(super) struct Walked {
    /// Each cell's choice and the run that remains, in the order of the grid.
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

/// The distinct runs for these choices, and the index of the run that answers each cell.
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

/// Runs everything that waits and adds the records.
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
