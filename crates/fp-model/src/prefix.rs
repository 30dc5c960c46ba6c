//! What all branches of a sample share: the sequence up to the end of layer K.

use crate::attention_store::AttentionStore;
use crate::error::{ModelError, Result};
use crate::llama::SequenceCache;
use crate::model::{ImageFeatures, LlavaModel};
use crate::ops::gather_rows;
use crate::prompt::EncodedPrompt;
use crate::sample::{Sample, steps};
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
    /// Keys and values of layers 1..K, and of the system part in the others where that
    /// was run ahead; frozen.
    pub(crate) cache: SequenceCache,
    pub(crate) attention: AttentionStore,
    pub(crate) rows: Vec<usize>,
    pub(crate) num_heads: usize,
    pub(crate) layout: TokenLayout,
    pub(crate) prune_layer: usize,
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
    /// image, the softmax taken over the whole causal row. What is on a GPU is copied.
    ///
    /// # Errors
    /// A GPU that fails.
    pub fn image_attention_rows(&self) -> Result<&[f32]> {
        self.attention.values()
    }

    /// The rows that were asked for.
    pub fn query_rows(&self) -> &[usize] {
        &self.rows
    }

    /// The attention in the form that scoring takes.
    ///
    /// # Errors
    /// A GPU that fails; none else that a prefix made by a model gives rise to.
    pub fn attention(&self) -> Result<AttentionRows<'_, f32>> {
        let rows = AttentionRows::causal(
            self.attention.values()?,
            &self.rows,
            self.num_heads,
            self.layout,
        )?;
        Ok(rows.with_layer(self.prune_layer))
    }

    /// Tokens from the first on whose keys and values the layers after K have too, so
    /// that no branch runs them.
    pub(crate) fn num_tokens_after_k(&self) -> Result<usize> {
        Ok(self.cache.layer(self.prune_layer)?.len())
    }

    /// Bytes of keys and values that the prefix holds, shared ones included.
    pub fn kv_bytes(&self) -> usize {
        self.cache.bytes()
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

    pub(crate) fn check_prune_layer(&self, prune_layer: usize) -> Result<()> {
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

/// Rows of a prefix's hidden states: the last of the system's, some of the image's and
/// all of the text's, ascending.
pub(crate) fn kept_rows(prefix: &Prefix, rows: &[usize]) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let Some(gathered) = crate::gpu::gather(prefix, rows)? {
        return Ok(gathered);
    }
    gather_rows(&prefix.hidden, rows)
}

pub(crate) fn check_rows(layout: &TokenLayout, rows: &[usize]) -> Result<()> {
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
