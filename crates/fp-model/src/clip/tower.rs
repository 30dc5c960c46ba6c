//! CLIP's text transformer.

use candle_core::Tensor;

use super::segments::segments;
use crate::config::{ClipConfig, ClipTextConfig};
use crate::error::Result;
use crate::linear::{Embedding, Linear};
use crate::vision::{EncoderLayer, EncoderShape, Norm};
use crate::weights::{ComputeContext, Loader};

impl From<&ClipTextConfig> for EncoderShape {
    fn from(config: &ClipTextConfig) -> EncoderShape {
        EncoderShape {
            width: config.hidden_size,
            inner_width: config.intermediate_size,
            num_heads: config.num_heads,
            activation: config.activation,
            epsilon: config.layer_norm_eps,
            is_causal: true,
        }
    }
}

/// The text tower and its projection.
#[derive(Debug)]
pub(super) struct TextTower {
    config: ClipTextConfig,
    shape: EncoderShape,
    tokens: Embedding,
    /// Position embeddings, `[context, width]`.
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    final_norm: Norm,
    projection: Linear,
    context: ComputeContext,
}

/// Names and shapes of the tensors that the tower takes, those of its layers included.
pub(super) fn expected(config: &ClipConfig) -> Vec<(String, Vec<usize>)> {
    let text = &config.text;
    let (w, m) = (text.hidden_size, text.intermediate_size);
    let mut all = vec![
        (
            "text_model.embeddings.token_embedding.weight".to_owned(),
            vec![text.vocab_size, w],
        ),
        (
            "text_model.embeddings.position_embedding.weight".to_owned(),
            vec![text.max_positions, w],
        ),
        ("text_model.final_layer_norm.weight".to_owned(), vec![w]),
        ("text_model.final_layer_norm.bias".to_owned(), vec![w]),
        (
            "text_projection.weight".to_owned(),
            vec![config.projection_dim, w],
        ),
    ];
    for layer in 0..text.num_layers {
        for (part, rows, columns) in [
            ("layer_norm1", w, None),
            ("self_attn.q_proj", w, Some(w)),
            ("self_attn.k_proj", w, Some(w)),
            ("self_attn.v_proj", w, Some(w)),
            ("self_attn.out_proj", w, Some(w)),
            ("layer_norm2", w, None),
            ("mlp.fc1", m, Some(w)),
            ("mlp.fc2", w, Some(m)),
        ] {
            let name = format!("text_model.encoder.layers.{layer}.{part}");
            let weight = std::iter::once(rows).chain(columns).collect();
            all.push((format!("{name}.weight"), weight));
            all.push((format!("{name}.bias"), vec![rows]));
        }
    }
    all
}

impl TextTower {
    pub(super) fn load(loader: &Loader<'_>, config: &ClipConfig) -> Result<TextTower> {
        let text = &config.text;
        let (w, shape) = (text.hidden_size, EncoderShape::from(text));
        let layers = (0..text.num_layers)
            .map(|layer| {
                let prefix = format!("text_model.encoder.layers.{layer}.");
                EncoderLayer::load(loader, &prefix, &shape)
            })
            .collect::<Result<_>>()?;
        let table = "text_model.embeddings.token_embedding.weight";
        let (tokens, _) = loader.embedding(table, text.vocab_size, w, false)?;
        Ok(TextTower {
            tokens,
            positions: loader.tensor(
                "text_model.embeddings.position_embedding.weight",
                &[text.max_positions, w],
            )?,
            layers,
            final_norm: Norm::load(loader, "text_model.final_layer_norm", &shape)?,
            projection: loader.linear(&[("text_projection", config.projection_dim)], w, false)?,
            context: loader.context.clone(),
            shape,
            config: text.clone(),
        })
    }

    /// Embeddings `[segments, C]` of a text's ids, which include its beginning and end tokens. They
    /// are neither normalised nor scaled.
    pub(super) fn forward(&self, ids: &[u32]) -> Result<Tensor> {
        let segments = segments(ids, self.config.max_positions, self.config.eos_token);
        let pooled = segments
            .iter()
            .map(|segment| self.pooled(segment.ids))
            .collect::<Result<Vec<_>>>()?;
        self.projection.forward(&Tensor::cat(&pooled, 0)?)
    }

    /// The last token's state `[1, width]`, after the final norm.
    fn pooled(&self, ids: &[u32]) -> Result<Tensor> {
        let len = ids.len();
        let positions = self.positions.narrow(0, 0, len)?;
        let mut x = (self.tokens.rows(ids)? + positions)?;
        for layer in &self.layers {
            let projections = layer.project(&self.context, &self.shape, &x, 1)?;
            x = layer.finish(&self.context, &self.shape, &x, &projections)?;
        }
        let last = x.narrow(0, len - 1, 1)?.contiguous()?;
        self.final_norm.forward(&self.context, &last)
    }
}
