//! What all branches of a sample share: the sequence up to the end of layer K.

use crate::error::{ModelError, Result};
use crate::llama::{SequenceCache, Step};
use crate::model::{ImageFeatures, LlavaModel};
use crate::ops::gather_rows;
use crate::prompt::EncodedPrompt;
use candle_core::Tensor;
use fp_scoring::{AttentionRows, TokenLayout};
use std::ops::Range;

/// Where a prefix ends and what is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixOptions {
    /// K, counted from 1: the prefix runs through this layer, and this layer's
    /// attention is read.
    pub prune_layer: usize,
    /// Rows of the sequence whose attention to the image is read, ascending. Rows
    /// before the image can't be asked for: they see nothing of it.
    pub query_rows: Vec<usize>,
}

/// A sample after layers 1..K.
#[derive(Debug)]
pub struct Prefix {
    /// Output of layer K, `[S, D]`.
    pub(crate) hidden: Tensor,
    /// Keys and values of layers 1..K, frozen.
    pub(crate) cache: SequenceCache,
    attention: Vec<f32>,
    rows: Vec<usize>,
    num_heads: usize,
    layout: TokenLayout,
    prune_layer: usize,
}

impl Prefix {
    /// Where system, image and text stand.
    pub fn layout(&self) -> &TokenLayout {
        &self.layout
    }

    /// K.
    pub fn prune_layer(&self) -> usize {
        self.prune_layer
    }

    /// Output of layer K, `[S, D]`.
    pub fn hidden_states(&self) -> &Tensor {
        &self.hidden
    }

    /// Layer K's attention `[H, Q, N]` of the rows that were asked for to the
    /// image, the softmax taken over the whole causal row.
    pub fn image_attention_rows(&self) -> &[f32] {
        &self.attention
    }

    /// The rows that were asked for.
    pub fn query_rows(&self) -> &[usize] {
        &self.rows
    }

    /// The attention in the form that scoring takes.
    ///
    /// # Errors
    /// None that a prefix made by a model gives rise to.
    pub fn attention(&self) -> Result<AttentionRows<'_, f32>> {
        let rows = AttentionRows::causal(&self.attention, &self.rows, self.num_heads, self.layout)?;
        Ok(rows.with_layer(self.prune_layer))
    }

    /// Bytes of keys and values that the prefix holds.
    pub fn kv_bytes(&self) -> usize {
        self.cache.bytes()
    }
}

/// The part of a prefix that doesn't depend on the question: system and image
/// after layers 1..K.
#[derive(Debug)]
pub struct ImagePrefix {
    hidden: Tensor,
    cache: SequenceCache,
    /// Layer K's rotated queries, for strategies whose window reaches into the image.
    queries: Tensor,
    system_ids: Vec<u32>,
    num_image: usize,
    prune_layer: usize,
}

impl ImagePrefix {
    /// Tokens before and of the image.
    pub fn num_tokens(&self) -> usize {
        self.system_ids.len() + self.num_image
    }

    /// K.
    pub fn prune_layer(&self) -> usize {
        self.prune_layer
    }
}

/// A sample to be run: its prompt and its image.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The prompt, the image being one id in it.
    pub prompt: &'a EncodedPrompt,
    /// The image's features.
    pub features: &'a ImageFeatures,
}

impl Sample<'_> {
    /// Where system, image and text stand.
    pub fn layout(&self) -> TokenLayout {
        TokenLayout {
            num_system: self.prompt.num_system(),
            num_image: self.features.num_tokens(),
            num_text: self.prompt.num_text(),
        }
    }
}

impl LlavaModel {
    /// Runs a sample through layers 1..K.
    ///
    /// # Errors
    /// K outside 1..L, rows outside image and text, token ids outside the
    /// vocabulary, a prompt that is nothing but an image.
    pub fn prefill_prefix(
        &self,
        prompt: &EncodedPrompt,
        features: &ImageFeatures,
        options: &PrefixOptions,
    ) -> Result<Prefix> {
        let mut prefixes = self.prefill_prefixes(
            &[Sample { prompt, features }],
            std::slice::from_ref(options),
        )?;
        prefixes.pop().ok_or(ModelError::InputValue {
            what: "the number of samples",
            found: "0".to_owned(),
            expected: "1".to_owned(),
        })
    }

