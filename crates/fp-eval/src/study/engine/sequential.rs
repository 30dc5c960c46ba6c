//! Every cell by itself, from the vision tower on.

use super::{ImageJob, Prompts, Question, Worker, subject, timing_of};
use crate::study::answers::{Answers, Outcome};
use crate::study::choose::{Choice, Subject, Visible, measure_diversity, scored_by};
use crate::study::config::TokenDiversity;
use crate::study::grid::Cell;
use crate::study::inputs::LoadedImage;
use crate::study::quality::{Attentions, TokenFeatures};
use crate::study::record::{Look, SampleRecord};
use crate::study::timings::{StopWatch, TimingRecord, seconds};
use fp_model::{ModelError, PrefixOptions, Sample};
use fp_scoring::error_text;
use fp_scoring::{KeptTokens, PruneConfig, QueryAudit, Selection, TokenBudget};

pub(super) fn run(
    worker: &Worker<'_>,
    images: Vec<ImageJob<'_>>,
) -> (Vec<SampleRecord>, Vec<TimingRecord>) {
    let mut timing = timing_of(&images);
    let mut records = Vec::new();
    for ImageJob { image, questions } in images {
        for question in questions {
            let placed = question.placed;
            let size = image.as_ref().ok().map(|image| image.size);
            let answered = match (&image, &question.prompts) {
                (Ok(image), Ok(prompts)) => answer(worker, &question, prompts, image, &mut timing)
                    .map_err(|error| error_text(&error)),
                (Err(error), _) | (_, Err(error)) => Err(error.clone()),
            };
            records.push(match answered {
                Ok(record) => record,
                Err(error) => placed.failed(worker.inputs, size, &error),
            });
        }
    }
    (records, vec![timing])
}

fn answer(
    worker: &Worker<'_>,
    question: &Question<'_>,
    prompts: &Prompts,
    image: &LoadedImage,
    timing: &mut TimingRecord,
) -> Result<SampleRecord, ModelError> {
    let mut watch = StopWatch::start();
    let features = image.features(worker.model)?;
    timing.seconds.vision += watch.lap();
    // What is only measured, and no part of answering, is shared among the cells.
    let mut measured = Measured {
        subject: subject(worker, question, &prompts.with_image, image, &features),
        looks: Vec::new(),
        attentions: Attentions::default(),
    };
    let mut features = Some(features);
    let (mut choices, mut outcomes) = (Vec::new(), Vec::new());
    for cell in &worker.grid.cells {
        if worker.is_stopped() {
            break;
        }
        // The first cell's features were made above.
        let mut watch = StopWatch::start();
        let features = match features.take() {
            Some(features) => features,
            None => image.features(worker.model)?,
        };
        timing.seconds.vision += watch.lap();
        let sample = Sample {
            prompt: &prompts.with_image,
            features: &features,
        };
        let (choice, outcome) = answer_cell(worker, prompts, &sample, cell, &mut measured, timing);
        timing.num_answers += usize::from(choice.visible.is_some());
        choices.push(choice);
        outcomes.push(outcome);
    }
    let mut watch = StopWatch::start();
    if worker.diversity != TokenDiversity::None {
        let features = image.features(worker.model)?;
        if let Some(tokens) = TokenFeatures::new(&features, worker.diversity)? {
            measure_diversity(&mut choices, &tokens);
        }
    }
    timing.seconds.diversity += watch.lap();
    let layout = measured.subject.layout;
    let looks = measured.looks(worker);
    let mut answers = Answers::new(question.placed, worker.inputs, image.size, layout, looks);
    for (choice, outcome) in choices.into_iter().zip(outcomes) {
        answers.add(choice, outcome.as_ref());
    }
    Ok(answers.finish())
}

/// What is recorded of a question beside its answers.
struct Measured<'a> {
    subject: Subject<'a>,
    looks: Vec<Look>,
    attentions: Attentions,
}

impl Measured<'_> {
    fn add_look(&mut self, audit: &QueryAudit, zero_mass_heads: &[usize]) {
        let is_known = |look: &Look| look.query_strategy == audit.strategy;
        if !self.looks.iter().any(is_known) {
            let mut look = Look::new(&audit.branch, audit.strategy, &audit.rows, &audit.weights);
            look.zero_mass_heads = zero_mass_heads.to_vec();
            self.looks.push(look);
        }
    }

    /// One look per query strategy, in the order of the grid.
    fn looks(&self, worker: &Worker<'_>) -> Vec<Look> {
        let queries = worker.grid.query_strategies().into_iter();
        queries
            .map(|query| {
                let found = self.looks.iter().find(|look| look.query_strategy == query);
                found
                    .cloned()
                    .unwrap_or_else(|| Look::new("none", query, &[], &[]))
            })
            .collect()
    }
}

