//! Sequences ready to be decoded: pruned branches of prefixes, or whole samples.

use std::ops::Range;

use candle_core::Tensor;
use fp_scoring::{KeptTokens, PositionRule, TokenSelection};

use crate::advance::{Batch, different_depths};
use crate::error::{ModelError, Result};
use crate::llama::{SequenceCache, total_bytes};
use crate::logits::Logits;
use crate::model::LlavaModel;
use crate::positions::Position;
use crate::prefix::{Prefix, Segments};
use crate::sample::{Sample, positions_of, steps};

/// One sequence after its prefill.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) cache: SequenceCache,
    /// Logits of the next token, or of the pending one if there is one.
    pub(crate) logits: Logits,
    /// A token that was chosen but not run yet.
    pub(crate) pending: Option<u32>,
    /// Positions of the tokens that follow.
    pub(crate) segments: Segments,
    /// Smallest distance between the two largest logits of the tokens chosen so far.
    pub(crate) min_margin: f32,
}

/// The last selection from a prefix; what it keeps runs through the remaining layers.
#[derive(Debug, Clone, Copy)]
pub struct Ending<'a> {
    /// The prefix to continue from.
    pub prefix: &'a Prefix,
    /// The tokens to keep, by index among the prefix's image tokens.
    pub selection: &'a TokenSelection,
    /// The rule for their positions.
    pub positions: PositionRule,
}

impl Ending<'_> {
    fn is_same(&self, other: &Ending<'_>) -> bool {
        std::ptr::eq(self.prefix, other.prefix)
            && self.positions == other.positions
            && self.selection == other.selection
    }
}

/// Sequences that were prefilled in one batch, to be decoded together. Requests
/// for the same kept set of the same prefix share one sequence.
#[derive(Debug)]
pub struct Branches {
    pub(crate) distinct: Vec<Branch>,
    /// For each request, its index into `distinct`.
    pub(crate) of_request: Vec<usize>,
}

impl Branches {
    /// Number of requests.
    pub fn len(&self) -> usize {
        self.of_request.len()
    }

    /// Whether nothing was requested.
    pub fn is_empty(&self) -> bool {
        self.of_request.is_empty()
    }

    /// Number of sequences that were actually run.
    pub fn num_distinct(&self) -> usize {
        self.distinct.len()
    }

    pub(crate) fn get(&self, request: usize) -> Option<&Branch> {
        self.distinct.get(*self.of_request.get(request)?)
    }

    /// Logits `[vocab]` of a request's next token; `None` past the last request. Logits on a GPU
    /// are copied to the host.
    ///
    /// # Errors
    /// A GPU that fails.
    pub fn logits(&self, request: usize) -> Result<Option<&[f32]>> {
        let branch = self.get(request);
        branch.map(|branch| branch.logits.values()).transpose()
    }

    /// Bytes of the key and value buffers that a request's sequence uses, including those that it
    /// shares.
    pub fn kv_bytes_of(&self, request: usize) -> Option<usize> {
        self.get(request).map(|branch| branch.cache.bytes())
    }

    /// Tokens cached per layer for a request.
    pub fn kv_tokens_of(&self, request: usize) -> Option<Vec<usize>> {
        self.get(request).map(|branch| branch.cache.tokens())
    }

    /// Bytes of all key and value buffers, shared ones counted once.
    pub fn kv_bytes(&self) -> usize {
        total_bytes(self.distinct.iter().map(|branch| &branch.cache))
    }
}

/// Positions of the tokens of whole sequences, and the position that follows each sequence.
struct Standings {
    positions: Vec<Position>,
    next: Vec<usize>,
}

