//! The vision transformer of CLIP and SigLIP, run up to the layer whose output is the features, and
//! further if requested evidence needs it.

use candle_core::{Device, Tensor};

use super::evidence::{Collector, VisionEvidence};
use super::layer::{EncoderLayer, EncoderShape, Norm};
use super::parts::VisionParts;
use super::request::{VisionRead, VisionRequest};
use crate::config::{FeatureSelect, ModelConfig, TowerKind, VisionConfig};
use crate::error::{ModelError, Result};
use crate::linear::Linear;
use crate::ops::{self, concatenated, gather_ids};
use crate::weights::{ComputeContext, Loader, Names};

/// Number of images encoded at one time, so that any-resolution input takes no more memory than
/// this many squares.
const BATCH: usize = 4;

/// The vision tower.
#[derive(Debug)]
pub(crate) struct VisionTower {
    config: VisionConfig,
    shape: EncoderShape,
    feature_select: FeatureSelect,
    patch_embedding: Linear,
    /// The class token's embedding, if there is one.
    class_embedding: Option<Tensor>,
    position_embedding: Tensor,
    /// The norm of the embeddings, if there is one.
    pre_norm: Option<Norm>,
    layers: Vec<EncoderLayer>,
    /// Number of layers up to the one whose output is the features; more may be loaded.
    num_feature_layers: usize,
    post_norm: Option<Norm>,
    context: ComputeContext,
}

impl VisionTower {
    pub(crate) fn load(
        loader: &Loader<'_>,
        config: &ModelConfig,
        names: &Names,
        parts: &VisionParts,
    ) -> Result<VisionTower> {
        let vision = &config.vision;
        parts.check(vision)?;
        let (v, shape) = (vision.hidden_size, EncoderShape::from(vision));
        let embeddings = format!("{}embeddings.", names.vision);
        let patch = [vision.num_channels, vision.patch_size, vision.patch_size];
        let num_feature_layers = config.num_vision_layers_used();
        let layers = (0..num_feature_layers.max(parts.num_layers))
            .map(|layer| {
                let prefix = format!("{}encoder.layers.{layer}.", names.vision);
                EncoderLayer::load(loader, &prefix, &shape)
            })
            .collect::<Result<_>>()?;
        let post_norm = parts
            .post_norm
            .then(|| Norm::load(loader, &format!("{}post_layernorm", names.vision), &shape))
            .transpose()?;
        let is_clip = vision.kind == TowerKind::Clip;
        let of_clip = |name: &str| -> Result<Option<Tensor>> {
            let name = format!("{embeddings}{name}");
            is_clip.then(|| loader.tensor(&name, &[v])).transpose()
        };
        let bias = match is_clip {
            true => None,
            false => Some(loader.tensor(&format!("{embeddings}patch_embedding.bias"), &[v])?),
        };
        Ok(VisionTower {
            feature_select: config.feature_select,
            patch_embedding: loader.matrix(
                &[(format!("{embeddings}patch_embedding.weight"), v)],
                &patch,
                bias,
            )?,
            class_embedding: of_clip("class_embedding")?,
            position_embedding: loader.tensor(
                &format!("{embeddings}position_embedding.weight"),
                &[vision.num_tokens(), v],
            )?,
            pre_norm: is_clip
                .then(|| Norm::load(loader, &format!("{}pre_layrnorm", names.vision), &shape))
                .transpose()?,
            layers,
            num_feature_layers,
            post_norm,
            context: loader.context.clone(),
            shape,
            config: vision.clone(),
        })
    }

    /// Features `[B, N, V]` of pixel values `[B, channels, side, side]`, where N is the number of
    /// patches, plus one if the class token is a feature; and the requested evidence of each image.
    ///
    /// # Errors
    /// Pixel values of another shape, or a request that needs parts that aren't loaded.
    pub(crate) fn forward(
        &self,
        pixels: &Tensor,
        request: &VisionRequest,
    ) -> Result<(Tensor, Vec<VisionEvidence>)> {
        let config = &self.config;
        request.check(config, self.layers.len(), self.post_norm.is_some())?;
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
        let (mut features, mut evidence) = (Vec::new(), Vec::new());
        for first in (0..count).step_by(BATCH) {
            let pixels = pixels.narrow(0, first, BATCH.min(count - first))?;
            let mut collector = Collector::new(request, pixels.dim(0)?, config.num_class_tokens());
            features.push(self.forward_batch(&pixels, &mut collector)?);
            evidence.extend(collector.finish());
        }
        Ok((concatenated(&features)?, evidence))
    }

