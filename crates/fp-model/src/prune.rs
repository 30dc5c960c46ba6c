//! Samples from prompt to answer under a pruning configuration.

use crate::branch::Branches;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::generate::{GenerateOptions, Generation};
use crate::model::LlavaModel;
use crate::prefix::{Prefix, PrefixOptions};
use crate::sample::Sample;
use fp_scoring::{KeptTokens, PruneConfig, SelectOptions, Selection, TokenLayout};
use std::time::{Duration, Instant};

/// What became of one sample.
#[derive(Debug, Clone)]
pub struct SampleOutput {
    /// The answer's tokens.
    pub generation: Generation,
    /// What was kept and why; `None` without pruning.
    pub selection: Option<Selection>,
    /// Logits `[vocab]` at the prompt's last position.
    pub prompt_logits: Vec<f32>,
    /// As [`Branches::min_margin`].
    pub min_margin: Option<f32>,
    /// Tokens cached per layer at the end.
    pub kv_tokens: Vec<usize>,
    /// Bytes of the key and value buffers, room for tokens that didn't come included.
    pub kv_bytes: usize,
}

/// How long the stages of a batch took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimings {
    /// Layers 1..K; everything up to the logits if nothing is pruned.
    pub prefix: Duration,
    /// Scoring and selection.
    pub scoring: Duration,
    /// Layers K+1..L.
    pub branch: Duration,
    /// Decoding.
    pub decode: Duration,
}

impl ModelConfig {
    /// Checks, before any work, that `prune` can be done to an image of
    /// `num_image_tokens`.
    ///
    /// # Errors
    /// A budget or head count that can't be met, or K outside 1..L.
    pub fn check_pruning(&self, prune: &PruneConfig, num_image_tokens: usize) -> Result<()> {
        let num_layers = self.text.num_layers;
        prune
            .budget
            .kept(num_image_tokens, num_layers, prune.prune_layer)?;
        prune.num_selected_heads.resolve(self.text.num_heads)?;
        Ok(())
    }
}

impl LlavaModel {
    /// Where a prefix must end, and which rows must be read, for `config`.
    ///
    /// # Errors
    /// A layout that the query strategy finds nothing to look from in.
    pub fn prefix_options(
        &self,
        layout: &TokenLayout,
        config: &PruneConfig,
    ) -> Result<PrefixOptions> {
        Ok(PrefixOptions {
            prune_layer: config.prune_layer,
            query_rows: config.query_strategy.rows_needed(layout)?,
        })
    }

    /// Chooses the image tokens that `config` keeps of a prefix.
    ///
    /// # Errors
    /// An impossible budget or head count, or attention that can't be scored.
    pub fn select(&self, prefix: &Prefix, config: &PruneConfig) -> Result<Selection> {
        let num_layers = self.config().text.num_layers;
        let kept = config
            .budget
            .kept(prefix.layout().num_image, num_layers, config.prune_layer)?;
        let options = SelectOptions {
            normalization: config.normalization,
            num_selected_heads: config.num_selected_heads,
            kept,
            allow_degenerate: config.allow_degenerate,
        };
        prefix.select(config.head_strategy, config.query_strategy, &options)
    }

    /// Runs samples from prompt to answer in one batch, with pruning or without.
    /// Each one's result is what it would be alone.
    ///
    /// # Errors
    /// As the stages: [`LlavaModel::prefill_prefix`], [`LlavaModel::select`],
    /// [`LlavaModel::branch`], [`LlavaModel::generate`].
    pub fn answer(
        &self,
        samples: &[Sample<'_>],
        prune: Option<&PruneConfig>,
        options: &GenerateOptions,
    ) -> Result<(Vec<SampleOutput>, StageTimings)> {
        options.check()?;
        let mut timings = StageTimings::default();
        let start = Instant::now();
        let (mut branches, selections) = match prune {
            None => {
                let branches = self.prefill(samples)?;
                timings.prefix = start.elapsed();
                (branches, vec![None; samples.len()])
            }
            Some(config) => {
                for sample in samples {
                    self.config()
                        .check_pruning(config, sample.layout().num_image)?;
                }
                let prefix_options = samples
                    .iter()
                    .map(|sample| self.prefix_options(&sample.layout(), config))
                    .collect::<Result<Vec<_>>>()?;
                let prefixes = self.prefill_prefixes(samples, &prefix_options)?;
                timings.prefix = start.elapsed();
                let start = Instant::now();
                let selections = prefixes
                    .iter()
                    .map(|prefix| self.select(prefix, config))
                    .collect::<Result<Vec<_>>>()?;
                timings.scoring = start.elapsed();
                let start = Instant::now();
                let requests: Vec<(&Prefix, &KeptTokens)> = prefixes
                    .iter()
                    .zip(&selections)
                    .map(|(prefix, selection)| (prefix, &selection.kept_tokens))
                    .collect();
                let branches = self.branch_all(&requests)?;
                timings.branch = start.elapsed();
                (branches, selections.into_iter().map(Some).collect())
            }
        };
        let prompt_logits = prompt_logits(&branches);
        let start = Instant::now();
        let generations = self.generate(&mut branches, options)?;
        timings.decode = start.elapsed();
        let outputs = generations
            .into_iter()
            .zip(selections)
            .zip(prompt_logits)
            .enumerate()
            .map(
                |(index, ((generation, selection), prompt_logits))| SampleOutput {
                    generation,
                    selection,
                    prompt_logits,
                    min_margin: branches.min_margin(index),
                    kv_tokens: branches.kv_tokens_of(index).unwrap_or_default(),
                    kv_bytes: branches.kv_bytes_of(index).unwrap_or_default(),
                },
            )
            .collect();
        Ok((outputs, timings))
    }
}

fn prompt_logits(branches: &Branches) -> Vec<Vec<f32>> {
    (0..branches.len())
        .filter_map(|request| branches.logits(request).map(<[f32]>::to_vec))
        .collect()
}
