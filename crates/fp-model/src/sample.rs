//! Samples (prompts with their images), and embedding and caches for a batch of them.

use std::ops::Range;

use candle_core::Tensor;
use fp_scoring::TokenLayout;

use crate::error::{ModelError, Result};
use crate::llama::{Row, SequenceCache, Step};
use crate::model::{ImageFeatures, LlavaModel};
use crate::ops::concatenated;
use crate::positions::Position;
use crate::prompt::EncodedPrompt;

/// A sample: its prompt and its image.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// The prompt, in which one id stands for the image.
    pub prompt: &'a EncodedPrompt,
    /// The image's features.
    pub features: &'a ImageFeatures,
}

impl Sample<'_> {
    /// Layout of system, image and text.
    pub fn layout(&self) -> TokenLayout {
        TokenLayout {
            num_system: self.prompt.num_system(),
            num_image: self.features.num_tokens(),
            num_text: self.prompt.num_text(),
        }
    }
}

impl LlavaModel {
    /// Embeddings of consecutive samples, and each sample's range of rows.
    pub(crate) fn embed_samples(
        &self,
        samples: &[Sample<'_>],
    ) -> Result<(Tensor, Vec<Range<usize>>)> {
        let (mut ids, mut features, mut num_features) = (Vec::new(), Vec::new(), 0);
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
            self.decoder.check_ids(prompt.system_ids())?;
            self.decoder.check_ids(prompt.text_ids())?;
            let image = num_features..num_features + sample.features.num_tokens();
            num_features = image.end;
            features.push(sample.features.embeds().clone());
            ids.extend(prompt.system_ids().iter().copied().map(Row::Token));
            ids.extend(image.map(Row::Feature));
            ids.extend(prompt.text_ids().iter().copied().map(Row::Token));
            let len = sample.layout().sequence_len();
            self.check_length(len)?;
            ranges.push(start..start + len);
            start += len;
        }
        let features = concatenated(&features)?;
        Ok((self.decoder.embed_with(&ids, &features)?, ranges))
    }

    /// Caches with capacity for `lens` tokens in `layers`.
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

    /// Refuses a sequence longer than the model's sliding window, if it has one.
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
}

/// Positions of consecutive samples with nothing dropped.
pub(crate) fn positions_of(samples: &[Sample<'_>]) -> Vec<Position> {
    let positions = samples
        .iter()
        .map(|sample| sample.features.numbering.whole(&sample.layout()));
    positions.flatten().collect()
}

/// Pairs caches with their ranges of rows.
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
