//! Keys and values of past tokens.
//!
//! A layer's cache is a list of *runs* of consecutive tokens. A finished run is frozen and can be
//! shared: branches share their prefix's runs, and questions on one image share the image's. Only
//! the last run of a sequence grows, within the capacity reserved for it, so reported bytes equal
//! allocated bytes and nothing is ever copied to make room.

#[cfg(feature = "cuda")]
mod on_gpu;
mod run;

use std::ops::Range;
use std::sync::Arc;

use candle_core::Tensor;
use fp_kernels::dense::KeyValues;

use crate::config::TextConfig;
use crate::error::{ModelError, Result};
use crate::weights::ComputeContext;
use run::KvRun;

/// One layer's cache of one sequence.
#[derive(Debug, Default)]
pub(crate) struct LayerCache {
    frozen: Vec<Arc<KvRun>>,
    open: Option<KvRun>,
}

impl LayerCache {
    fn runs(&self) -> impl Iterator<Item = &KvRun> {
        self.frozen
            .iter()
            .map(Arc::as_ref)
            .chain(&self.open)
            .filter(|run| run.len > 0)
    }

    /// Number of tokens cached.
    pub(crate) fn len(&self) -> usize {
        self.runs().map(|run| run.len).sum()
    }

    /// Appends rows of a projection; see [`KvRun::append`].
    pub(crate) fn append(
        &mut self,
        projected: &Tensor,
        rows: Range<usize>,
        key_column: usize,
    ) -> Result<()> {
        match &mut self.open {
            Some(run) => run.append(projected, rows, key_column),
            None => Err(ModelError::InputValue {
                what: "the number of cached tokens",
                found: rows.len().to_string(),
                expected: "0, since no room was reserved".to_owned(),
            }),
        }
    }

    /// Views for the CPU kernels.
    pub(crate) fn views(&self) -> Vec<KeyValues<'_>> {
        self.runs().filter_map(KvRun::view).collect()
    }

    /// Keys and values `[heads, len, head_dim]` for the tensor library.
    pub(crate) fn tensors(&self) -> Result<(Tensor, Tensor)> {
        let (mut keys, mut values) = (Vec::new(), Vec::new());
        for run in self.runs() {
            if let Some((k, v)) = run.tensors()? {
                keys.push(k);
                values.push(v);
            }
        }
        Ok((Tensor::cat(&keys, 1)?, Tensor::cat(&values, 1)?))
    }

    /// Keys of every token on the host, heads side by side, `[len, heads · head_dim]`.
    pub(crate) fn keys_by_token(&self) -> Result<Vec<f32>> {
        let mut keys = Vec::new();
        for run in self.runs() {
            keys.extend(run.keys_by_token()?);
        }
        Ok(keys)
    }

    fn freeze(&mut self) {
        self.frozen
            .extend(self.open.take().filter(|run| run.len > 0).map(Arc::new));
    }
}

/// A sequence's cache over all layers.
#[derive(Debug)]
pub(crate) struct SequenceCache {
    layers: Vec<LayerCache>,
}

impl SequenceCache {
    pub(crate) fn new(num_layers: usize) -> SequenceCache {
        SequenceCache {
            layers: (0..num_layers).map(|_| LayerCache::default()).collect(),
        }
    }

    pub(crate) fn layer(&self, layer: usize) -> Result<&LayerCache> {
        let count = self.layers.len();
        self.layers.get(layer).ok_or_else(|| no_layer(layer, count))
    }

    pub(crate) fn layer_mut(&mut self, layer: usize) -> Result<&mut LayerCache> {
        let count = self.layers.len();
        self.layers
            .get_mut(layer)
            .ok_or_else(|| no_layer(layer, count))
    }

    /// Freezes the present runs and reserves capacity for `tokens` more in `layers`.
    pub(crate) fn reserve(
        &mut self,
        config: &TextConfig,
        context: &ComputeContext,
        layers: Range<usize>,
        tokens: usize,
    ) -> Result<()> {
        let count = if tokens == 0 { 0 } else { layers.len() };
        let mut runs = KvRun::of_layers(config, context, count, tokens)?.into_iter();
        for layer in layers {
            let cache = self.layer_mut(layer)?;
            cache.freeze();
            cache.open = runs.next();
        }
        Ok(())
    }

