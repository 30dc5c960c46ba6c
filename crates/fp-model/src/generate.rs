//! Decoding, greedy or sampled, of any number of sequences together.

use crate::branch::{Branch, Branches};
use crate::error::{ModelError, Result};
use crate::llama::Step;
use crate::model::LlavaModel;
use crate::positions::Position;
use crate::sampling::{Sampler, Sampling};

/// Largest number of tokens that one call may request.
pub const MOST_NEW_TOKENS: usize = 1 << 20;

/// How tokens are decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// Largest number of new tokens per sequence.
    pub max_new_tokens: usize,
    /// Tokens that end a sequence; they are not part of it.
    pub stop_tokens: Vec<u32>,
    /// How each token is chosen.
    pub sampling: Sampling,
}

/// Why a sequence ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// A stop token was chosen.
    Stop,
    /// `max_new_tokens` tokens were decoded.
    Length,
}

/// The tokens decoded for one sequence.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Generation {
    /// The new tokens, without the stop token.
    pub token_ids: Vec<u32>,
    /// Why decoding ended.
    pub finish_reason: FinishReason,
}

/// A sequence that is being decoded.
struct Running<'a> {
    branch: &'a mut Branch,
    sampler: Sampler,
    generation: Generation,
    done: bool,
}

impl LlavaModel {
    /// Decodes all sequences together; one [`Generation`] per request. A second
    /// call continues where the first one ended.
    ///
    /// Memory for the keys and values of `max_new_tokens` tokens per sequence is reserved first, in
    /// all layers.
    ///
    /// # Errors
    /// Invalid options, or logits that aren't finite.
    pub fn generate(
        &self,
        branches: &mut Branches,
        options: &GenerateOptions,
    ) -> Result<Vec<Generation>> {
        self.generate_observed(branches, options, &mut |_| Ok(()))
    }

    /// Like [`LlavaModel::generate`]; `observer` is called with the number of tokens decoded so
    /// far, each time another token of every sequence has been chosen. It is first called when the
    /// first token is known.
    ///
    /// # Errors
    /// The same, and what `observer` returns.
    pub fn generate_observed(
        &self,
        branches: &mut Branches,
        options: &GenerateOptions,
        observer: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Vec<Generation>> {
        options.check()?;
        let num_layers = self.config().text.num_layers;
        let mut running = Vec::with_capacity(branches.distinct.len());
        for branch in &mut branches.distinct {
            self.check_length(branch.segments.furthest() + options.max_new_tokens)?;
            self.decoder
                .reserve(&mut branch.cache, 0..num_layers, options.max_new_tokens)?;
            running.push(Running {
                branch,
                // Every sequence samples from a generator of its own, independent of the rest of
                // the batch.
                sampler: Sampler::new(&options.sampling)?,
                generation: Generation {
                    token_ids: Vec::new(),
                    finish_reason: FinishReason::Length,
                },
                done: false,
            });
        }
        for step in 0..options.max_new_tokens {
            self.run_pending(&mut running)?;
            for sequence in running.iter_mut().filter(|sequence| !sequence.done) {
                sequence.choose(options)?;
            }
            observer(step + 1)?;
        }
        let generations: Vec<Generation> = running
            .into_iter()
            .map(|running| running.generation)
            .collect();
        Ok(branches
            .of_request
            .iter()
            .filter_map(|&index| generations.get(index).cloned())
            .collect())
    }

    /// Runs the model on the most recently chosen tokens.
    fn run_pending(&self, running: &mut [Running<'_>]) -> Result<()> {
        let mut tokens = Vec::new();
        let mut active = Vec::new();
        for sequence in running.iter_mut().filter(|sequence| !sequence.done) {
            if let Some(token) = sequence.branch.pending.take() {
                tokens.push(token);
                active.push(sequence);
            }
        }
        if tokens.is_empty() {
            return Ok(());
        }
        let mut hidden = self.decoder.embed(&tokens)?;
        let num_layers = self.config().text.num_layers;
        // Between two of these bounds, all layers have the same position for a sequence.
        let starts = active.iter().flat_map(|s| s.branch.segments.starts());
        let mut bounds: Vec<usize> = starts.chain([num_layers]).collect();
        bounds.sort_unstable();
        bounds.dedup();
        for piece in bounds.windows(2) {
            let positions: Vec<Position> = active
                .iter()
                .map(|sequence| Position::line(sequence.branch.segments.position(piece[0])))
                .collect();
            let mut steps: Vec<Step<'_>> = active
                .iter_mut()
                .enumerate()
                .map(|(row, sequence)| Step {
                    rows: row..row + 1,
                    cache: &mut sequence.branch.cache,
                })
                .collect();
            let layers = piece[0]..piece[1];
            hidden = self
                .decoder
                .run(layers, &hidden, &positions, &mut steps, None)?;
        }
        let logits = self.decoder.logits(&hidden)?;
        for (sequence, logits) in active.into_iter().zip(logits) {
            sequence.branch.logits = logits;
            sequence.branch.segments.advance();
        }
        Ok(())
    }
}

impl Running<'_> {
    /// Chooses the next token. The token is run only when another one is requested, so the last
    /// token's own logits are never computed.
    fn choose(&mut self, options: &GenerateOptions) -> Result<()> {
        let token = self.sampler.choose(&self.branch.logits)?;
        self.branch.min_margin = self.branch.min_margin.min(self.branch.logits.margin());
        if options.stop_tokens.contains(&token) {
            self.generation.finish_reason = FinishReason::Stop;
            self.done = true;
        } else {
            self.generation.token_ids.push(token);
            self.branch.pending = Some(token);
        }
        Ok(())
    }
}

impl GenerateOptions {
    /// Greedy decoding of at most `max_new_tokens`, ending at the stop tokens of `model`'s config.
    pub fn greedy(model: &LlavaModel, max_new_tokens: usize) -> GenerateOptions {
        GenerateOptions {
            max_new_tokens,
            stop_tokens: model.config().eos_tokens.clone(),
            sampling: Sampling::Greedy,
        }
    }

    /// Greedy decoding of exactly `num_tokens` tokens without stop tokens, so that timed runs have
    /// equal lengths.
    pub fn forced(num_tokens: usize) -> GenerateOptions {
        GenerateOptions {
            max_new_tokens: num_tokens,
            stop_tokens: Vec::new(),
            sampling: Sampling::Greedy,
        }
    }

    /// Refuses invalid values.
    ///
    /// # Errors
    /// Invalid sampling parameters, or more than [`MOST_NEW_TOKENS`] tokens.
    pub fn check(&self) -> Result<(), ModelError> {
        if self.max_new_tokens > MOST_NEW_TOKENS {
            return Err(ModelError::InputValue {
                what: "the number of tokens to decode",
                found: self.max_new_tokens.to_string(),
                expected: format!("at most {MOST_NEW_TOKENS}; room for all of them is reserved"),
            });
        }
        Sampler::new(&self.sampling).map(|_| ())
    }
}