impl Standings {
    fn of(samples: &[Sample<'_>]) -> Standings {
        let next = samples.iter().map(|sample| {
            let layout = sample.layout();
            sample.features.numbering.next(&layout, layout.num_image)
        });
        Standings {
            positions: positions_of(samples),
            next: next.collect(),
        }
    }

    /// For text without an image.
    fn of_texts(ranges: &[Range<usize>]) -> Standings {
        let positions = ranges.iter().flat_map(|range| 0..range.len());
        Standings {
            positions: positions.map(Position::line).collect(),
            next: ranges.iter().map(Range::len).collect(),
        }
    }
}

impl LlavaModel {
    /// Runs the remaining layers on each kept set of one prefix, all in one batch, with the tokens
    /// at their original positions.
    ///
    /// # Errors
    /// Those of [`LlavaModel::finish_all`].
    pub fn branch(&self, prefix: &Prefix, kept: &[KeptTokens]) -> Result<Branches> {
        let requests: Vec<_> = kept.iter().map(|kept| (prefix, kept)).collect();
        self.branch_all(&requests)
    }

    /// Like [`LlavaModel::branch`], over several prefixes of the same depth.
    ///
    /// # Errors
    /// Those of [`LlavaModel::finish_all`].
    pub fn branch_all(&self, requests: &[(&Prefix, &KeptTokens)]) -> Result<Branches> {
        let selections: Vec<TokenSelection> = requests
            .iter()
            .map(|(_, kept)| TokenSelection::from(*kept))
            .collect();
        let endings: Vec<Ending<'_>> = requests
            .iter()
            .zip(&selections)
            .map(|((prefix, _), selection)| Ending {
                prefix,
                selection,
                positions: PositionRule::Keep,
            })
            .collect();
        self.finish_all(&endings)
    }

