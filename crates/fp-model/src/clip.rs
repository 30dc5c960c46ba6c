//! The CLIP vision transformer, up to the layer whose output is the features.

use crate::config::{FeatureSelect, ModelConfig, VisionConfig};
use crate::error::{ModelError, Result};
use crate::linear::{Linear, into_rows};
use crate::ops::{self, with_values};
use crate::weights::{Loader, Names, Place};
use candle_core::{D, Tensor};
use fp_kernels::dense::{AttentionShape, KeyValues, SequenceQueries, attention};

/// Images encoded at a time, so that an any-resolution grid takes no more memory
/// than this many squares.
const BATCH: usize = 4;

#[derive(Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl Norm {
    fn load(loader: &Loader<'_>, name: &str, config: &VisionConfig) -> Result<Norm> {
        let width = [config.hidden_size];
        Ok(Norm {
            weight: loader.tensor(&format!("{name}.weight"), &width)?,
            bias: loader.tensor(&format!("{name}.bias"), &width)?,
            epsilon: config.layer_norm_eps,
        })
    }

    fn forward(&self, place: &Place, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(place, x, &self.weight, &self.bias, self.epsilon)
    }
}

#[derive(Debug)]
struct EncoderLayer {
    norm1: Norm,
    query_key_value: Linear,
    out: Linear,
    norm2: Norm,
    up: Linear,
    down: Linear,
}

/// The vision tower.
#[derive(Debug)]
pub(crate) struct VisionTower {
    config: VisionConfig,
    feature_select: FeatureSelect,
    patch_embedding: Linear,
    class_embedding: Tensor,
    position_embedding: Tensor,
    pre_norm: Norm,
    layers: Vec<EncoderLayer>,
    place: Place,
}

impl VisionTower {
    pub(crate) fn load(
        loader: &Loader<'_>,
        config: &ModelConfig,
        names: &Names,
    ) -> Result<VisionTower> {
        let vision = &config.vision;
        let (v, m) = (vision.hidden_size, vision.intermediate_size);
        let embeddings = format!("{}embeddings.", names.vision);
        let patch = [vision.num_channels, vision.patch_size, vision.patch_size];
        let layers = (0..config.num_vision_layers_used())
            .map(|layer| {
                let name = |part: &str| format!("{}encoder.layers.{layer}.{part}", names.vision);
                let (q, k, value) = (
                    name("self_attn.q_proj"),
                    name("self_attn.k_proj"),
                    name("self_attn.v_proj"),
                );
                Ok(EncoderLayer {
                    norm1: Norm::load(loader, &name("layer_norm1"), vision)?,
                    query_key_value: loader.linear(&[(&q, v), (&k, v), (&value, v)], v, true)?,
                    out: loader.linear(&[(&name("self_attn.out_proj"), v)], v, true)?,
                    norm2: Norm::load(loader, &name("layer_norm2"), vision)?,
                    up: loader.linear(&[(&name("mlp.fc1"), m)], v, true)?,
                    down: loader.linear(&[(&name("mlp.fc2"), v)], m, true)?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(VisionTower {
            feature_select: config.feature_select,
            patch_embedding: loader.matrix(
                &[(format!("{embeddings}patch_embedding.weight"), v)],
                &patch,
                None,
            )?,
            class_embedding: loader.tensor(&format!("{embeddings}class_embedding"), &[v])?,
            position_embedding: loader.tensor(
                &format!("{embeddings}position_embedding.weight"),
                &[vision.num_patches() + 1, v],
            )?,
            pre_norm: Norm::load(loader, &format!("{}pre_layrnorm", names.vision), vision)?,
            layers,
            place: loader.place.clone(),
            config: vision.clone(),
        })
    }

    /// Features `[B, T, width]` of pixel values `[B, channels, side, side]`, T
    /// being the number of patches, plus one if the class token is kept.
    pub(crate) fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let config = &self.config;
        let side = config.image_size;
        match pixels.dims() {
            [count, channels, height, width]
                if *count > 0
                    && (*channels, *height, *width) == (config.num_channels, side, side) => {}
            other => {
                return Err(ModelError::InputShape {
                    what: "pixel values",
                    got: other.to_vec(),
                    expected: format!("[images, {}, {side}, {side}]", config.num_channels),
                });
            }
        }
        let count = pixels.dim(0)?;
        let batches = (0..count)
            .step_by(BATCH)
            .map(|first| self.forward_batch(&pixels.narrow(0, first, BATCH.min(count - first))?))
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&batches, 0)?)
    }

    fn forward_batch(&self, pixels: &Tensor) -> Result<Tensor> {
        let count = pixels.dim(0)?;
        let num_tokens = self.config.num_patches() + 1;
        let width = self.config.hidden_size;
        let embedded = self.embed(pixels)?.reshape((count * num_tokens, width))?;
        let mut x = self.pre_norm.forward(&self.place, &embedded)?;
        for layer in &self.layers {
            let normed = layer.norm1.forward(&self.place, &x)?;
            let mixed = self.attend(&layer.query_key_value.forward(&normed)?, count)?;
            x = layer.out.forward_onto(&mixed, &x)?;
            let normed = layer.norm2.forward(&self.place, &x)?;
            let activate = ops::activate_values(self.config.activation);
            let inner =
                match layer
                    .up
                    .forward_then(&normed, activate, self.config.intermediate_size)?
                {
                    Some(inner) => inner,
                    None => ops::activate(&layer.up.forward(&normed)?, self.config.activation)?,
                };
            x = layer.down.forward_onto(&inner, &x)?;
        }
        let features = x.reshape((count, num_tokens, width))?;
        Ok(match self.feature_select {
            FeatureSelect::Full => features,
            FeatureSelect::Patches => features.narrow(1, 1, num_tokens - 1)?.contiguous()?,
        })
    }

    /// Patches as rows through the patch matrix, behind the class token, plus
    /// positions: `[B, patches + 1, width]`.
    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let config = &self.config;
        let count = pixels.dim(0)?;
        let (grid, patch, channels) = (
            config.patches_per_side(),
            config.patch_size,
            config.num_channels,
        );
        let patches = pixels
            .to_device(&self.place.device)?
            .to_dtype(self.place.dtype)?
            .reshape(vec![count, channels, grid, patch, grid, patch])?
            .permute(vec![0, 2, 4, 1, 3, 5])?
            .contiguous()?
            .reshape((count * grid * grid, channels * patch * patch))?;
        let embedded = self
            .patch_embedding
            .forward(&patches)?
            .reshape((count, grid * grid, ()))?;
        let class = self
            .class_embedding
            .broadcast_as((count, 1, config.hidden_size))?;
        Ok(Tensor::cat(&[&class.contiguous()?, &embedded], 1)?
            .broadcast_add(&self.position_embedding)?)
    }

