//! Sequences ready to be decoded: pruned branches of prefixes, or whole samples.

use crate::error::{ModelError, Result};
use crate::llama::{SequenceCache, total_bytes};
use crate::model::LlavaModel;
use crate::prefix::{Prefix, kept_rows};
use crate::sample::{Sample, steps};
use candle_core::Tensor;
use fp_scoring::KeptTokens;
use std::ops::Range;

/// One sequence after its prefill.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) kept_tokens: Option<KeptTokens>,
    pub(crate) cache: SequenceCache,
    /// Of the next token, or of the pending one if there is one.
    pub(crate) logits: Vec<f32>,
    /// A token that was chosen and not run yet.
    pub(crate) pending: Option<u32>,
    /// Where the next token stands: the unpruned length plus what was decoded.
    pub(crate) next_position: usize,
    /// Smallest distance between the two largest logits of the tokens chosen so far.
    pub(crate) min_margin: f32,
}

/// Sequences that were prefilled in one batch, to be decoded together. Requests
/// for the same kept set of the same prefix share one sequence.
#[derive(Debug)]
pub struct Branches {
    pub(crate) distinct: Vec<Branch>,
    /// Index into `distinct` of each request.
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

    /// Number of sequences that were really run.
    pub fn num_distinct(&self) -> usize {
        self.distinct.len()
    }

    pub(crate) fn get(&self, request: usize) -> Option<&Branch> {
        self.distinct.get(*self.of_request.get(request)?)
    }

    /// Logits `[vocab]` of the next token of a request; `None` past the last one.
    pub fn logits(&self, request: usize) -> Option<&[f32]> {
        self.get(request).map(|branch| branch.logits.as_slice())
    }

    /// What a request kept: `None` for a whole sample, or past the last one.
    pub fn kept_tokens(&self, request: usize) -> Option<&KeptTokens> {
        self.get(request)?.kept_tokens.as_ref()
    }

    /// Bytes of the key and value buffers that a request's sequence uses, those
    /// that it shares included.
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

impl LlavaModel {
    /// Runs layers K+1..L on each kept set of one prefix, all in one batch.
    ///
    /// The hidden states of dropped image tokens are left behind; those kept,
    /// system and text go on at their original positions, and the caches of these
    /// layers hold nothing else. A system part that went through all layers before
    /// isn't run again.
    ///
    /// # Errors
    /// A kept set that isn't of this prefix's image.
    pub fn branch(&self, prefix: &Prefix, kept: &[KeptTokens]) -> Result<Branches> {
        let requests: Vec<_> = kept.iter().map(|kept| (prefix, kept)).collect();
        self.branch_all(&requests)
    }

    /// As [`LlavaModel::branch`], over several prefixes of the same K.
    ///
    /// # Errors
    /// As there, and prefixes of different K.
    pub fn branch_all(&self, requests: &[(&Prefix, &KeptTokens)]) -> Result<Branches> {
        let mut distinct: Vec<(&Prefix, &KeptTokens)> = Vec::new();
        let mut of_request = Vec::with_capacity(requests.len());
        for (prefix, kept) in requests {
            let same = distinct
                .iter()
                .position(|(p, k)| std::ptr::eq(*p, *prefix) && k == kept);
            of_request.push(same.unwrap_or(distinct.len()));
            if same.is_none() {
                distinct.push((prefix, kept));
            }
        }
        let Some((first, _)) = distinct.first() else {
            return Ok(Branches {
                distinct: Vec::new(),
                of_request,
            });
        };
        let prune_layer = first.prune_layer();
        if let Some((other, _)) = distinct
            .iter()
            .find(|(prefix, _)| prefix.prune_layer() != prune_layer)
        {
            return Err(ModelError::InputValue {
                what: "K of a prefix",
                found: other.prune_layer().to_string(),
                expected: format!("{prune_layer}, as the other prefixes of the batch"),
            });
        }

        let num_layers = self.config().text.num_layers;
        let (mut hidden, mut positions) = (Vec::new(), Vec::new());
        let (mut caches, mut ranges): (Vec<SequenceCache>, Vec<Range<usize>>) =
            (Vec::new(), Vec::new());
        for (prefix, kept) in &distinct {
            let mut rows = original_positions(prefix, kept)?;
            let mut cache = prefix.cache.share();
            match prefix.num_tokens_after_k()? {
                // Some row has to be run for there to be logits.
                cached if cached == rows.len() => cache = prefix.cache.share_up_to(prune_layer),
                cached => drop(rows.drain(..cached)),
            }
            hidden.push(kept_rows(prefix, &rows)?);
            self.decoder
                .reserve(&mut cache, prune_layer..num_layers, rows.len())?;
            caches.push(cache);
            ranges.push(positions.len()..positions.len() + rows.len());
            positions.extend(rows);
        }
        let hidden = Tensor::cat(&hidden, 0)?;
        let hidden = self.decoder.run_to_last_rows(
            prune_layer..num_layers,
            &hidden,
            &positions,
            &mut steps(&mut caches, &ranges),
        )?;
        let details = distinct
            .iter()
            .map(|(prefix, kept)| (Some((*kept).clone()), prefix.layout().sequence_len()));
        let distinct = self.finish(&hidden, caches, details)?;
        Ok(Branches {
            distinct,
            of_request,
        })
    }

