//! The vision transformer over patches of an image of any size, and the merger after it.

use candle_core::{DType, Device, Tensor};

use super::layer::{Layer, Norm};
use super::windows::PatchOrder;
use crate::config::{Activation, DynamicVision, ModelConfig, VisionConfig};
use crate::error::{ModelError, Result};
use crate::linear::Linear;
use crate::llama::Rotary;
use crate::ops::gather_rows;
use crate::vision::check_finite;
use crate::weights::{ComputeContext, Loader, Names};

/// Base of the frequencies of rotation by row and column.
const ROTARY_BASE: f64 = 10_000.0;

/// Vision part of Qwen2-VL and Qwen2.5-VL.
#[derive(Debug)]
pub(crate) struct PatchVision {
    config: VisionConfig,
    dynamic: DynamicVision,
    patch_embedding: Linear,
    layers: Vec<Layer>,
    merger_norm: Norm,
    merger: [Linear; 2],
    context: ComputeContext,
}

impl PatchVision {
    pub(super) fn load(
        loader: &Loader<'_>,
        config: &ModelConfig,
        names: &Names,
    ) -> Result<PatchVision> {
        let Some(dynamic) = config.dynamic.clone() else {
            return Err(ModelError::InputValue {
                what: "the vision part",
                found: "one of squares".to_owned(),
                expected: "patches of images of any size".to_owned(),
            });
        };
        let vision = &config.vision;
        let v = vision.hidden_size;
        let patch = vision.patch_size;
        let pictures = dynamic.temporal_patch_size;
        let layers = (0..vision.num_layers)
            .map(|layer| {
                let prefix = format!("{}blocks.{layer}.", names.vision);
                Layer::load(loader, &prefix, vision, &dynamic)
            })
            .collect::<Result<_>>()?;
        let merged = v * dynamic.merge_size.pow(2);
        let norm = format!("{}merger.ln_q", names.vision);
        let [first, second] = names.projector;
        Ok(PatchVision {
            patch_embedding: loader.matrix(
                &[(format!("{}patch_embed.proj.weight", names.vision), v)],
                &[vision.num_channels, pictures, patch, patch],
                None,
            )?,
            layers,
            merger_norm: Norm::load(loader, &norm, vision, &dynamic)?,
            merger: [
                loader.linear(&[(first, merged)], merged, true)?,
                loader.linear(&[(second, config.text.hidden_size)], merged, true)?,
            ],
            context: loader.context.clone(),
            config: vision.clone(),
            dynamic,
        })
    }

    /// Image tokens `[N, D]` from pixel values `[1, channels, height, width]`, in row-major order,
    /// and the columns and rows of their grid.
    ///
    /// # Errors
    /// Pixel values of another shape, or with sides that aren't multiples of an image token's side.
    pub(crate) fn encode(&self, pixels: &Tensor) -> Result<(Tensor, [usize; 2])> {
        let cell = self.config.patch_size * self.dynamic.merge_size;
        let [height, width] = match pixels.dims() {
            [1, channels, height, width]
                if *channels == self.config.num_channels
                    && *height > 0
                    && *width > 0
                    && height.is_multiple_of(cell)
                    && width.is_multiple_of(cell) =>
            {
                [*height, *width]
            }
            other => {
                return Err(ModelError::InputShape {
                    what: "pixel values",
                    got: other.to_vec(),
                    expected: format!(
                        "one image, [1, {}, height, width] with sides that are multiples of {cell}",
                        self.config.num_channels
                    ),
                });
            }
        };
        let grid = self.dynamic.grid(&self.config, [height, width]);
        let window =
            (0..self.config.num_layers).find_map(|layer| self.dynamic.window(&self.config, layer));
        let order = PatchOrder::new(grid, self.dynamic.merge_size, window);
        let patches = self.patches(pixels, &order)?;
        let embedded = self.patch_embedding.forward(&patches)?;
        let tokens = self.merge(&self.run_layers(embedded, &order)?)?;
        let tokens = gather_rows(&tokens, &order.cells)?;
        check_finite(&tokens, "the image features")?;
        Ok((tokens, grid))
    }

    /// The last layer's output `[P, V]` for embedded patches.
    fn run_layers(&self, mut x: Tensor, order: &PatchOrder) -> Result<Tensor> {
        let layers = self.layers.iter().enumerate();
        let layers = layers.map(|(index, layer)| {
            let has_windows = self.dynamic.window(&self.config, index).is_some();
            (layer, has_windows)
        });
        let (angles, num_patches) = (self.angles(order), order.places.len());
        #[cfg(feature = "cuda")]
        if self.context.device.is_cuda() {
            return super::on_gpu::run_layers(layers, &self.context, &x, &angles, &order.windows);
        }
        let head_dim = self.config.hidden_size / self.config.num_heads;
        let rotary = Rotary::of_angles(angles.into_iter(), num_patches, head_dim, &self.context)?;
        let whole = 0..num_patches;
        for (layer, has_windows) in layers {
            let windows = match has_windows {
                true => &order.windows[..],
                false => std::slice::from_ref(&whole),
            };
            x = layer.forward(&self.context, &x, &rotary, windows)?;
        }
        Ok(x)
    }

    /// Patches as rows for the patch matrix, `[P, channels · frames · patch · patch]`: a still
    /// image is repeated for each of a patch's frames.
    fn patches(&self, pixels: &Tensor, order: &PatchOrder) -> Result<Tensor> {
        let (_, channels, height, width) = pixels.dims4()?;
        let (patch, pictures) = (self.config.patch_size, self.dynamic.temporal_patch_size);
        let values: Vec<f32> = pixels
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1()?;
        let len = channels * pictures * patch * patch;
        let mut rows = Vec::with_capacity(order.places.len() * len);
        for &[row, column] in &order.places {
            for channel in 0..channels {
                for _ in 0..pictures {
                    for y in row * patch..(row + 1) * patch {
                        let start = (channel * height + y) * width + column * patch;
                        rows.extend_from_slice(&values[start..start + patch]);
                    }
                }
            }
        }
        Ok(
            Tensor::from_vec(rows, (order.places.len(), len), &Device::Cpu)?
                .to_dtype(self.context.dtype)?
                .to_device(&self.context.device)?,
        )
    }

    /// Angles `[P, head size / 2]`: the first half of a head's frequencies rotates by the row, the
    /// second by the column.
    fn angles(&self, order: &PatchOrder) -> Vec<f32> {
        let head_dim = self.config.hidden_size / self.config.num_heads;
        let quarter = head_dim / 4;
        let frequencies: Vec<f32> = (0..quarter)
            .map(|i| (1.0 / ROTARY_BASE.powf(2.0 * i as f64 / (head_dim / 2) as f64)) as f32)
            .collect();
        let angles = order.places.iter().flatten().flat_map(|&at| {
            let at = at as f32;
            frequencies.iter().map(move |frequency| at * frequency)
        });
        angles.collect()
    }

    /// Merges `[P, V]` to `[cells, D]`: the patches of a cell side by side, through two linear
    /// layers.
    fn merge(&self, x: &Tensor) -> Result<Tensor> {
        let normed = self.merger_norm.forward(&self.context, x)?;
        let unit = self.dynamic.merge_size.pow(2);
        let rows = normed.reshape((normed.dim(0)? / unit, unit * self.config.hidden_size))?;
        let [first, second] = &self.merger;
        second.forward(&first.activated(&rows, Activation::Gelu)?)
    }
}