    /// Runs the remaining layers on the tokens selected from each prefix, all in one batch.
    ///
    /// The hidden states of dropped image tokens are discarded. Kept image tokens, system and text
    /// get their positions from the rule, and the caches of these layers hold only them. A system
    /// part that already went through all layers isn't run again.
    ///
    /// # Errors
    /// Prefixes of different depths, or a selection that isn't of its prefix's tokens.
    pub fn finish_all(&self, requests: &[Ending<'_>]) -> Result<Branches> {
        let mut distinct: Vec<&Ending<'_>> = Vec::new();
        let mut of_request = Vec::with_capacity(requests.len());
        for request in requests {
            let same = distinct.iter().position(|other| request.is_same(other));
            of_request.push(same.unwrap_or(distinct.len()));
            if same.is_none() {
                distinct.push(request);
            }
        }
        let Some(first) = distinct.first() else {
            return Ok(Branches {
                distinct: Vec::new(),
                of_request,
            });
        };
        let depth = first.prefix.depth();
        if let Some(other) = distinct.iter().find(|other| other.prefix.depth() != depth) {
            return Err(different_depths(depth, other.prefix.depth()));
        }
        let num_layers = self.config().text.num_layers;
        let mut batch = Batch::default();
        let mut segments = Vec::with_capacity(distinct.len());
        for ending in &distinct {
            let (prefix, selection) = (ending.prefix, ending.selection);
            let continuation = self.continuation(prefix, selection, ending.positions, true)?;
            segments.push(continuation.segments.clone());
            batch.push(self, continuation, depth..num_layers)?;
        }
        let hidden = batch.rows()?.ok_or_else(|| ModelError::InputValue {
            what: "the rows of a prefix to be run",
            found: "none".to_owned(),
            expected: "at least one".to_owned(),
        })?;
        let hidden = self.decoder.run_to_last_rows(
            depth..num_layers,
            &hidden,
            &batch.positions,
            &mut steps(&mut batch.caches, &batch.ranges),
        )?;
        let distinct = self.finish(&hidden, batch.caches, segments)?;
        Ok(Branches {
            distinct,
            of_request,
        })
    }

    /// Runs whole samples through all layers, without pruning.
    ///
    /// # Errors
    /// Token ids outside the vocabulary.
    pub fn prefill(&self, samples: &[Sample<'_>]) -> Result<Branches> {
        if samples.is_empty() {
            return Ok(Branches {
                distinct: Vec::new(),
                of_request: Vec::new(),
            });
        }
        let (hidden, ranges) = self.embed_samples(samples)?;
        self.prefill_rows(&hidden, &ranges, &Standings::of(samples))
    }

    /// Like [`LlavaModel::prefill`], with the same result; `between` is called after layer `split`,
    /// so that the layers before and after it can be timed.
    ///
    /// # Errors
    /// The same, a layer outside 1..L, and what `between` returns.
    pub fn prefill_in_two(
        &self,
        samples: &[Sample<'_>],
        split: usize,
        between: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Branches> {
        self.check_prune_layer(split)?;
        if samples.is_empty() {
            between()?;
            return self.prefill(samples);
        }
        let (hidden, ranges) = self.embed_samples(samples)?;
        let num_layers = self.config().text.num_layers;
        let Standings { positions, next } = Standings::of(samples);
        let mut caches = self.caches(ranges.iter().map(Range::len), 0..num_layers)?;
        let mut steps = steps(&mut caches, &ranges);
        let hidden = self
            .decoder
            .run(0..split, &hidden, &positions, &mut steps, None)?;
        between()?;
        let hidden =
            self.decoder
                .run_to_last_rows(split..num_layers, &hidden, &positions, &mut steps)?;
        drop(steps);
        self.whole_sequences(&hidden, caches, &next)
    }

    /// Runs a prompt without an image through all layers.
    ///
    /// # Errors
    /// No tokens, or token ids outside the vocabulary.
    pub fn prefill_text(&self, ids: &[u32]) -> Result<Branches> {
        self.prefill_texts(&[ids])
    }

    /// Like [`LlavaModel::prefill_text`], for several prompts in one batch.
    ///
    /// # Errors
    /// The same.
    pub fn prefill_texts(&self, prompts: &[&[u32]]) -> Result<Branches> {
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(prompts.len());
        let mut start = 0;
        for ids in prompts {
            if ids.is_empty() {
                return Err(ModelError::InputValue {
                    what: "the prompt",
                    found: "empty".to_owned(),
                    expected: "at least one token".to_owned(),
                });
            }
            self.check_length(ids.len())?;
            ranges.push(start..start + ids.len());
            start += ids.len();
        }
        if prompts.is_empty() {
            return self.prefill(&[]);
        }
        let standings = Standings::of_texts(&ranges);
        self.prefill_rows(&self.decoder.embed(&prompts.concat())?, &ranges, &standings)
    }

    fn prefill_rows(
        &self,
        hidden: &Tensor,
        ranges: &[Range<usize>],
        standings: &Standings,
    ) -> Result<Branches> {
        let num_layers = self.config().text.num_layers;
        let mut caches = self.caches(ranges.iter().map(Range::len), 0..num_layers)?;
        let hidden = self.decoder.run_to_last_rows(
            0..num_layers,
            hidden,
            &standings.positions,
            &mut steps(&mut caches, ranges),
        )?;
        self.whole_sequences(&hidden, caches, &standings.next)
    }

    /// Unpruned sequences, given the layers' output for their last rows in `hidden`.
    fn whole_sequences(
        &self,
        hidden: &Tensor,
        caches: Vec<SequenceCache>,
        next: &[usize],
    ) -> Result<Branches> {
        let segments = next.iter().map(|&position| Segments::whole(position));
        let distinct = self.finish(hidden, caches, segments.collect())?;
        let of_request = (0..distinct.len()).collect();
        Ok(Branches {
            distinct,
            of_request,
        })
    }

    /// Sequences, given the layers' output for their last rows in `hidden`.
    fn finish(
        &self,
        hidden: &Tensor,
        caches: Vec<SequenceCache>,
        segments: Vec<Segments>,
    ) -> Result<Vec<Branch>> {
        let logits = self.decoder.logits(hidden)?;
        Ok(caches
            .into_iter()
            .zip(logits)
            .zip(segments)
            .map(|((mut cache, logits), segments)| {
                cache.freeze();
                Branch {
                    cache,
                    logits,
                    pending: None,
                    segments,
                    min_margin: f32::INFINITY,
                }
            })
            .collect())
    }
}
