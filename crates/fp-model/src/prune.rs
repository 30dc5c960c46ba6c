//! Running samples from prompt to answer with a pruning method.

use std::sync::Arc;
use std::time::Duration;

use fp_scoring::{Plan, PruneConfig, Selected, Selection, Site, TokenLayout, TokenSelection};

use crate::advance::Advance;
use crate::branch::{Branches, Ending};
use crate::clock::StageClock;
use crate::error::{ModelError, Result};
use crate::generate::{GenerateOptions, Generation};
use crate::model::LlavaModel;
use crate::prefix::{Prefix, PrefixOptions};
use crate::sample::Sample;
use crate::stages::SampleFacts;

/// Results of one sample.
#[derive(Debug, Clone)]
pub struct SampleOutput {
    /// The answer's tokens.
    pub generation: Generation,
    /// What each stage selected and its audit; empty without pruning.
    pub stages: Vec<StageOutput>,
    /// Logits `[vocab]` at the prompt's last position.
    pub prompt_logits: Vec<f32>,
    /// The smallest margin of the answer; see [`Branches::min_margin`].
    pub min_margin: Option<f32>,
    /// Tokens cached per layer at the end.
    pub kv_tokens: Vec<usize>,
    /// Bytes of the key and value buffers, including reserved capacity that wasn't used.
    pub kv_bytes: usize,
}

/// What one stage of a method selected on one sample.
#[derive(Debug, Clone)]
pub struct StageOutput {
    /// The stage's site.
    pub site: Site,
    /// The selection, by index among the tokens that entered the stage.
    pub selected: Selected,
    /// `[n]`: for each kept token, its index among the original N image tokens.
    pub places: Vec<usize>,
}

impl SampleOutput {
    /// The audit of the last stage that selected by attention.
    pub fn attention_audit(&self) -> Option<&Selection> {
        self.stages
            .iter()
            .rev()
            .find_map(|stage| stage.selected.audit.as_ref())
    }
}

/// Durations of a batch's stages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimings {
    /// Layers up to the first stage; everything up to the logits if there is no pruning.
    pub prefix: Duration,
    /// Scoring and selection.
    pub scoring: Duration,
    /// Layers after selection.
    pub branch: Duration,
    /// Decoding.
    pub decode: Duration,
}

impl LlavaModel {
    /// Depth of the prefix and rows to read there for `config`.
    ///
    /// # Errors
    /// A layout for which the query strategy has no row to read.
    pub fn prefix_options(
        &self,
        layout: &TokenLayout,
        config: &PruneConfig,
    ) -> Result<PrefixOptions> {
        Ok(PrefixOptions {
            depth: config.prune_layer,
            query_rows: config.query_strategy.rows_needed(layout)?,
        })
    }

    /// Selects the image tokens of a prefix that `config` keeps.
    ///
    /// # Errors
    /// An impossible budget or number of heads, or attention that can't be scored.
    pub fn select(&self, prefix: &Prefix, config: &PruneConfig) -> Result<Selection> {
        let num_layers = self.config().text.num_layers;
        let kept = config
            .budget
            .kept(prefix.layout().num_image, num_layers, config.prune_layer)?;
        let options = config.selector().options(kept);
        prefix.select(config.head_strategy, config.query_strategy, &options)
    }

    /// The plan of a pruning configuration for an image of `num_image_tokens` tokens.
    ///
    /// # Errors
    /// A budget or number of heads that is impossible, or K outside 1..L.
    pub fn plan(&self, config: &PruneConfig, num_image_tokens: usize) -> Result<Plan> {
        let text = &self.config().text;
        let kept = config
            .budget
            .kept(num_image_tokens, text.num_layers, config.prune_layer)?;
        config.num_selected_heads.resolve(text.num_heads)?;
        let site = Site::Layer(config.prune_layer);
        Ok(Plan::one_stage(site, Arc::new(config.selector()), kept))
    }

