//! Scores of heads alone, by which static variants are ranked.

use std::collections::BTreeSet;
use std::sync::Arc;

use fp_model::prompt::EncodedPrompt;
use fp_model::{
    ImageFeatures, ImagePrefix, ModelError, Prefix, Sample, SampleFacts, ScoreRequest,
    VisionRequest,
};
use fp_scoring::{
    AttentionSelector, HeadCount, PaddingMasked, QueryStrategy, SelectOptions, Site, Stage,
    error_text,
};

use super::{ImageJob, Job, Loaded, Worker};
use crate::study::failure::Failure;
use crate::study::static_heads::RankedRule;

/// `[rules][H]`: each rule's scores of the heads on one sample.
pub(crate) type HeadScores = Vec<Vec<f64>>;

/// Scores the heads on each question of a job; `None` if it was stopped before the end.
pub(crate) fn rank(
    worker: &Worker<'_>,
    rules: &[RankedRule],
    job: Job<'_>,
) -> Option<Vec<Result<HeadScores, String>>> {
    let depths: BTreeSet<usize> = rules.iter().map(|rule| rule.prune_layer).collect();
    let depths: Vec<usize> = depths.into_iter().collect();
    let mut all = Vec::new();
    for part in job.parts {
        let ImageJob { image, questions } = match part {
            Loaded::Image(image) => image,
            // Without an image there is no attention to it.
            Loaded::Text(_) => continue,
        };
        let mut seen = image.and_then(|image| {
            let features = image.features(worker.model, &VisionRequest::new());
            let is_masked = worker.chooser.config.mask_padding;
            Ok(RankedImage {
                features: features.map_err(Failure::from)?,
                padding: image.padding.filter(|_| is_masked),
                prefix: None,
            })
        });
        for question in questions {
            if worker.is_stopped() {
                return None;
            }
            all.push(match (&mut seen, &question.prompts) {
                (Ok(seen), Ok(prompts)) => {
                    scores(worker, rules, &depths, seen, &prompts.with_image)
                        .map_err(|error| error_text(&error))
                }
                (Err(failure), _) => Err(failure.error.clone()),
                (_, Err(failure)) => Err(failure.error.clone()),
            });
        }
    }
    Some(all)
}

/// An image on whose questions heads are ranked.
struct RankedImage {
    features: ImageFeatures,
    /// Image tokens to exclude from the candidates.
    padding: Option<Vec<bool>>,
    /// The part of the prefix that its questions share.
    prefix: Option<ImagePrefix>,
}

/// The head scores for one question.
fn scores(
    worker: &Worker<'_>,
    rules: &[RankedRule],
    depths: &[usize],
    seen: &mut RankedImage,
    prompt: &EncodedPrompt,
) -> Result<HeadScores, ModelError> {
    let system = worker.system(prompt.system_ids())?;
    let features = &seen.features;
    let shared = match &mut seen.prefix {
        Some(shared) => shared,
        prefix => prefix.insert(worker.model.prefill_image(&system, features, depths)?),
    };
    let layout = Sample { prompt, features }.layout();
    let mut rows = Vec::with_capacity(depths.len());
    for &depth in depths {
        let mut here = BTreeSet::new();
        for rule in rules.iter().filter(|rule| rule.prune_layer == depth) {
            here.extend(
                worker
                    .model
                    .rows_for_stage(&masked(worker, rule), &layout)?,
            );
        }
        rows.push(here.into_iter().collect());
    }
    let prefixes = worker.model.prefill_question(shared, prompt, &rows)?;
    let mut scores: HeadScores = vec![Vec::new(); rules.len()];
    for (depth, prefix) in depths.iter().zip(&prefixes) {
        let here = |at: &usize| rules[*at].prune_layer == *depth;
        if let Some(padding) = seen.padding.as_ref().filter(|p| p.contains(&true)) {
            for at in (0..rules.len()).filter(here) {
                let stage = masked(worker, &rules[at]);
                let facts = SampleFacts {
                    padding: Some(padding),
                    ..SampleFacts::of("")
                };
                let selected = worker
                    .model
                    .select_stage(prefix, &stage, features, &facts)?;
                scores[at] = selected.audit.map_or(Vec::new(), |audit| audit.head_scores);
            }
            continue;
        }
        let mut left: Vec<usize> = (0..rules.len()).filter(here).collect();
        while let Some(&first) = left.first() {
            let query = rules[first].query_strategy;
            let (same, others) = left
                .iter()
                .partition(|at| rules[**at].query_strategy == query);
            left = others;
            score_together(worker, rules, &same, prefix, query, &mut scores)?;
        }
    }
    Ok(scores)
}

/// A rule as a stage that excludes padding tokens if the image has any.
fn masked(worker: &Worker<'_>, rule: &RankedRule) -> Stage {
    let config = worker.chooser.config;
    let selector = AttentionSelector {
        head_strategy: rule.head_strategy,
        query_strategy: rule.query_strategy,
        num_selected_heads: HeadCount::Count(rule.num_selected_heads),
        normalization: config.normalization,
        allow_degenerate: config.allow_degenerate,
    };
    Stage {
        site: Site::Layer(rule.prune_layer),
        selector: Arc::new(PaddingMasked::new(Arc::new(selector))),
        // Scores of heads don't depend on this.
        kept: 1,
    }
}

/// Scores rules that read the same rows together.
fn score_together(
    worker: &Worker<'_>,
    rules: &[RankedRule],
    together: &[usize],
    prefix: &Prefix,
    query: QueryStrategy,
    scores: &mut HeadScores,
) -> Result<(), ModelError> {
    let combined = prefix.combine(query)?;
    let mut by_count: Vec<(usize, Vec<usize>)> = Vec::new();
    for &at in together {
        let count = rules[at].num_selected_heads;
        match by_count.iter_mut().find(|(known, _)| *known == count) {
            Some((_, same)) => same.push(at),
            None => by_count.push((count, vec![at])),
        }
    }
    let requests: Vec<ScoreRequest> = by_count
        .iter()
        .map(|(count, same)| ScoreRequest {
            head_strategies: same.iter().map(|&at| rules[at].head_strategy).collect(),
            options: SelectOptions {
                normalization: worker.chooser.config.normalization,
                num_selected_heads: HeadCount::Count(*count),
                // Scores of heads don't depend on this.
                kept: 1,
                allow_degenerate: worker.chooser.config.allow_degenerate,
            },
        })
        .collect();
    for ((_, same), selections) in by_count.iter().zip(combined.score(&requests)) {
        for (&at, selection) in same.iter().zip(selections?) {
            scores[at] = selection.head_scores;
        }
    }
    Ok(())
}
