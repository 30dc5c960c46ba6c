//! Everything once: the image, the question, each distinct kept set.

use super::runs::run_waiting;
use super::{ImageJob, Prompts, Question, Worker, all_failed, subject, timing_of};
use crate::study::answers::{Answers, Outcome, Placed};
use crate::study::choose::{Choice, Visible, measure_diversity};
use crate::study::inputs::LoadedImage;
use crate::study::quality::TokenFeatures;
use crate::study::record::{Look, SampleRecord};
use crate::study::timings::{StopWatch, TimingRecord};
use fp_model::{ImageFeatures, ImagePrefix, ModelError, Prefix};
use fp_scoring::TokenLayout;
use fp_scoring::error_text;
use std::collections::{BTreeSet, HashMap};

/// A question whose cells have chosen and wait for the model.
pub(super) struct Pending<'a> {
    placed: Placed<'a>,
    image_size: [usize; 2],
    pub(super) layout: TokenLayout,
    pub(super) prefix: Prefix,
    pub(super) without_image: Option<Vec<u32>>,
    looks: Vec<Look>,
    choices: Vec<Choice>,
    /// What is to be run, and what came of it.
    pub(super) runs: Vec<Visible>,
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// For each cell, which of the runs answers it.
    run_of_cell: Vec<Option<usize>>,
}

/// An entry is a finished record, or a question that is waiting; in the order of the job.
pub(super) enum Entry<'a> {
    Finished(Box<SampleRecord>),
    Waiting(Box<Pending<'a>>),
}

/// An image whose work is done.
struct SeenImage<'a> {
    image: &'a LoadedImage,
    features: ImageFeatures,
    /// Where the study asks how different tokens are.
    tokens: Option<TokenFeatures>,
    /// System and image after layers 1..K; made for the first question.
    prefix: Option<ImagePrefix>,
}

pub(super) fn run(
    worker: &Worker<'_>,
    images: Vec<ImageJob<'_>>,
) -> (Vec<SampleRecord>, Vec<TimingRecord>) {
    let mut timing = timing_of(&images);
    let mut records = Vec::new();
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for ImageJob { image, questions } in images {
        let image = match image {
            Ok(image) => image,
            Err(error) => {
                let failed = all_failed(worker, &questions, None, &error);
                entries.extend(failed.into_iter().map(|r| Entry::Finished(Box::new(r))));
                continue;
            }
        };
        let mut watch = StopWatch::start();
        let features = match image.features(worker.model) {
            Ok(features) => features,
            Err(error) => {
                let failed = all_failed(worker, &questions, Some(image.size), &error_text(&error));
                entries.extend(failed.into_iter().map(|r| Entry::Finished(Box::new(r))));
                continue;
            }
        };
        timing.seconds.vision += watch.lap();
        let tokens = match TokenFeatures::new(&features, worker.diversity) {
            Ok(tokens) => tokens,
            Err(error) => {
                let failed = all_failed(worker, &questions, Some(image.size), &error_text(&error));
                entries.extend(failed.into_iter().map(|r| Entry::Finished(Box::new(r))));
                continue;
            }
        };
        timing.seconds.diversity += watch.lap();
        let mut seen = SeenImage {
            image: &image,
            features,
            tokens,
            prefix: None,
        };
        for question in questions {
            if worker.is_stopped() {
                return (records, vec![timing]);
            }
            let placed = question.placed;
            let entry = match choose(worker, question, &mut seen, &mut timing) {
                Ok(pending) => Entry::Waiting(Box::new(pending)),
                Err(error) => {
                    let failed = placed.failed(worker.inputs, Some(image.size), &error);
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
    let mut waiting = 0;
    let mut most = worker.batch_size;
    for entry in entries {
        if let Entry::Waiting(pending) = entry {
            waiting += 1;
            most = most.min(worker.plan.questions(&pending.layout));
        }
    }
    waiting >= most
}

/// Runs a question up to layer K and lets every cell choose.
fn choose<'a>(
    worker: &Worker<'_>,
    question: Question<'a>,
    image: &mut SeenImage<'_>,
    timing: &mut TimingRecord,
) -> Result<Pending<'a>, String> {
    let prompts = match &question.prompts {
        Ok(prompts) => prompts,
        Err(error) => return Err(error.clone()),
    };
    let subject = subject(
        worker,
        &question,
        &prompts.with_image,
        image.image,
        &image.features,
    );
    let mut watch = StopWatch::start();
    let prefix =
        prefix(worker, prompts, &subject.layout, image).map_err(|error| error_text(&error))?;
    timing.seconds.prefix += watch.lap();
    let (looks, mut choices) = worker.chooser.all(&subject, &prefix);
    let (runs, run_of_cell) = runs_of(worker, &choices);
    timing.seconds.scoring += watch.lap();
    if let Some(tokens) = &image.tokens {
        measure_diversity(&mut choices, tokens);
        timing.seconds.diversity += watch.lap();
    }
    timing.num_answers += run_of_cell.iter().flatten().count();
    Ok(Pending {
        placed: question.placed,
        image_size: image.image.size,
        layout: subject.layout,
        prefix,
        without_image: question
            .prompts
            .ok()
            .and_then(|prompts| prompts.without_image),
        looks,
        choices,
        outcomes: vec![None; runs.len()],
        runs,
        run_of_cell,
    })
}

/// The runs that choices come to, and which of them answers each cell.
fn runs_of(worker: &Worker<'_>, choices: &[Choice]) -> (Vec<Visible>, Vec<Option<usize>>) {
    let mut runs: Vec<Visible> = Vec::new();
    let mut known: HashMap<&Visible, usize> = HashMap::new();
    let run_of_cell = choices
        .iter()
        .map(|choice| {
            let visible = choice.visible.as_ref()?;
            let equal = known.get(visible).copied();
            Some(
                equal
                    .filter(|_| worker.engine.runs_equals_once())
                    .unwrap_or_else(|| {
                        known.insert(visible, runs.len());
                        runs.push(visible.clone());
                        runs.len() - 1
                    }),
            )
        })
        .collect();
    (runs, run_of_cell)
}

fn prefix(
    worker: &Worker<'_>,
    prompts: &Prompts,
    layout: &TokenLayout,
    image: &mut SeenImage<'_>,
) -> Result<Prefix, ModelError> {
    let prompt = &prompts.with_image;
    let shared = match image.prefix.take() {
        Some(shared) => shared,
        None => {
            let system = worker.system(prompt.system_ids())?;
            worker.model.prefill_image(&system, &image.features)?
        }
    };
    // A strategy that finds nothing to look from says so when it chooses.
    let rows: BTreeSet<usize> = worker
        .grid
        .query_strategies()
        .iter()
        .filter_map(|query| query.rows_needed(layout).ok())
        .flatten()
        .collect();
    let rows: Vec<usize> = rows.into_iter().collect();
    let prefix = worker.model.prefill_question(&shared, prompt, &rows);
    image.prefix = Some(shared);
    prefix
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
            self.image_size,
            self.layout,
            self.looks,
        );
        for (choice, run) in self.choices.into_iter().zip(self.run_of_cell) {
            let outcome = run.and_then(|run| self.outcomes.get(run)?.as_ref());
            answers.add(choice, outcome);
        }
        answers.finish()
    }
}
