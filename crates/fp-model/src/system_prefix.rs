//! The tokens before the image, which all samples of one prompt template share.

use std::sync::Arc;

use candle_core::Tensor;

use crate::error::Result;
use crate::llama::SequenceCache;
use crate::model::LlavaModel;
use crate::positions::Position;
use crate::sample::steps;

/// The tokens before the image, after all layers.
///
/// With a causal mask these tokens attend to neither image nor question. So their hidden states,
/// keys and values are the same for every sample whose prompt begins with them, in every layer and
/// for any tokens dropped of the image: no image, question or branch has to run them again.
#[derive(Debug)]
pub struct SystemPrefix {
    pub(crate) ids: Vec<u32>,
    /// `[ids, D]` after each number of layers, 0 to L − 1; empty if no tokens come before the
    /// image.
    pub(crate) hidden: Arc<[Tensor]>,
    /// Keys and values of all layers, frozen.
    pub(crate) cache: SequenceCache,
}

impl SystemPrefix {
    /// The token ids.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Bytes of its keys and values.
    pub fn kv_bytes(&self) -> usize {
        self.cache.bytes()
    }
}

impl LlavaModel {
    /// Runs the tokens before the image through all layers, for any number of images.
    ///
    /// # Errors
    /// Token ids outside the vocabulary.
    pub fn prefill_system(&self, system_ids: &[u32]) -> Result<SystemPrefix> {
        let num_layers = self.config().text.num_layers;
        let len = system_ids.len();
        self.check_length(len)?;
        let mut cache = SequenceCache::new(num_layers);
        let mut after = Vec::with_capacity(num_layers);
        if len > 0 {
            self.decoder.reserve(&mut cache, 0..num_layers, len)?;
            let positions: Vec<Position> = (0..len).map(Position::line).collect();
            let caches = std::slice::from_mut(&mut cache);
            let mut steps = steps(caches, std::slice::from_ref(&(0..len)));
            let mut hidden = self.decoder.embed(system_ids)?;
            after.push(hidden.clone());
            let last = num_layers - 1;
            for layer in 0..last {
                let layers = layer..layer + 1;
                hidden = self
                    .decoder
                    .run(layers, &hidden, &positions, &mut steps, None)?;
                after.push(hidden.clone());
            }
            // The last layer's output isn't needed.
            self.decoder
                .run_to_last_rows(last..num_layers, &hidden, &positions, &mut steps)?;
        }
        cache.freeze();
        Ok(SystemPrefix {
            ids: system_ids.to_vec(),
            hidden: after.into(),
            cache,
        })
    }
}
