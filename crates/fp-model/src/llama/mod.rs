//! The Llama decoder over a batch of sequences of any lengths.
//!
//! The rows of all sequences are concatenated: linear layers take one `[T, D]` matrix, attention is
//! per sequence. There is no padding, so a sequence's values don't depend on the rest of the batch.

mod attention;
mod kv_cache;
mod mlp;
#[cfg(feature = "cuda")]
mod on_gpu;
mod rope;

use candle_core::{DType, Tensor};

use crate::attention_store::AttentionStore;
use crate::config::{ModelConfig, TextConfig};
use crate::error::{ModelError, Result};
use crate::linear::{Embedding, Linear};
use crate::logits::Logits;
use crate::ops::{self, concatenated};
use crate::positions::Position;
use crate::weights::{ComputeContext, Loader, Names};
use attention::Attention;
use kv_cache::no_layer;
pub(crate) use kv_cache::{SequenceCache, total_bytes};
use std::ops::Range;

use mlp::Mlp;
pub(crate) use rope::Rotary;
#[cfg(feature = "cuda")]
pub(crate) use rope::cosines_and_sines;

/// One sequence in a run through layers.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// The sequence's rows in the batch.
    pub(crate) rows: Range<usize>,
    /// The sequence's cache, with capacity for these rows.
    pub(crate) cache: &'a mut SequenceCache,
}

/// Called with a layer's projections after the new keys were cached.
pub(crate) type Observer<'a> = &'a mut dyn FnMut(&LayerView<'_>, &[Step<'_>]) -> Result<()>;

/// A layer as an observer sees it.
pub(crate) struct LayerView<'a> {
    attention: &'a Attention,
    layer: usize,
    /// Rotated queries and keys, and values, of the batch, `[T, stride]`.
    pub(crate) projected: &'a Tensor,
}

impl LayerView<'_> {
    /// Post-softmax attention `[H, Q, columns]` of `step`'s rows `rows`, numbered within the batch,
    /// to the tokens `columns` of its sequence.
    pub(crate) fn attention_rows(
        &self,
        step: &Step<'_>,
        rows: &[usize],
        columns: Range<usize>,
    ) -> Result<AttentionStore> {
        self.attention
            .rows(self.projected, self.layer, step, rows, columns)
    }
}

/// Source of a row of a prompt.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Row {
    /// The embedding of a token.
    Token(u32),
    /// A row of an image's features.
    Feature(usize),
}

impl Row {
    fn is_token(self) -> bool {
        matches!(self, Row::Token(_))
    }
}

#[derive(Debug)]
struct DecoderLayer {
    attention_norm: Tensor,
    attention: Attention,
    mlp_norm: Tensor,
    mlp: Mlp,
}

/// The decoder, from embeddings to logits.
#[derive(Debug)]
pub(crate) struct Llama {
    config: TextConfig,
    embedding: Embedding,
    layers: Vec<DecoderLayer>,
    norm: Tensor,
    head: Linear,
    context: ComputeContext,
    #[cfg(feature = "cuda")]
    angles: on_gpu::Angles,
}

