//! One run of a schedule alone, timed stage by stage from the pixels to the last token.

use fp_model::{GenerateOptions, LlavaModel, ModelError, Prefix, PrefixOptions, Sample};
use fp_scoring::KeptTokens;

use super::input::Input;
use super::plan::{Plan, Schedule, ScoringMethod};
use crate::study::StopWatch;

/// Seconds by stage. The device finishes each stage before the next one starts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct StageSeconds {
    /// Vision tower and projector.
    pub(super) vision: f64,
    /// Layers 1..K, including the attention rows that scoring reads.
    pub(super) prefix: f64,
    /// Scoring and selection.
    pub(super) scoring: f64,
    /// Layers K+1..L, the LM head, and choosing the first token.
    pub(super) suffix: f64,
    /// From the first token to the last.
    pub(super) decode: f64,
}

impl StageSeconds {
    /// Seconds of the decoder until the first token.
    pub(super) fn prefill(&self) -> f64 {
        self.prefix + self.scoring + self.suffix
    }

    /// Seconds from the pixels to the first token.
    pub(super) fn first_token(&self) -> f64 {
        self.vision + self.prefill()
    }

    /// Seconds from the pixels to the last token.
    pub(super) fn total(&self) -> f64 {
        self.first_token() + self.decode
    }
}

/// Times and results of one run.
#[derive(Debug, Clone)]
pub(super) struct Passed {
    pub(super) seconds: StageSeconds,
    /// Bytes of the first sample's key and value buffers after the prefill.
    pub(super) kv_bytes: usize,
    /// The first sample's kept tokens; `None` if nothing is pruned.
    pub(super) kept: Option<KeptTokens>,
    /// The first sample's tokens.
    pub(super) tokens: Vec<u32>,
}

/// Runs `batch` copies of the input as one batch, each with its own image and prefill, without
/// sharing.
pub(super) fn pass(
    model: &LlavaModel,
    input: &Input,
    plan: &Plan,
    schedule: &Schedule,
    batch: usize,
) -> Result<Passed, ModelError> {
    let mut seconds = StageSeconds::default();
    let mut watch = Watch::start(model)?;
    let features = (0..batch)
        .map(|_| input.features(model))
        .collect::<Result<Vec<_>, _>>()?;
    seconds.vision = watch.lap()?;
    let samples: Vec<Sample<'_>> = features
        .iter()
        .map(|features| Sample {
            prompt: input.prompt(),
            features,
        })
        .collect();
    let (mut branches, kept) = if schedule.is_pruned {
        let method = plan.methods.first().filter(|_| schedule.is_scored);
        let query_rows = match method {
            Some(method) => method.query_strategy.rows_needed(&plan.layout)?,
            None => Vec::new(),
        };
        let options = PrefixOptions {
            depth: plan.prune_layer,
            query_rows,
        };
        let prefixes = model.prefill_prefixes(&samples, &vec![options; batch])?;
        seconds.prefix = watch.lap()?;
        let kept = prefixes
            .iter()
            .map(|prefix| match method {
                Some(method) => select(prefix, plan, method, schedule.kept),
                None => Ok(KeptTokens::new(Vec::new(), plan.layout.num_image)?),
            })
            .collect::<Result<Vec<_>, _>>()?;
        if method.is_some() {
            seconds.scoring = watch.lap()?;
        }
        let requests: Vec<(&Prefix, &KeptTokens)> = prefixes.iter().zip(&kept).collect();
        (model.branch_all(&requests)?, kept.into_iter().next())
    } else {
        let branches = model.prefill_in_two(&samples, plan.prune_layer, &mut || {
            seconds.prefix = watch.lap()?;
            Ok(())
        })?;
        (branches, None)
    };
    let kv_bytes = branches.kv_bytes_of(0).unwrap_or_default();
    let options = GenerateOptions::forced(plan.settings.new_tokens);
    let generations = model.generate_observed(&mut branches, &options, &mut |count| {
        if count == 1 {
            seconds.suffix = watch.lap()?;
        }
        Ok(())
    })?;
    seconds.decode = watch.lap()?;
    let first = generations.into_iter().next();
    Ok(Passed {
        seconds,
        kv_bytes,
        kept,
        tokens: first.map_or(Vec::new(), |generation| generation.token_ids),
    })
}

/// The tokens that a method keeps of a prefix with the rows that it reads.
pub(super) fn select(
    prefix: &Prefix,
    plan: &Plan,
    method: &ScoringMethod,
    kept: usize,
) -> Result<KeptTokens, ModelError> {
    let options = plan.select_options(method, kept);
    let selection = prefix.select(method.head_strategy, method.query_strategy, &options)?;
    Ok(selection.kept_tokens)
}

/// Times consecutive stages, waiting for the device at the end of each.
pub(super) struct Watch<'a> {
    model: &'a LlavaModel,
    watch: StopWatch,
}

impl<'a> Watch<'a> {
    pub(super) fn start(model: &'a LlavaModel) -> Result<Watch<'a>, ModelError> {
        model.device().synchronize()?;
        Ok(Watch {
            model,
            watch: StopWatch::start(),
        })
    }

    /// Seconds since the start or the last call.
    pub(super) fn lap(&mut self) -> Result<f64, ModelError> {
        self.model.device().synchronize()?;
        Ok(self.watch.lap())
    }
}