    /// As [`LlavaModel::prefill_prefix`], for several samples at once with one
    /// `options` each, which must agree on K. Gives what single runs give.
    ///
    /// # Errors
    /// As there.
    pub fn prefill_prefixes(
        &self,
        samples: &[Sample<'_>],
        options: &[PrefixOptions],
    ) -> Result<Vec<Prefix>> {
        let Some(prune_layer) = options.first().map(|options| options.prune_layer) else {
            return Ok(Vec::new());
        };
        if samples.len() != options.len()
            || options
                .iter()
                .any(|options| options.prune_layer != prune_layer)
        {
            return Err(ModelError::InputValue {
                what: "prefix options",
                found: format!(
                    "{} for {} samples, or of different K",
                    options.len(),
                    samples.len()
                ),
                expected: "one per sample, all with the same K".to_owned(),
            });
        }
        self.check_prune_layer(prune_layer)?;
        let layouts: Vec<TokenLayout> = samples.iter().map(Sample::layout).collect();
        for (layout, options) in layouts.iter().zip(options) {
            check_rows(layout, &options.query_rows)?;
        }
        let (hidden, ranges) = self.embed_samples(samples)?;
        let positions: Vec<usize> = ranges.iter().flat_map(|range| 0..range.len()).collect();
        let mut caches = self.caches(ranges.iter().map(Range::len), 0..prune_layer)?;
        let mut attention = Vec::new();
        let mut steps = steps(&mut caches, &ranges);
        let hidden = self.decoder.run(
            0..prune_layer,
            &hidden,
            &positions,
            &mut steps,
            Some(&mut |view, steps| {
                for ((step, layout), options) in steps.iter().zip(&layouts).zip(options) {
                    let rows: Vec<usize> = options
                        .query_rows
                        .iter()
                        .map(|row| row + step.rows.start)
                        .collect();
                    attention.push(view.attention_rows(step, &rows, layout.image_range())?);
                }
                Ok(())
            }),
        )?;
        let mut prefixes = Vec::with_capacity(samples.len());
        for ((((range, mut cache), attention), layout), options) in ranges
            .into_iter()
            .zip(caches)
            .zip(attention)
            .zip(layouts)
            .zip(options)
        {
            cache.freeze();
            prefixes.push(Prefix {
                hidden: hidden.narrow(0, range.start, range.len())?,
                cache,
                attention,
                rows: options.query_rows.clone(),
                num_heads: self.config().text.num_heads,
                layout,
                prune_layer,
            });
        }
        Ok(prefixes)
    }

    /// Runs system and image through layers 1..K, for any number of questions.
    ///
    /// # Errors
    /// K outside 1..L, or token ids outside the vocabulary.
    pub fn prefill_image(
        &self,
        system_ids: &[u32],
        features: &ImageFeatures,
        prune_layer: usize,
    ) -> Result<ImagePrefix> {
        self.check_prune_layer(prune_layer)?;
        let hidden = match system_ids {
            [] => features.embeds().clone(),
            ids => Tensor::cat(&[&self.decoder.embed(ids)?, features.embeds()], 0)?,
        };
        let len = hidden.dim(0)?;
        self.check_length(len)?;
        let positions: Vec<usize> = (0..len).collect();
        let mut caches = self.caches([len], 0..prune_layer)?;
        let mut queries = None;
        let text = &self.config().text;
        let width = text.num_heads * text.head_dim();
        let hidden = self.decoder.run(
            0..prune_layer,
            &hidden,
            &positions,
            &mut steps(&mut caches, std::slice::from_ref(&(0..len))),
            Some(&mut |view, _| {
                queries = Some(view.projected.narrow(1, 0, width)?.contiguous()?);
                Ok(())
            }),
        )?;
        let (Some(mut cache), Some(queries)) = (caches.pop(), queries) else {
            return Err(no_layers());
        };
        cache.freeze();
        Ok(ImagePrefix {
            hidden,
            cache,
            queries,
            system_ids: system_ids.to_vec(),
            num_image: features.num_tokens(),
            prune_layer,
        })
    }

    /// As [`LlavaModel::prefill_prefix`], going on from a shared [`ImagePrefix`].
    ///
    /// # Errors
    /// As there, and a prompt that begins otherwise than the shared part.
    pub fn prefill_question(
        &self,
        image: &ImagePrefix,
        prompt: &EncodedPrompt,
        query_rows: &[usize],
    ) -> Result<Prefix> {
        if prompt.system_ids() != image.system_ids
            || prompt.image_position != image.system_ids.len()
        {
            return Err(ModelError::InputValue {
                what: "the prompt's beginning",
                found: format!("{} tokens that differ", prompt.num_system()),
                expected: format!("the {} tokens of the shared part", image.system_ids.len()),
            });
        }
        let layout = TokenLayout {
            num_system: image.system_ids.len(),
            num_image: image.num_image,
            num_text: prompt.num_text(),
        };
        self.check_length(layout.sequence_len())?;
        check_rows(&layout, query_rows)?;
        let shared = image.num_tokens();
        let split = query_rows.partition_point(|&row| row < shared);
        let (early, late) = query_rows.split_at(split);
        let last_layer = image.prune_layer - 1;

        let early_attention = match early {
            [] => Vec::new(),
            rows => {
                let mut cache = image.cache.share();
                let step = Step {
                    rows: 0..shared,
                    cache: &mut cache,
                };
                let view = self.decoder.view(last_layer, &image.queries)?;
                view.attention_rows(&step, rows, layout.image_range())?
            }
        };
        let mut cache = image.cache.share();
        let (hidden, late_attention) = match prompt.text_ids() {
            [] => (image.hidden.clone(), Vec::new()),
            ids => {
                self.decoder
                    .reserve(&mut cache, 0..image.prune_layer, ids.len())?;
                let positions: Vec<usize> = (shared..shared + ids.len()).collect();
                let mut attention = Vec::new();
                let text = self.decoder.run(
                    0..image.prune_layer,
                    &self.decoder.embed(ids)?,
                    &positions,
                    &mut [Step {
                        rows: 0..ids.len(),
                        cache: &mut cache,
                    }],
                    Some(&mut |view, steps| {
                        let rows: Vec<usize> = late.iter().map(|row| row - shared).collect();
                        if let Some(step) = steps.first() {
                            attention = view.attention_rows(step, &rows, layout.image_range())?;
                        }
                        Ok(())
                    }),
                )?;
                (Tensor::cat(&[&image.hidden, &text], 0)?, attention)
            }
        };
        cache.freeze();
        let num_heads = self.config().text.num_heads;
        Ok(Prefix {
            hidden,
            cache,
            attention: interleave_heads(&early_attention, &late_attention, num_heads),
            rows: query_rows.to_vec(),
            num_heads,
            layout,
            prune_layer: image.prune_layer,
        })
    }

    /// Embeddings of samples one after the other, and each one's rows.
    pub(crate) fn embed_samples(
        &self,
        samples: &[Sample<'_>],
    ) -> Result<(Tensor, Vec<Range<usize>>)> {
        let mut parts = Vec::new();
        let mut ranges = Vec::with_capacity(samples.len());
        let mut start = 0;
        for sample in samples {
            let prompt = sample.prompt;
            if prompt.image_position >= prompt.input_ids.len() {
                return Err(ModelError::InputValue {
                    what: "the image's position",
                    found: prompt.image_position.to_string(),
                    expected: format!("below the prompt's length {}", prompt.input_ids.len()),
                });
            }
            if !prompt.system_ids().is_empty() {
                parts.push(self.decoder.embed(prompt.system_ids())?);
            }
            parts.push(sample.features.embeds().clone());
            if !prompt.text_ids().is_empty() {
                parts.push(self.decoder.embed(prompt.text_ids())?);
            }
            let len = sample.layout().sequence_len();
            self.check_length(len)?;
            ranges.push(start..start + len);
            start += len;
        }
        Ok((Tensor::cat(&parts, 0)?, ranges))
    }

    /// Caches with room for `lens` tokens in `layers`.
    pub(crate) fn caches(
        &self,
        lens: impl IntoIterator<Item = usize>,
        layers: Range<usize>,
    ) -> Result<Vec<SequenceCache>> {
        lens.into_iter()
            .map(|len| {
                let mut cache = SequenceCache::new(self.config().text.num_layers);
                self.decoder.reserve(&mut cache, layers.clone(), len)?;
                Ok(cache)
            })
            .collect()
    }

    /// A sequence that a sliding window would cut can't be run.
    pub(crate) fn check_length(&self, len: usize) -> Result<()> {
        match self.config().text.sliding_window {
            Some(window) if len > window => Err(ModelError::InputValue {
                what: "the sequence's length",
                found: len.to_string(),
                expected: format!("at most the model's attention window of {window}"),
            }),
            _ => Ok(()),
        }
    }

    fn check_prune_layer(&self, prune_layer: usize) -> Result<()> {
        let num_layers = self.config().text.num_layers;
        match prune_layer == 0 || prune_layer >= num_layers {
            true => Err(fp_scoring::BudgetError::PruneLayer {
                prune_layer,
                num_layers,
            }
            .into()),
            false => Ok(()),
        }
    }
}

/// Pairs caches with their rows.
pub(crate) fn steps<'a>(caches: &'a mut [SequenceCache], ranges: &[Range<usize>]) -> Vec<Step<'a>> {
    caches
        .iter_mut()
        .zip(ranges)
        .map(|(cache, rows)| Step {
            rows: rows.clone(),
            cache,
        })
        .collect()
}

