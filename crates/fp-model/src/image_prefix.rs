//! What all questions on one image share: the image up to the end of layer K, behind
//! what comes before it.

use crate::attention_store::AttentionStore;
use crate::error::{ModelError, Result};
use crate::llama::{SequenceCache, Step};
use crate::model::{ImageFeatures, LlavaModel};
use crate::prefix::{Prefix, check_rows};
use crate::prompt::EncodedPrompt;
use crate::system_prefix::SystemPrefix;
use candle_core::Tensor;
use fp_scoring::TokenLayout;

/// The part of a prefix that doesn't depend on the question: system and image
/// after layers 1..K, and the system's keys and values in the layers after K.
#[derive(Debug)]
pub struct ImagePrefix {
    /// Output of layer K, system first, `[system + N, D]`.
    hidden: Tensor,
    cache: SequenceCache,
    /// Layer K's projections of the image's rows with their rotated queries, for
    /// strategies whose window reaches into the image.
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
    /// Runs an image through layers 1..K behind what comes before it, for any number
    /// of questions.
    ///
    /// # Errors
    /// A sequence longer than the model's attention window.
    pub fn prefill_image(
        &self,
        system: &SystemPrefix,
        features: &ImageFeatures,
    ) -> Result<ImagePrefix> {
        let (prune_layer, past) = (system.prune_layer, system.ids.len());
        let num_image = features.num_tokens();
        self.check_length(past + num_image)?;
        let positions: Vec<usize> = (past..past + num_image).collect();
        let mut cache = system.cache.share();
        self.decoder
            .reserve(&mut cache, 0..prune_layer, num_image)?;
        let mut queries = None;
        let text = &self.config().text;
        let width = text.num_heads * text.head_dim();
        let image = self.decoder.run(
            0..prune_layer,
            features.embeds(),
            &positions,
            &mut [Step {
                rows: 0..num_image,
                cache: &mut cache,
            }],
            Some(&mut |view, _| {
                queries = Some(view.projected.narrow(1, 0, width)?.contiguous()?);
                Ok(())
            }),
        )?;
        let queries = queries.ok_or_else(no_layers)?;
        cache.freeze();
        Ok(ImagePrefix {
            hidden: match &system.hidden {
                Some(system) => Tensor::cat(&[system, &image], 0)?,
                None => image,
            },
            cache,
            queries,
            system_ids: system.ids.clone(),
            num_image,
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
                    rows: 0..image.num_image,
                    cache: &mut cache,
                };
                let view = self.decoder.view(last_layer, &image.queries)?;
                let first = layout.num_system;
                let rows: Vec<usize> = rows.iter().map(|row| row - first).collect();
                view.attention_rows(&step, &rows, layout.image_range())?
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
            attention: AttentionStore::join(&early_attention, &late_attention, num_heads)?,
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