impl Llama {
    pub(crate) fn load(loader: &Loader<'_>, config: &ModelConfig, names: &Names) -> Result<Llama> {
        let text = &config.text;
        let (d, vocab) = (text.hidden_size, text.vocab_size);
        let (embedding, tied) = loader.embedding(
            &format!("{}embed_tokens.weight", names.decoder),
            vocab,
            d,
            text.tie_embeddings,
        )?;
        let layers = (0..text.num_layers)
            .map(|layer| {
                let prefix = format!("{}layers.{layer}.", names.decoder);
                Ok(DecoderLayer {
                    attention_norm: loader
                        .tensor(&format!("{prefix}input_layernorm.weight"), &[d])?,
                    attention: Attention::load(loader, text, &prefix)?,
                    mlp_norm: loader
                        .tensor(&format!("{prefix}post_attention_layernorm.weight"), &[d])?,
                    mlp: Mlp::load(loader, text, &prefix)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Llama {
            embedding,
            layers,
            norm: loader.tensor(&format!("{}norm.weight", names.decoder), &[d])?,
            head: match tied {
                Some(head) => head,
                None => loader.matrix(&[(names.head.to_owned(), vocab)], &[d], None)?,
            },
            context: loader.context.clone(),
            #[cfg(feature = "cuda")]
            angles: on_gpu::Angles::default(),
            config: text.clone(),
        })
    }

    pub(crate) fn context(&self) -> &ComputeContext {
        &self.context
    }

    /// Embeddings `[ids, D]`.
    pub(crate) fn embed(&self, ids: &[u32]) -> Result<Tensor> {
        self.check_ids(ids)?;
        self.embedding.rows(ids)
    }

    /// Refuses ids outside the vocabulary.
    pub(crate) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let vocab_size = self.config.vocab_size;
        if let Some((position, &id)) = ids
            .iter()
            .enumerate()
            .find(|(_, id)| **id as usize >= vocab_size)
        {
            return Err(ModelError::TokenId {
                id,
                position,
                vocab_size,
            });
        }
        Ok(())
    }

    /// Embeddings `[rows, D]` of tokens, with rows of `features [F, D]` in between, in the order of
    /// `rows`; the token ids must be in the vocabulary.
    pub(crate) fn embed_with(&self, rows: &[Row], features: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            return self.embedding.rows_with(rows, features);
        }
        let tokens = rows.iter().filter_map(|row| match row {
            Row::Token(id) => Some(*id),
            Row::Feature(_) => None,
        });
        let tokens: Vec<u32> = tokens.collect();
        if tokens.is_empty() {
            return Ok(features.clone());
        }
        // Alternating runs of token and feature rows.
        let tokens = self.embedding.rows(&tokens)?;
        let (mut parts, mut next) = (Vec::new(), 0);
        for run in rows.chunk_by(|a, b| a.is_token() == b.is_token()) {
            parts.push(match run[0] {
                Row::Token(_) => tokens.narrow(0, next, run.len())?,
                Row::Feature(first) => features.narrow(0, first, run.len())?,
            });
            next += if run[0].is_token() { run.len() } else { 0 };
        }
        concatenated(&parts)
    }

    /// Reserves capacity for `tokens` more tokens in `layers` of a cache.
    pub(crate) fn reserve(
        &self,
        cache: &mut SequenceCache,
        layers: Range<usize>,
        tokens: usize,
    ) -> Result<()> {
        cache.reserve(&self.config, &self.context, layers, tokens)
    }

    /// Runs `layers` on rows `hidden [T, D]` at `positions`. The observer is called in the last of
    /// these layers.
    pub(crate) fn run(
        &self,
        layers: Range<usize>,
        hidden: &Tensor,
        positions: &[Position],
        steps: &mut [Step<'_>],
        observer: Option<Observer<'_>>,
    ) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            let run = on_gpu::Run {
                layers,
                hidden,
                positions,
                last_rows: false,
            };
            return self.run_on_gpu(&run, steps, observer);
        }
        let rotary = Rotary::new(&self.config, positions, &self.context)?;
        self.run_layers(layers, hidden, &rotary, steps, observer)
    }

    /// Like [`Llama::run`] for the output of each sequence's last row alone, `[steps, D]`. In the
    /// last layer, only keys and values are computed for the other rows.
    pub(crate) fn run_to_last_rows(
        &self,
        layers: Range<usize>,
        hidden: &Tensor,
        positions: &[Position],
        steps: &mut [Step<'_>],
    ) -> Result<Tensor> {
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            let run = on_gpu::Run {
                layers,
                hidden,
                positions,
                last_rows: true,
            };
            return self.run_on_gpu(&run, steps, None);
        }
        let rotary = Rotary::new(&self.config, positions, &self.context)?;
        let before = layers.start..layers.end.saturating_sub(1);
        let index = before.end;
        let hidden = self.run_layers(before, hidden, &rotary, steps, None)?;
        let Some(layer) = self.layers.get(index) else {
            return Err(no_layer(index, self.layers.len()));
        };
        let normed = self.rms_norm(&hidden, &layer.attention_norm)?;
        let projected = layer.attention.project(&normed, &rotary)?;
        let attention = &layer.attention;
        let hidden = attention.forward_last_rows(&projected, &hidden, index, steps)?;
        let normed = self.rms_norm(&hidden, &layer.mlp_norm)?;
        layer.mlp.forward(&normed, &hidden)
    }