    /// Runs samples from prompt to answer in one batch, with or without pruning. Each result is the
    /// same as if the sample were run alone.
    ///
    /// # Errors
    /// As for the single steps: [`LlavaModel::prefill_prefix`], [`LlavaModel::select`],
    /// [`LlavaModel::branch`], [`LlavaModel::generate`].
    pub fn answer(
        &self,
        samples: &[Sample<'_>],
        prune: Option<&PruneConfig>,
        options: &GenerateOptions,
    ) -> Result<(Vec<SampleOutput>, StageTimings)> {
        let plans = samples
            .iter()
            .map(|sample| match prune {
                Some(config) => self.plan(config, sample.layout().num_image),
                None => Ok(Plan::vanilla()),
            })
            .collect::<Result<Vec<Plan>>>()?;
        let requests: Vec<PlannedSample<'_>> = samples
            .iter()
            .zip(&plans)
            .map(|(sample, plan)| PlannedSample {
                sample: *sample,
                plan,
                facts: SampleFacts::of(""),
            })
            .collect();
        self.answer_planned(&requests, options)
    }

    /// Runs samples from prompt to answer in one batch, each by its plan; the stages of all plans
    /// must have the same sites. The features given must be those of the plan's input.
    ///
    /// # Errors
    /// Plans with different sites, stages that this model doesn't support, and as for the single
    /// steps:
    /// [`LlavaModel::prefill_prefix`], [`LlavaModel::select_stage`],
    /// [`LlavaModel::advance`], [`LlavaModel::finish_all`], [`LlavaModel::generate`].
    pub fn answer_planned(
        &self,
        requests: &[PlannedSample<'_>],
        options: &GenerateOptions,
    ) -> Result<(Vec<SampleOutput>, StageTimings)> {
        self.answer_by(requests, options, StageClock::plain())
    }

    /// Like [`LlavaModel::answer_planned`], with timings that can be compared: the device finishes
    /// each stage before the next one starts, and choosing the first token counts towards the
    /// prefill, not towards decoding.
    ///
    /// # Errors
    /// The same, and a device that fails.
    pub fn answer_planned_timed(
        &self,
        requests: &[PlannedSample<'_>],
        options: &GenerateOptions,
    ) -> Result<(Vec<SampleOutput>, StageTimings)> {
        self.answer_by(requests, options, StageClock::synchronised(self.device())?)
    }

    fn answer_by(
        &self,
        requests: &[PlannedSample<'_>],
        options: &GenerateOptions,
        mut clock: StageClock<'_>,
    ) -> Result<(Vec<SampleOutput>, StageTimings)> {
        options.check()?;
        let mut timings = StageTimings::default();
        let sites = sites_of(requests)?;
        for request in requests {
            let num_image = request.sample.layout().num_image;
            let num_layers = self.config().text.num_layers;
            request.plan.check("the plan", num_layers, num_image)?;
        }
        let samples: Vec<Sample<'_>> = requests.iter().map(|request| request.sample).collect();
        clock.lap()?;
        let (mut branches, stages) = if sites.is_empty() {
            let branches = self.prefill(&samples)?;
            timings.prefix = clock.lap()?;
            (branches, vec![Vec::new(); samples.len()])
        } else {
            self.through_stages(requests, &sites, &mut clock, &mut timings)?
        };
        let prompt_logits = prompt_logits(&branches)?;
        clock.lap()?;
        let generations = self.generate_observed(&mut branches, options, &mut |count| {
            if count == 1 && clock.is_synchronised() {
                timings.branch += clock.lap()?;
            }
            Ok(())
        })?;
        timings.decode = clock.lap()?;
        let outputs = generations
            .into_iter()
            .zip(stages)
            .zip(prompt_logits)
            .enumerate()
            .map(
                |(index, ((generation, stages), prompt_logits))| SampleOutput {
                    generation,
                    stages,
                    prompt_logits,
                    min_margin: branches.min_margin(index),
                    kv_tokens: branches.kv_tokens_of(index).unwrap_or_default(),
                    kv_bytes: branches.kv_bytes_of(index).unwrap_or_default(),
                },
            )
            .collect();
        Ok((outputs, timings))
    }

    /// Runs samples up to their logits, dropping tokens at each of `sites`.
    fn through_stages(
        &self,
        requests: &[PlannedSample<'_>],
        sites: &[Site],
        clock: &mut StageClock<'_>,
        timings: &mut StageTimings,
    ) -> Result<(Branches, Vec<Vec<StageOutput>>)> {
        let samples: Vec<Sample<'_>> = requests.iter().map(|request| request.sample).collect();
        let (mut prefixes, mut previous) = self.first_prefixes(requests, &samples)?;
        timings.prefix = clock.lap()?;
        let mut outputs: Vec<Vec<StageOutput>> = vec![Vec::new(); requests.len()];
        for (index, &site) in sites.iter().enumerate() {
            for (at, (request, prefix)) in requests.iter().zip(&prefixes).enumerate() {
                let (outputs, stage) = (&mut outputs[at], &request.plan.stages[index]);
                let features = request.sample.features;
                let facts = SampleFacts {
                    text_ids: Some(request.sample.prompt.text_ids()),
                    ..request.facts
                };
                let behind = previous.get(at);
                let selected = self.select_stage_behind(prefix, behind, stage, features, &facts)?;
                let tokens = selected.selection.places().iter();
                outputs.push(StageOutput {
                    site,
                    places: tokens.map(|&token| prefix.places()[token]).collect(),
                    selected,
                });
            }
            timings.scoring += clock.lap()?;
            let Some(&next) = sites.get(index + 1) else {
                break;
            };
            let advances = requests
                .iter()
                .zip(&prefixes)
                .zip(&outputs)
                .map(|((request, prefix), outputs)| {
                    let selection = &outputs[index].selected.selection;
                    let layout = TokenLayout {
                        num_image: selection.len(),
                        ..*prefix.layout()
                    };
                    let stage = &request.plan.stages[index + 1];
                    Ok(Advance {
                        prefix,
                        selection,
                        positions: request.plan.positions,
                        query_rows: self.rows_for_stage(stage, &layout)?,
                    })
                })
                .collect::<Result<Vec<_>>>()?;
            (prefixes, previous) = self.advance_reading(requests, index + 1, &advances, next)?;
            timings.branch += clock.lap()?;
        }
        let endings: Vec<Ending<'_>> = requests
            .iter()
            .zip(&prefixes)
            .zip(&outputs)
            .filter_map(|((request, prefix), outputs)| {
                Some(Ending {
                    prefix,
                    selection: &outputs.last()?.selected.selection,
                    positions: request.plan.positions,
                })
            })
            .collect();
        let branches = self.finish_all(&endings)?;
        timings.branch += clock.lap()?;
        Ok((branches, outputs))
    }
}

impl LlavaModel {
    /// The prefixes of the first stage; if a selector reads the previous layer's input, also the
    /// same sequences one layer earlier.
    fn first_prefixes(
        &self,
        requests: &[PlannedSample<'_>],
        samples: &[Sample<'_>],
    ) -> Result<(Vec<Prefix>, Vec<Prefix>)> {
        let depth = requests[0].plan.stages[0].site.depth();
        let is_split = looks_behind(requests, 0) && depth > 0;
        let options = requests
            .iter()
            .map(|request| {
                let stage = &request.plan.stages[0];
                let query_rows = if is_split {
                    Vec::new()
                } else {
                    self.rows_for_stage(stage, &request.sample.layout())?
                };
                Ok(PrefixOptions {
                    depth: depth - usize::from(is_split),
                    query_rows,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let prefixes = self.prefill_prefixes(samples, &options)?;
        if !is_split {
            return Ok((prefixes, Vec::new()));
        }
        let present = self.one_layer_further(requests, 0, &prefixes)?;
        Ok((present, prefixes))
    }

    /// The prefixes of stage `index`, at `site`; otherwise as [`LlavaModel::first_prefixes`].
    fn advance_reading(
        &self,
        requests: &[PlannedSample<'_>],
        index: usize,
        advances: &[Advance<'_>],
        site: Site,
    ) -> Result<(Vec<Prefix>, Vec<Prefix>)> {
        if !looks_behind(requests, index) || site.depth() == 0 {
            return Ok((self.advance(advances, site.depth())?, Vec::new()));
        }
        let unread: Vec<Advance<'_>> = advances
            .iter()
            .map(|advance| Advance {
                query_rows: Vec::new(),
                ..advance.clone()
            })
            .collect();
        let previous = self.advance(&unread, site.depth() - 1)?;
        let present = self.one_layer_further(requests, index, &previous)?;
        Ok((present, previous))
    }

    /// Runs all tokens of prefixes through the one layer that remains before stage `index`.
    fn one_layer_further(
        &self,
        requests: &[PlannedSample<'_>],
        index: usize,
        prefixes: &[Prefix],
    ) -> Result<Vec<Prefix>> {
        let all: Vec<TokenSelection> = prefixes
            .iter()
            .map(|prefix| TokenSelection::all(prefix.layout().num_image))
            .collect();
        let advances = requests
            .iter()
            .zip(prefixes)
            .zip(&all)
            .map(|((request, prefix), selection)| {
                let stage = &request.plan.stages[index];
                Ok(Advance {
                    prefix,
                    selection,
                    positions: request.plan.positions,
                    query_rows: self.rows_for_stage(stage, prefix.layout())?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let depth = prefixes.first().map_or(0, Prefix::depth);
        self.advance(&advances, depth + 1)
    }
}

/// Whether a selector of stage `index` reads the previous layer's input.
fn looks_behind(requests: &[PlannedSample<'_>], index: usize) -> bool {
    let stages = requests
        .iter()
        .filter_map(|request| request.plan.stages.get(index));
    stages
        .into_iter()
        .any(|stage| stage.selector.needs().previous_hidden)
}

/// A sample, with the plan to answer it by.
#[derive(Debug, Clone, Copy)]
pub struct PlannedSample<'a> {
    /// Prompt and image.
    pub sample: Sample<'a>,
    /// The stages of the method.
    pub plan: &'a Plan,
    /// Facts that selectors may read.
    pub facts: SampleFacts<'a>,
}

/// The sites that all plans share.
fn sites_of(requests: &[PlannedSample<'_>]) -> Result<Vec<Site>> {
    let sites = |plan: &Plan| -> Vec<Site> { plan.stages.iter().map(|s| s.site).collect() };
    let first = requests
        .first()
        .map_or(Vec::new(), |request| sites(request.plan));
    let is_other = |request: &&PlannedSample<'_>| sites(request.plan) != first;
    match requests.iter().find(is_other) {
        None => Ok(first),
        Some(other) => Err(ModelError::InputValue {
            what: "the sites of a plan",
            found: format!("{:?}", sites(other.plan)),
            expected: format!("{first:?}, as the other plans of the batch"),
        }),
    }
}

fn prompt_logits(branches: &Branches) -> Result<Vec<Vec<f32>>> {
    (0..branches.len())
        .filter_map(|request| branches.logits(request).transpose())
        .map(|logits| logits.map(<[f32]>::to_vec))
        .collect()
}