/// Rows of a prefix's hidden states, in this order.
pub(crate) fn kept_rows(prefix: &Prefix, rows: &[usize]) -> Result<Tensor> {
    gather_rows(&prefix.hidden, rows)
}

fn no_layers() -> ModelError {
    ModelError::InputValue {
        what: "the number of layers run",
        found: "0".to_owned(),
        expected: "at least 1".to_owned(),
    }
}

fn check_rows(layout: &TokenLayout, rows: &[usize]) -> Result<()> {
    let (first, end) = (layout.num_system, layout.sequence_len());
    let ascending = rows.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    match ascending && rows.iter().all(|row| (first..end).contains(row)) {
        true => Ok(()),
        false => Err(ModelError::InputValue {
            what: "the query rows",
            found: format!("{rows:?}"),
            expected: format!(
                "ascending rows of image and text, {first} to {}",
                end.saturating_sub(1)
            ),
        }),
    }
}

/// Joins `[H, Q₁, N]` and `[H, Q₂, N]` to `[H, Q₁ + Q₂, N]`.
fn interleave_heads(first: &[f32], second: &[f32], num_heads: usize) -> Vec<f32> {
    let (a, b) = (first.len() / num_heads, second.len() / num_heads);
    let mut joined = Vec::with_capacity(first.len() + second.len());
    for head in 0..num_heads {
        joined.extend_from_slice(&first[head * a..(head + 1) * a]);
        joined.extend_from_slice(&second[head * b..(head + 1) * b]);
    }
    joined
}