    /// Runs whole samples through all layers: no pruning.
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
        self.prefill_rows(&hidden, &ranges)
    }

    /// As [`LlavaModel::prefill`], and gives the same; `between` is called after layer
    /// `split`, so that the layers before and after it can be timed.
    ///
    /// # Errors
    /// As there, a layer outside 1..L, and what `between` returns.
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
        let positions: Vec<usize> = ranges.iter().flat_map(|range| 0..range.len()).collect();
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
        self.whole_sequences(&hidden, caches, &ranges)
    }

    /// Runs a prompt without an image through all layers.
    ///
    /// # Errors
    /// No tokens, or token ids outside the vocabulary.
    pub fn prefill_text(&self, ids: &[u32]) -> Result<Branches> {
        self.prefill_texts(&[ids])
    }

    /// As [`LlavaModel::prefill_text`], for several prompts in one batch.
    ///
    /// # Errors
    /// As there.
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
        self.prefill_rows(&self.decoder.embed(&prompts.concat())?, &ranges)
    }

    fn prefill_rows(&self, hidden: &Tensor, ranges: &[Range<usize>]) -> Result<Branches> {
        let num_layers = self.config().text.num_layers;
        let positions: Vec<usize> = ranges.iter().flat_map(|range| 0..range.len()).collect();
        let mut caches = self.caches(ranges.iter().map(Range::len), 0..num_layers)?;
        let hidden = self.decoder.run_to_last_rows(
            0..num_layers,
            hidden,
            &positions,
            &mut steps(&mut caches, ranges),
        )?;
        self.whole_sequences(&hidden, caches, ranges)
    }

    /// Unpruned sequences whose last rows came out of the layers as `hidden`.
    fn whole_sequences(
        &self,
        hidden: &Tensor,
        caches: Vec<SequenceCache>,
        ranges: &[Range<usize>],
    ) -> Result<Branches> {
        let details = ranges.iter().map(|range| (None, range.len()));
        let distinct = self.finish(hidden, caches, details)?;
        let of_request = (0..distinct.len()).collect();
        Ok(Branches {
            distinct,
            of_request,
        })
    }

    /// Sequences whose last rows came out of the layers as `hidden`.
    fn finish(
        &self,
        hidden: &Tensor,
        caches: Vec<SequenceCache>,
        details: impl Iterator<Item = (Option<KeptTokens>, usize)>,
    ) -> Result<Vec<Branch>> {
        let logits = self.decoder.logits(hidden)?;
        Ok(caches
            .into_iter()
            .zip(logits)
            .zip(details)
            .map(|((mut cache, logits), (kept_tokens, next_position))| {
                cache.freeze();
                Branch {
                    kept_tokens,
                    cache,
                    logits,
                    pending: None,
                    next_position,
                    min_margin: f32::INFINITY,
                }
            })
            .collect())
    }
}

/// Positions of system, kept image tokens and text.
fn original_positions(prefix: &Prefix, kept: &KeptTokens) -> Result<Vec<usize>> {
    let layout = prefix.layout();
    if let Some(&last) = kept
        .as_slice()
        .last()
        .filter(|last| **last >= layout.num_image)
    {
        return Err(ModelError::InputValue {
            what: "a kept token",
            found: last.to_string(),
            expected: format!("below this image's {} tokens", layout.num_image),
        });
    }
    let image = kept
        .as_slice()
        .iter()
        .map(|token| layout.num_system + token);
    Ok((0..layout.num_system)
        .chain(image)
        .chain(layout.text_range())
        .collect())
}