fn answer_cell(
    worker: &Worker<'_>,
    prompts: &Prompts,
    sample: &Sample<'_>,
    cell: &Cell,
    measured: &mut Measured<'_>,
    timing: &mut TimingRecord,
) -> (Choice, Option<Outcome>) {
    if let Some(choice) = worker.chooser.control(cell, &measured.subject) {
        let outcome = choice.visible.as_ref().map(|visible| {
            answer_control(worker, prompts, sample, visible, timing)
                .unwrap_or_else(|error| Err(error_text(&error)))
        });
        return (choice, outcome);
    }
    match answer_strategy(worker, sample, cell, timing) {
        Ok((selection, outcome)) => {
            let mut attention = None;
            if let Some(audit) = &selection.audit.query {
                measured.add_look(audit, &selection.audit.zero_mass_heads);
                let evidence = measured.subject.evidence();
                attention = measured.attentions.of(audit.strategy, &selection, evidence);
            }
            (Choice::selected(&selection, attention), Some(outcome))
        }
        Err(error) => (Choice::failed(&error), None),
    }
}

fn answer_control(
    worker: &Worker<'_>,
    prompts: &Prompts,
    sample: &Sample<'_>,
    visible: &Visible,
    timing: &mut TimingRecord,
) -> Result<Outcome, ModelError> {
    match visible {
        Visible::NoImage => match &prompts.without_image {
            Some(ids) => {
                let outcomes = worker.answer_without_image(&[ids], timing)?;
                Ok(only(outcomes))
            }
            None => Ok(Err("no prompt without an image was made".to_owned())),
        },
        Visible::All => {
            let (mut outputs, stages) = worker.model.answer(&[*sample], None, &worker.generate)?;
            timing.num_runs += 1;
            timing.seconds.prefix += seconds(stages.prefix);
            timing.seconds.decode += seconds(stages.decode);
            Ok(match outputs.pop() {
                Some(output) => {
                    timing.num_decoded += output.generation.token_ids.len();
                    Ok((output.generation, output.min_margin))
                }
                None => only(Vec::new()),
            })
        }
        Visible::Kept(kept) => answer_kept(worker, sample, kept, timing),
    }
}

/// Answers with tokens that no attention chose.
fn answer_kept(
    worker: &Worker<'_>,
    sample: &Sample<'_>,
    kept: &KeptTokens,
    timing: &mut TimingRecord,
) -> Result<Outcome, ModelError> {
    let options = PrefixOptions {
        prune_layer: worker.chooser.prune_layer,
        query_rows: Vec::new(),
    };
    let mut watch = StopWatch::start();
    let prefix = worker
        .model
        .prefill_prefix(sample.prompt, sample.features, &options)?;
    timing.seconds.prefix += watch.lap();
    let mut branches = worker.model.branch(&prefix, std::slice::from_ref(kept))?;
    timing.seconds.suffix += watch.lap();
    timing.num_suffix_rows +=
        prefix.layout().sequence_len() - prefix.layout().num_image + kept.len();
    Ok(only(worker.decode(&mut branches, timing)?))
}

/// The outcome of a single run.
fn only(outcomes: Vec<Outcome>) -> Outcome {
    let first = outcomes.into_iter().next();
    first.unwrap_or_else(|| Err("the model gave no answer".to_owned()))
}

/// Answers with tokens that attention chose.
fn answer_strategy(
    worker: &Worker<'_>,
    sample: &Sample<'_>,
    cell: &Cell,
    timing: &mut TimingRecord,
) -> Result<(Selection, Outcome), ModelError> {
    let layout = sample.layout();
    let (head_strategy, num_selected_heads) = scored_by(&cell.method);
    let config = PruneConfig {
        head_strategy,
        query_strategy: cell
            .method
            .query_strategy()
            .unwrap_or(fp_scoring::QueryStrategy::LastToken),
        normalization: worker.chooser.normalization,
        num_selected_heads,
        budget: TokenBudget::Kept(worker.chooser.kept(cell, layout.num_image)?),
        prune_layer: worker.chooser.prune_layer,
        allow_degenerate: worker.chooser.allow_degenerate,
    };
    let (mut outputs, stages) = worker
        .model
        .answer(&[*sample], Some(&config), &worker.generate)?;
    timing.num_runs += 1;
    timing.seconds.prefix += seconds(stages.prefix);
    timing.seconds.scoring += seconds(stages.scoring);
    timing.seconds.suffix += seconds(stages.branch);
    timing.seconds.decode += seconds(stages.decode);
    let missing = || ModelError::InputValue {
        what: "the model's answer",
        found: "none".to_owned(),
        expected: "one with a selection".to_owned(),
    };
    let output = outputs.pop().ok_or_else(missing)?;
    let selection = output.selection.ok_or_else(missing)?;
    timing.num_decoded += output.generation.token_ids.len();
    timing.num_suffix_rows +=
        layout.sequence_len() - layout.num_image + selection.kept_tokens.len();
    timing.kv_bytes = timing.kv_bytes.max(output.kv_bytes);
    Ok((selection, Ok((output.generation, output.min_margin))))
}