    fn run_layers(
        &self,
        layers: Range<usize>,
        hidden: &Tensor,
        rotary: &Rotary,
        steps: &mut [Step<'_>],
        mut observer: Option<Observer<'_>>,
    ) -> Result<Tensor> {
        let last = layers.end.saturating_sub(1);
        let mut hidden = hidden.clone();
        for index in layers {
            let Some(layer) = self.layers.get(index) else {
                break;
            };
            let normed = self.rms_norm(&hidden, &layer.attention_norm)?;
            let projected = layer.attention.project(&normed, rotary)?;
            hidden = layer.attention.forward(&projected, &hidden, index, steps)?;
            if let Some(observer) = observer.as_mut().filter(|_| index == last) {
                let view = LayerView {
                    attention: &layer.attention,
                    layer: index,
                    projected: &projected,
                };
                observer(&view, steps)?;
            }
            let normed = self.rms_norm(&hidden, &layer.mlp_norm)?;
            hidden = layer.mlp.forward(&normed, &hidden)?;
        }
        Ok(hidden)
    }

    /// A layer's view of projections kept from an earlier run.
    pub(crate) fn view<'a>(&'a self, layer: usize, projected: &'a Tensor) -> Result<LayerView<'a>> {
        let found = self
            .layers
            .get(layer)
            .ok_or_else(|| no_layer(layer, self.layers.len()))?;
        Ok(LayerView {
            attention: &found.attention,
            layer,
            projected,
        })
    }

    /// Attention `[H, Q, columns]` in one layer, of the rows and columns in `asked`, computed from
    /// the layer's inputs `[S, D]` of a whole sequence at `positions`; keys and values go into
    /// `cache`.
    pub(crate) fn attention_of_inputs(
        &self,
        layer: usize,
        hidden: &Tensor,
        positions: &[Position],
        cache: &mut SequenceCache,
        asked: (&[usize], Range<usize>),
    ) -> Result<AttentionStore> {
        let found = self
            .layers
            .get(layer)
            .ok_or_else(|| no_layer(layer, self.layers.len()))?;
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            let run = on_gpu::Run {
                layers: layer..layer + 1,
                hidden,
                positions,
                last_rows: false,
            };
            let step = Step {
                rows: 0..positions.len(),
                cache,
            };
            return self.attention_of_inputs_on_gpu(layer, &run, step, asked);
        }
        let rotary = Rotary::new(&self.config, positions, &self.context)?;
        let normed = self.rms_norm(hidden, &found.attention_norm)?;
        let projected = found.attention.project(&normed, &rotary)?;
        let mut steps = [Step {
            rows: 0..positions.len(),
            cache,
        }];
        found.attention.append(&projected, layer, &mut steps)?;
        let ([step], (rows, columns)) = (&steps, asked);
        found.attention.rows(&projected, layer, step, rows, columns)
    }

    /// Logits from the last layer's output, for each row.
    pub(crate) fn logits(&self, hidden: &Tensor) -> Result<Vec<Logits>> {
        let logits = self.head.forward(&self.rms_norm(hidden, &self.norm)?)?;
        #[cfg(feature = "cuda")]
        if logits.device().is_cuda() {
            return Logits::of_device(&logits);
        }
        let logits = logits.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        logits.into_iter().map(Logits::host).collect()
    }

    /// The final norm of hidden states.
    pub(crate) fn normed(&self, hidden: &Tensor) -> Result<Tensor> {
        self.rms_norm(hidden, &self.norm)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        ops::rms_norm(&self.context, x, weight, self.config.rms_norm_eps)
    }
}