    fn forward_batch(&self, pixels: &Tensor, collector: &mut Collector<'_>) -> Result<Tensor> {
        let (config, context) = (&self.config, &self.context);
        let (count, len) = (pixels.dim(0)?, config.num_tokens());
        let per_image =
            |x: &Tensor| -> Result<Tensor> { Ok(x.reshape((count, len, config.hidden_size))?) };
        let mut x = self.embed(pixels)?;
        collector.states(VisionRead::HiddenState(0), || per_image(&x))?;
        let mut layers = self.layers.iter().enumerate();
        for (index, layer) in layers.by_ref().take(self.num_feature_layers) {
            x = self.run_layer(index, layer, &x, count, collector)?;
        }
        let features = x.clone();
        let num_run = collector.request().num_layers_run();
        for (index, layer) in layers {
            if index < num_run {
                x = self.run_layer(index, layer, &x, count, collector)?;
            } else {
                // No further layer's output is needed.
                if collector.request().looks_into(index) {
                    collector.layer(index, &layer.project(context, &self.shape, &x, count)?)?;
                }
                break;
            }
        }
        if let Some(norm) = &self.post_norm {
            collector.states(VisionRead::NormedFeatures, || {
                per_image(&norm.forward(context, &features)?)
            })?;
        }
        let features = per_image(&features)?;
        let features = match (self.feature_select, &self.class_embedding) {
            (FeatureSelect::Full, _) | (_, None) => features,
            (FeatureSelect::Patches, Some(_)) => without_class_token(&features)?,
        };
        collector.states(VisionRead::Features, || Ok(features.clone()))?;
        Ok(features)
    }

    /// A layer's output `[B · T, V]` for its input.
    fn run_layer(
        &self,
        index: usize,
        layer: &EncoderLayer,
        x: &Tensor,
        count: usize,
        collector: &mut Collector<'_>,
    ) -> Result<Tensor> {
        let projections = layer.project(&self.context, &self.shape, x, count)?;
        collector.layer(index, &projections)?;
        let x = layer.finish(&self.context, &self.shape, x, &projections)?;
        collector.states(VisionRead::HiddenState(index + 1), || {
            Ok(x.reshape((count, x.dim(0)? / count, ()))?)
        })?;
        Ok(x)
    }

    /// Patches through the patch matrix, after the class token, plus positions, and the norm of the
    /// sum: `[B · (patches + 1), width]`.
    fn embed(&self, pixels: &Tensor) -> Result<Tensor> {
        let config = &self.config;
        let count = pixels.dim(0)?;
        let (grid, patch, channels) = (
            config.patches_per_side(),
            config.patch_size,
            config.num_channels,
        );
        // On the host, where pixels come from. Pixels that don't fill a patch are dropped.
        let pixels = pixels.to_device(&Device::Cpu)?;
        let pixels = match grid * patch {
            side if side < config.image_size => pixels.narrow(2, 0, side)?.narrow(3, 0, side)?,
            _ => pixels,
        };
        let patches = pixels
            .to_dtype(self.context.dtype)?
            .reshape(vec![count, channels, grid, patch, grid, patch])?
            .permute(vec![0, 2, 4, 1, 3, 5])?
            .contiguous()?
            .reshape((count * grid * grid, channels * patch * patch))?
            .to_device(&self.context.device)?;
        let embedded = self.patch_embedding.forward(&patches)?;
        let width = config.hidden_size;
        let (Some(class), Some(pre_norm)) = (&self.class_embedding, &self.pre_norm) else {
            let places = (0..count).flat_map(|_| 0..(grid * grid) as u32);
            let positions = gather_ids(&self.position_embedding, &places.collect::<Vec<_>>())?;
            return ops::add(&embedded, &positions);
        };
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            let len = grid * grid;
            let class = class.reshape((1, width))?;
            // Row 0 is the class token's, with which every image begins.
            let rows = (0..count as u32)
                .flat_map(|image| (0..=len as u32).map(move |row| (image, row)))
                .map(|(image, row)| {
                    if row == 0 {
                        0
                    } else {
                        image * len as u32 + row
                    }
                });
            let rows: Vec<u32> = rows.collect();
            let x = crate::gpu::rows_of_both(&class, &embedded, &rows)?;
            let positions: Vec<u32> = (0..count).flat_map(|_| 0..=len as u32).collect();
            let positions = gather_ids(&self.position_embedding, &positions)?;
            let weights = pre_norm.weights();
            let (_, normed) = crate::gpu::added_and_normed(&x, &positions, weights)?;
            return Ok(normed);
        }
        let embedded = embedded.reshape((count, grid * grid, ()))?;
        let class = class.broadcast_as((count, 1, width))?;
        let embedded = Tensor::cat(&[&class.contiguous()?, &embedded], 1)?
            .broadcast_add(&self.position_embedding)?
            .flatten_to(1)?;
        pre_norm.forward(&self.context, &embedded)
    }
}

/// `[B, T, V]` without each image's first token.
fn without_class_token(states: &Tensor) -> Result<Tensor> {
    let (count, len, _) = states.dims3()?;
    let images = (0..count)
        .map(|image| states.narrow(0, image, 1)?.narrow(1, 1, len - 1))
        .collect::<candle_core::Result<Vec<_>>>()?;
    // Concatenation needs no kernel on a GPU.
    concatenated(&images)
}
