//! What all samples of one prompt template share: the tokens before the image.

use crate::error::Result;
use crate::llama::SequenceCache;
use crate::model::LlavaModel;
use crate::sample::steps;
use candle_core::Tensor;

/// The tokens before the image, after all layers.
///
/// Under a causal mask they see neither image nor question. So their hidden states,
/// keys and values are the same for every sample whose prompt begins with them, in
/// the layers after K too: no image, question or branch has to run them again.
#[derive(Debug)]
pub struct SystemPrefix {
    pub(crate) ids: Vec<u32>,
    /// Output of layer K, `[ids, D]`; none where nothing comes before the image.
    pub(crate) hidden: Option<Tensor>,
    /// Keys and values of all layers, frozen.
    pub(crate) cache: SequenceCache,
    pub(crate) prune_layer: usize,
}

impl SystemPrefix {
    /// The tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// K.
    pub fn prune_layer(&self) -> usize {
        self.prune_layer
    }

    /// Bytes of keys and values that it holds.
    pub fn kv_bytes(&self) -> usize {
        self.cache.bytes()
    }
}

impl LlavaModel {
    /// Runs what comes before the image through all layers, for any number of images.
    ///
    /// # Errors
    /// K outside 1..L, or token ids outside the vocabulary.
    pub fn prefill_system(&self, system_ids: &[u32], prune_layer: usize) -> Result<SystemPrefix> {
        self.check_prune_layer(prune_layer)?;
        let num_layers = self.config().text.num_layers;
        let len = system_ids.len();
        self.check_length(len)?;
        let mut cache = SequenceCache::new(num_layers);
        let mut hidden = None;
        if len > 0 {
            self.decoder.reserve(&mut cache, 0..num_layers, len)?;
            let positions: Vec<usize> = (0..len).collect();
            let embeds = self.decoder.embed(system_ids)?;
            let caches = std::slice::from_mut(&mut cache);
            let mut steps = steps(caches, std::slice::from_ref(&(0..len)));
            let after = self
                .decoder
                .run(0..prune_layer, &embeds, &positions, &mut steps, None)?;
            // Of the last layers' output nothing is needed.
            let rest = prune_layer..num_layers;
            self.decoder
                .run_to_last_rows(rest, &after, &positions, &mut steps)?;
            hidden = Some(after);
        }
        cache.freeze();
        Ok(SystemPrefix {
            ids: system_ids.to_vec(),
            hidden,
            cache,
            prune_layer,
        })
    }
}