    /// Attention of each image's tokens to all of its own: `[B · T, width]`.
    fn attend(&self, query_key_value: &Tensor, count: usize) -> Result<Tensor> {
        let width = self.config.hidden_size;
        let num_heads = self.config.num_heads;
        let head_dim = width / num_heads;
        let len = query_key_value.dim(0)? / count;
        // As [part, B, heads, T, head_dim].
        let split = |part: usize| -> Result<Tensor> {
            Ok(query_key_value
                .narrow(D::Minus1, part * width, width)?
                .reshape((count, len, num_heads, head_dim))?
                .transpose(1, 2)?
                .contiguous()?)
        };
        if self.place.kernels {
            let (keys, values) = (split(1)?, split(2)?);
            let shape = AttentionShape {
                num_heads,
                num_kv_heads: num_heads,
                head_dim,
                scale: 1.0 / (head_dim as f32).sqrt(),
            };
            let image = len * width;
            let mixed = with_values(query_key_value, |rows| {
                with_values(&keys, |keys| {
                    with_values(&values, |values| {
                        let sequences: Vec<_> = keys
                            .chunks_exact(image)
                            .zip(values.chunks_exact(image))
                            .enumerate()
                            .map(|(index, (keys, values))| SequenceQueries {
                                rows: index * len..(index + 1) * len,
                                runs: vec![KeyValues {
                                    keys,
                                    values,
                                    len,
                                    head_stride: len * head_dim,
                                }],
                                past: None,
                            })
                            .collect();
                        Ok(attention(&shape, rows, 3 * width, &sequences))
                    })
                })
            })?;
            return into_rows(mixed, width);
        }
        let scale = 1.0 / (head_dim as f64).sqrt();
        let (queries, keys, values) = (split(0)?, split(1)?, split(2)?);
        let mixed = (0..count)
            .map(|image| {
                let weights = ops::attention_weights(
                    &queries.get(image)?,
                    &keys.get(image)?,
                    scale,
                    &vec![len; len],
                )?;
                let values = values.get(image)?;
                Ok(weights
                    .to_dtype(values.dtype())?
                    .matmul(&values)?
                    .transpose(0, 1)?
                    .reshape((len, width))?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&mixed, 0)?)
    }
}
