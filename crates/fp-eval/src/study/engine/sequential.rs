//! Running every cell separately, from the vision tower on.

use fp_model::{ModelError, PlannedSample, Sample, VisionRequest};
use fp_scoring::{ImageInput, Plan, QueryAudit, error_text};

use super::{ImageJob, Loaded, Prompts, Question, Worker, subject, timing_of};
use crate::study::answers::{Answers, Outcome};
use crate::study::choose::{Choice, Chosen, Subject, describe, measure_diversity};
use crate::study::config::TokenDiversity;
use crate::study::failure::Failure;
use crate::study::inputs::LoadedImage;
use crate::study::quality::{Attentions, TokenFeatures};
use crate::study::record::{QueryRows, SampleRecord};
use crate::study::timings::{StopWatch, TimingRecord, seconds};

pub(super) fn run(
    worker: &Worker<'_>,
    parts: Vec<Loaded<'_>>,
) -> (Vec<SampleRecord>, Vec<TimingRecord>) {
    let mut timing = timing_of(&parts);
    let mut records = Vec::new();
    for part in parts {
        let ImageJob { image, questions } = match part {
            Loaded::Image(image) => image,
            Loaded::Text(question) => {
                records.push(worker.answer_text_only(&question, &mut timing));
                continue;
            }
        };
        for question in questions {
            let placed = question.placed;
            let size = image.as_ref().ok().map(|image| image.size);
            let answered = match (&image, &question.prompts) {
                (Ok(image), Ok(prompts)) => answer(worker, &question, prompts, image, &mut timing),
                (Err(error), _) | (_, Err(error)) => Err(error.clone()),
            };
            records.push(match answered {
                Ok(record) => record,
                Err(failure) => placed.failed(worker.inputs, size, &failure),
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
) -> Result<SampleRecord, Failure> {
    let mut watch = StopWatch::start();
    let features = image.features(worker.model, &VisionRequest::new())?;
    timing.seconds.vision += watch.lap();
    // Measurements that are no part of answering are shared among the cells.
    let mut measured = Measured {
        subject: subject(worker, question, &prompts.with_image, image, &features),
        looks: Vec::new(),
    };
    worker.check_room(measured.subject.layout.sequence_len())?;
    let subject = &measured.subject;
    let plans = worker
        .chooser
        .plans(subject.layout.num_image, subject.grid());
    let (mut choices, mut outcomes) = (Vec::new(), Vec::new());
    for plan in plans.iter() {
        if worker.is_stopped() {
            break;
        }
        let (choice, outcome) = match plan {
            Ok(plan) => answer_cell(worker, prompts, image, plan, &mut measured, timing)
                .unwrap_or_else(|error| (Choice::of_error(&error), None)),
            Err(error) => (Choice::unplanned(error), None),
        };
        timing.num_answers += usize::from(choice.visible.is_some());
        choices.push(choice);
        outcomes.push(outcome);
    }
    let mut watch = StopWatch::start();
    if worker.diversity != TokenDiversity::None {
        let features = image.features(worker.model, &VisionRequest::new())?;
        if let Some(tokens) = TokenFeatures::new(&features, worker.diversity)? {
            measure_diversity(&mut choices, &tokens);
        }
    }
    timing.seconds.diversity += watch.lap();
    let layout = measured.subject.layout;
    let looks = measured.looks(worker);
    let mut answers = Answers::new(
        question.placed,
        worker.inputs,
        image.facts(),
        layout,
        looks,
        worker.names_layers,
    );
    for (choice, outcome) in choices.into_iter().zip(outcomes) {
        answers.add(choice, outcome.as_ref());
    }
    Ok(answers.finish())
}

/// What is recorded of a question besides its answers.
struct Measured<'a> {
    subject: Subject<'a>,
    looks: Vec<QueryRows>,
}

impl Measured<'_> {
    fn add_look(&mut self, audit: &QueryAudit, zero_mass_heads: &[usize]) {
        let is_known = |query_rows: &QueryRows| query_rows.query_strategy == audit.strategy;
        if !self.looks.iter().any(is_known) {
            let mut query_rows =
                QueryRows::new(&audit.branch, audit.strategy, &audit.rows, &audit.weights);
            query_rows.zero_mass_heads = zero_mass_heads.to_vec();
            self.looks.push(query_rows);
        }
    }

    /// The rows read by each query strategy, in the order of the grid.
    fn looks(&self, worker: &Worker<'_>) -> Vec<QueryRows> {
        let queries = worker.grid.query_strategies().into_iter();
        queries
            .map(|query| {
                let found = self
                    .looks
                    .iter()
                    .find(|query_rows| query_rows.query_strategy == query);
                found
                    .cloned()
                    .unwrap_or_else(|| QueryRows::new("none", query, &[], &[]))
            })
            .collect()
    }
}

fn answer_cell(
    worker: &Worker<'_>,
    prompts: &Prompts,
    image: &LoadedImage,
    plan: &Plan,
    measured: &mut Measured<'_>,
    timing: &mut TimingRecord,
) -> Result<(Choice, Option<Outcome>), ModelError> {
    let num_image_tokens = measured.subject.layout.num_image;
    if plan.input == ImageInput::None {
        let choice = Choice::of_stages(plan, Vec::new(), num_image_tokens);
        let outcome = match &prompts.without_image {
            Some(ids) => worker
                .answer_without_image(&[ids], timing)
                .map(only)
                .unwrap_or_else(|error| Err(error_text(&error))),
            None => Err("no prompt without an image was made".to_owned()),
        };
        return Ok((choice, Some(outcome)));
    }
    let mut watch = StopWatch::start();
    // A separate cell reads only the evidence that it needs.
    let request = worker.model.config().vision_request([plan])?;
    let features = image.features_of(plan.input, worker.model, worker.inputs, &request)?;
    timing.seconds.vision += watch.lap();
    let sample = Sample {
        prompt: &prompts.with_image,
        features: &features,
    };
    let request = PlannedSample {
        sample,
        plan,
        facts: measured.subject.facts(),
    };
    let (mut outputs, stages) = worker.model.answer_planned(&[request], &worker.generate)?;
    timing.num_runs += 1;
    timing.seconds.prefix += seconds(stages.prefix);
    timing.seconds.scoring += seconds(stages.scoring);
    timing.seconds.suffix += seconds(stages.branch);
    timing.seconds.decode += seconds(stages.decode);
    let Some(output) = outputs.pop() else {
        let choice = Choice::of_stages(plan, Vec::new(), num_image_tokens);
        return Ok((choice, Some(only(Vec::new()))));
    };
    timing.num_decoded += output.generation.token_ids.len();
    timing.kv_bytes = timing.kv_bytes.max(output.kv_bytes);
    let mut chosen = Vec::with_capacity(output.stages.len());
    let mut entering: Vec<usize> = (0..num_image_tokens).collect();
    for stage in output.stages {
        let layout = sample.layout();
        timing.num_suffix_rows +=
            layout.sequence_len() - layout.num_image + stage.selected.selection.len();
        if let Some(audit) = &stage.selected.audit
            && let Some(query) = &audit.audit.query
        {
            measured.add_look(query, &audit.audit.zero_mass_heads);
        }
        let subject = &measured.subject;
        let attentions = &mut Attentions::default();
        let attention = describe(attentions, 0, None, &stage.selected, subject);
        chosen.push(Chosen::new(
            stage.site,
            &stage.selected,
            &entering,
            attention,
        ));
        entering = stage.places;
    }
    let choice = Choice::of_stages(plan, chosen, num_image_tokens);
    Ok((choice, Some(Ok((output.generation, output.min_margin)))))
}

/// The outcome of a single run.
fn only(outcomes: Vec<Outcome>) -> Outcome {
    let first = outcomes.into_iter().next();
    first.unwrap_or_else(|| Err("the model gave no answer".to_owned()))
}
