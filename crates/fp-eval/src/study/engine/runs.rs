//! Running the model for all waiting questions: branches of prefixes, and texts alone.

use fp_model::ModelError;
use fp_scoring::error_text;

use super::Worker;
use super::shared::{Ending, Entry, Pending, Run};
use crate::study::answers::Outcome;
use crate::study::timings::{StopWatch, TimingRecord};

/// Index of the waiting question, and index of its run.
type At = (usize, usize);

/// The selection from a prefix, to be run to the end.
struct EndingRequest {
    at: At,
    ending: Ending,
    /// Number of rows to run.
    len: usize,
}

/// A prompt without its image, and all runs that need it.
struct TextRequest {
    ids: Vec<u32>,
    at: Vec<At>,
}

/// Runs everything that waits.
pub(super) fn run_waiting(
    worker: &Worker<'_>,
    entries: &mut [Entry<'_>],
    timing: &mut TimingRecord,
) {
    let mut endings: Vec<EndingRequest> = Vec::new();
    let mut texts: Vec<TextRequest> = Vec::new();
    for (number, pending) in waiting(entries) {
        for (run, waits) in pending.runs.iter().enumerate() {
            let at = (number, run);
            match (waits, &pending.without_image) {
                (Run::Ending(ending), _) => endings.push(request(at, ending)),
                (Run::Text, Some(ids)) => add_text(worker, &mut texts, ids, at),
                (Run::Text, None) => {}
            }
        }
    }
    // Only runs that start after the same layer are batched.
    endings.sort_by_key(|request| request.ending.prefix.depth());
    let outcomes = run_texts(worker, &texts, timing);
    for (text, outcome) in texts.into_iter().zip(outcomes) {
        for at in text.at {
            set(entries, at, outcome.clone());
        }
    }
    for alike in endings.chunk_by(|a, b| a.ending.prefix.depth() == b.ending.prefix.depth()) {
        let outcomes = run_endings(worker, alike, timing);
        for (request, outcome) in alike.iter().zip(outcomes) {
            set(entries, request.at, outcome);
        }
    }
}

fn waiting<'e, 'a>(
    entries: &'e [Entry<'a>],
) -> impl Iterator<Item = (usize, &'e Pending<'a>)> + use<'e, 'a> {
    let entries = entries.iter().enumerate();
    entries.filter_map(|(number, entry)| match entry {
        Entry::Waiting(pending) => Some((number, pending.as_ref())),
        Entry::Finished(_) => None,
    })
}

fn set(entries: &mut [Entry<'_>], (number, run): At, outcome: Outcome) {
    if let Entry::Waiting(pending) = &mut entries[number] {
        pending.outcomes[run] = Some(outcome);
    }
}

fn request(at: At, ending: &Ending) -> EndingRequest {
    EndingRequest {
        at,
        // The system part has already been run through all layers.
        len: ending.prefix.layout().num_text + ending.selection.len(),
        ending: ending.clone(),
    }
}

fn add_text(worker: &Worker<'_>, texts: &mut Vec<TextRequest>, ids: &[u32], at: At) {
    let same = texts.iter_mut().find(|text| text.ids == ids);
    match same.filter(|_| worker.engine.runs_equals_once()) {
        Some(text) => text.at.push(at),
        None => texts.push(TextRequest {
            ids: ids.to_vec(),
            at: vec![at],
        }),
    }
}

fn run_texts(
    worker: &Worker<'_>,
    texts: &[TextRequest],
    timing: &mut TimingRecord,
) -> Vec<Outcome> {
    let lens: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
    let mut outcomes = Vec::with_capacity(texts.len());
    let mut start = 0;
    for end in batches(worker, &lens, worker.plan.num_layers()) {
        if worker.is_stopped() {
            break;
        }
        outcomes.extend(in_halves(&texts[start..end], &mut |texts| {
            let prompts: Vec<&[u32]> = texts.iter().map(|text| text.ids.as_slice()).collect();
            worker.answer_without_image(&prompts, timing)
        }));
        start = end;
    }
    outcomes
}

/// Runs selections that start after the same layer to the end.
fn run_endings(
    worker: &Worker<'_>,
    requests: &[EndingRequest],
    timing: &mut TimingRecord,
) -> Vec<Outcome> {
    let lens: Vec<usize> = requests.iter().map(|request| request.len).collect();
    let depth = requests
        .first()
        .map_or(0, |request| request.ending.prefix.depth());
    let layers = worker.plan.num_layers().saturating_sub(depth);
    let mut outcomes = Vec::with_capacity(requests.len());
    let mut start = 0;
    for end in batches(worker, &lens, layers) {
        if worker.is_stopped() {
            break;
        }
        timing.num_suffix_rows += lens[start..end].iter().sum::<usize>();
        outcomes.extend(in_halves(&requests[start..end], &mut |requests| {
            let endings: Vec<fp_model::Ending<'_>> = requests
                .iter()
                .map(|EndingRequest { ending, .. }| fp_model::Ending {
                    prefix: &ending.prefix,
                    selection: &ending.selection,
                    positions: ending.positions,
                })
                .collect();
            let mut watch = StopWatch::start();
            let mut branches = worker.model.finish_all(&endings)?;
            timing.seconds.suffix += watch.lap();
            worker.decode(&mut branches, timing)
        }));
        start = end;
    }
    outcomes
}

/// Ends of the batches of sequences with `lens` rows each to run through `layers` layers.
pub(super) fn batches(worker: &Worker<'_>, lens: &[usize], layers: usize) -> Vec<usize> {
    if worker.engine.runs_in_batches() {
        worker.plan.batches(lens, layers)
    } else {
        (1..=lens.len()).collect()
    }
}

/// Runs requests as one batch; if that fails, in halves, so that one failing request doesn't fail
/// the others.
fn in_halves<T, F>(requests: &[T], run: &mut F) -> Vec<Outcome>
where
    F: FnMut(&[T]) -> Result<Vec<Outcome>, ModelError>,
{
    match (run(requests), requests) {
        (Ok(outcomes), _) => outcomes,
        (Err(_), []) => Vec::new(),
        (Err(error), [_]) => vec![Err(error_text(&error))],
        (Err(_), several) => {
            let (first, second) = several.split_at(several.len() / 2);
            let mut outcomes = in_halves(first, run);
            outcomes.extend(in_halves(second, run));
            outcomes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_fails_takes_no_other_with_it() {
        let mut calls = 0;
        let outcomes = in_halves(&[1, 2, 3, 4, 5], &mut |requests| {
            calls += 1;
            if requests.contains(&3) {
                Err(ModelError::NotFinite {
                    what: "the logits",
                    index: 3,
                })
            } else {
                Ok(requests.iter().map(|n| Err(n.to_string())).collect())
            }
        });
        let texts: Vec<String> = outcomes.into_iter().map(Result::unwrap_err).collect();
        assert_eq!(texts.len(), 5);
        assert!(texts[2].contains("the logits"), "{texts:?}");
        for at in [0, 1, 3, 4] {
            assert_eq!(texts[at], (at + 1).to_string());
        }
        assert_eq!(calls, 5);
    }
}
