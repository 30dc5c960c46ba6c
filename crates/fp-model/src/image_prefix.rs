//! What all questions on one image share: system and image up to the end of layer K.

use crate::attention_store::AttentionStore;
use crate::error::{ModelError, Result};
use crate::llama::{SequenceCache, Step};
use crate::model::{ImageFeatures, LlavaModel};
use crate::prefix::{Prefix, check_rows};
use crate::prompt::EncodedPrompt;
use crate::sample::steps;
use candle_core::Tensor;
use fp_scoring::TokenLayout;

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

impl LlavaModel {
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
            [] => AttentionStore::default(),
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
            [] => (image.hidden.clone(), AttentionStore::default()),
            ids => {
                self.decoder
                    .reserve(&mut cache, 0..image.prune_layer, ids.len())?;
                let positions: Vec<usize> = (shared..shared + ids.len()).collect();
                let mut attention = AttentionStore::default();
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
            attention: AttentionStore::join(early_attention, late_attention, num_heads)?,
            rows: query_rows.to_vec(),
            num_heads,
            layout,
            prune_layer: image.prune_layer,
        })
    }
}

fn no_layers() -> ModelError {
    ModelError::InputValue {
        what: "the number of layers run",
        found: "0".to_owned(),
        expected: "at least 1".to_owned(),
    }
}