    /// Freezes all runs, so that they can be shared.
    pub(crate) fn freeze(&mut self) {
        self.layers.iter_mut().for_each(LayerCache::freeze);
    }

    /// A cache that shares this one's frozen runs; there must be no open runs.
    pub(crate) fn share(&self) -> SequenceCache {
        let layers = self
            .layers
            .iter()
            .map(|layer| LayerCache {
                frozen: layer.frozen.clone(),
                open: None,
            })
            .collect();
        SequenceCache { layers }
    }

    /// Like [`SequenceCache::share`], without the layers from `end` on.
    pub(crate) fn share_up_to(&self, end: usize) -> SequenceCache {
        let mut cache = self.share();
        for layer in cache.layers.iter_mut().skip(end) {
            *layer = LayerCache::default();
        }
        cache
    }

    /// The layers of this cache before `layer`, and those of `others` from `layer` on; there must
    /// be no open runs.
    pub(crate) fn spliced(&self, layer: usize, others: &SequenceCache) -> SequenceCache {
        let mut cache = self.share();
        let theirs = others.share().layers.into_iter().skip(layer);
        for (own, other) in cache.layers.iter_mut().skip(layer).zip(theirs) {
            *own = other;
        }
        cache
    }

    /// Number of tokens cached, layer by layer.
    pub(crate) fn tokens(&self) -> Vec<usize> {
        self.layers.iter().map(LayerCache::len).collect()
    }

    /// Bytes of all buffers that this sequence's cache refers to, shared or not.
    pub(crate) fn bytes(&self) -> usize {
        self.all_runs().map(KvRun::bytes).sum()
    }

    fn all_runs(&self) -> impl Iterator<Item = &KvRun> {
        self.layers
            .iter()
            .flat_map(|layer| layer.frozen.iter().map(Arc::as_ref).chain(&layer.open))
    }
}

/// Total bytes of several sequences' caches; shared runs count once.
pub(crate) fn total_bytes<'a>(caches: impl IntoIterator<Item = &'a SequenceCache>) -> usize {
    let mut seen = std::collections::HashSet::new();
    caches
        .into_iter()
        .flat_map(SequenceCache::all_runs)
        .filter(|run| seen.insert(std::ptr::from_ref::<KvRun>(run)))
        .map(KvRun::bytes)
        .sum()
}

pub(super) fn no_layer(layer: usize, count: usize) -> ModelError {
    ModelError::InputValue {
        what: "a layer index",
        found: layer.to_string(),
        expected: format!("below {count}"),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::config::Preset;
    use crate::cpu_format::CpuFormat;

    /// Bytes of a half-precision cache with 64 more tokens, as published.
    #[test]
    fn allocations_are_those_of_the_published_table() {
        let context = ComputeContext {
            device: Device::Cpu,
            dtype: DType::F16,
            rounding: None,
            kernels: false,
            activations: CpuFormat::F32,
            kv_cache: CpuFormat::F32,
        };
        for (preset, kept, mib) in [
            (Preset::Llava15With7b, 576, 320.0),
            (Preset::Llava15With7b, 166, 127.8125),
            (Preset::Llava15With7b, 98, 95.9375),
            (Preset::Llava15With7b, 30, 64.0625),
            (Preset::Llava15With13b, 576, 500.0),
            (Preset::Llava15With13b, 172, 200.15625),
            (Preset::Llava15With13b, 104, 149.6875),
            (Preset::Llava15With13b, 37, 99.960_937_5),
        ] {
            let text = preset.config().text;
            let mut cache = SequenceCache::new(text.num_layers);
            cache.reserve(&text, &context, 0..2, 576).unwrap();
            cache
                .reserve(&text, &context, 2..text.num_layers, kept)
                .unwrap();
            // Prefill has filled the runs, so that decoding opens new ones.
            for layer in &mut cache.layers {
                layer.open.iter_mut().for_each(|run| run.len = run.capacity);
            }
            cache
                .reserve(&text, &context, 0..text.num_layers, 64)
                .unwrap();
            assert_eq!(cache.bytes() as f64 / f64::from(1 << 20), mib);
            let lengths =
                (0..text.num_layers).map(|layer| if layer < 2 { 576 + 64 } else { kept + 64 });
            let counted = text.decoder_shape().kv_bytes(lengths, 2);
            assert_eq!(cache.bytes() as u128, counted);
        }
    }
}
