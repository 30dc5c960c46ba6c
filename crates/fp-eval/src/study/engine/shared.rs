//! Everything once: the image, the question, each distinct kept set.

use super::{ImageJob, Prompts, Question, Worker, all_failed, position_of, subject, timing_of};
use crate::study::answers::{Answers, Outcome, Placed};
use crate::study::choose::{Choice, Visible, measure_diversity};
use crate::study::inputs::LoadedImage;
use crate::study::quality::TokenFeatures;
use crate::study::record::{Look, SampleRecord};
use crate::study::timings::{StopWatch, TimingRecord};
use fp_model::{ImageFeatures, ImagePrefix, ModelError, Prefix};
use fp_scoring::{KeptTokens, TokenLayout};
use std::collections::BTreeSet;

/// A question whose cells have chosen and wait for the model.
struct Pending<'a> {
    placed: Placed<'a>,
    image_size: [usize; 2],
    layout: TokenLayout,
    prefix: Prefix,
    without_image: Option<Vec<u32>>,
    looks: Vec<Look>,
    choices: Vec<Choice>,
    /// What is to be run, and what came of it.
    distinct: Vec<Visible>,
    outcomes: Vec<Option<Outcome>>,
    /// For each cell, which of `distinct` answers it.
    run_of_cell: Vec<Option<usize>>,
}

/// An entry is a finished record, or a question that is waiting; in the order of the job.
enum Entry<'a> {
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
                let failed = all_failed(worker, &questions, Some(image.size), &error.to_string());
                entries.extend(failed.into_iter().map(|r| Entry::Finished(Box::new(r))));
                continue;
            }
        };
        timing.seconds.vision += watch.lap();
        let tokens = match TokenFeatures::new(&features, worker.diversity) {
            Ok(tokens) => tokens,
            Err(error) => {
                let failed = all_failed(worker, &questions, Some(image.size), &error.to_string());
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
        prefix(worker, prompts, &subject.layout, image).map_err(|error| error.to_string())?;
    timing.seconds.prefix += watch.lap();
    let attention = prefix.attention().map_err(|error| error.to_string())?;
    let (looks, mut choices) = worker.chooser.all(&subject, &attention);
    let mut distinct = Vec::new();
    let run_of_cell: Vec<Option<usize>> = choices
        .iter()
        .map(|choice| {
            let visible = choice.visible.as_ref()?;
            Some(position_of(&mut distinct, visible))
        })
        .collect();
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
        outcomes: vec![None; distinct.len()],
        distinct,
        run_of_cell,
    })
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
            let prune_layer = worker.chooser.prune_layer;
            worker
                .model
                .prefill_image(prompt.system_ids(), &image.features, prune_layer)?
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
    let mut requests: Vec<(usize, usize, KeptTokens)> = Vec::new();
    for (at, entry) in entries.iter_mut().enumerate() {
        let Entry::Waiting(pending) = entry else {
            continue;
        };
        for (run, visible) in pending.distinct.iter().enumerate() {
            match visible {
                Visible::Kept(kept) => requests.push((at, run, kept.clone())),
                Visible::All => {
                    requests.push((at, run, KeptTokens::all(pending.layout.num_image)));
                }
                Visible::NoImage => {
                    pending.outcomes[run] = pending
                        .without_image
                        .as_deref()
                        .map(|ids| worker.answer_without_image(ids, timing));
                }
            }
        }
    }
    let lens: Vec<usize> = requests
        .iter()
        .map(|(at, _, kept)| match &entries[*at] {
            Entry::Waiting(pending) => {
                pending.layout.sequence_len() - pending.layout.num_image + kept.len()
            }
            Entry::Finished(_) => 0,
        })
        .collect();
    let mut start = 0;
    for end in worker.plan.batches(&lens) {
        timing.num_suffix_rows += lens[start..end].iter().sum::<usize>();
        answer(worker, entries, &requests[start..end], timing);
        start = end;
    }
    for entry in entries.drain(..) {
        records.push(match entry {
            Entry::Finished(record) => *record,
            Entry::Waiting(pending) => pending.finish(worker),
        });
    }
}

/// Answers requests as one batch; where that fails, in halves, so that one that
/// can't be run takes no other with it.
fn answer(
    worker: &Worker<'_>,
    entries: &mut [Entry<'_>],
    requests: &[(usize, usize, KeptTokens)],
    timing: &mut TimingRecord,
) {
    let outcomes = match (
        answer_batch(worker, entries, requests, timing),
        requests.len(),
    ) {
        (Ok(outcomes), _) => outcomes,
        (Err(error), 0 | 1) => vec![Err(error.to_string())],
        (Err(_), count) => {
            let (first, second) = requests.split_at(count / 2);
            answer(worker, entries, first, timing);
            return answer(worker, entries, second, timing);
        }
    };
    for ((at, run, _), outcome) in requests.iter().zip(outcomes) {
        if let Entry::Waiting(pending) = &mut entries[*at] {
            pending.outcomes[*run] = Some(outcome);
        }
    }
}

fn answer_batch(
    worker: &Worker<'_>,
    entries: &[Entry<'_>],
    requests: &[(usize, usize, KeptTokens)],
    timing: &mut TimingRecord,
) -> Result<Vec<Outcome>, ModelError> {
    let pairs: Vec<(&Prefix, &KeptTokens)> = requests
        .iter()
        .filter_map(|(at, _, kept)| match &entries[*at] {
            Entry::Waiting(pending) => Some((&pending.prefix, kept)),
            Entry::Finished(_) => None,
        })
        .collect();
    let mut watch = StopWatch::start();
    let mut branches = worker.model.branch_all(&pairs)?;
    timing.seconds.suffix += watch.lap();
    worker.decode(&mut branches, timing)
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
