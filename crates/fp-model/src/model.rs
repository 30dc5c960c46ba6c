//! The model as a whole: loading, and image features.

use crate::clip::VisionTower;
use crate::config::{ModelConfig, Preset};
use crate::error::{ModelError, Result};
use crate::llama::Llama;
use crate::opened::OpenedCheckpoint;
use crate::projector::Projector;
use crate::weights::{Loader, Names, Place, RandomWeights, Source};
use candle_core::{DType, Device, Tensor};
use fp_image::FeaturePacking;
use std::path::{Path, PathBuf};

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Where it computes.
    pub device: Device,
    /// Precision. On the CPU all arithmetic is in `f32`, which is also what
    /// weights are kept in; `F16` and `BF16` round the weights' values there, so
    /// that they are those a half-precision checkpoint would have. `None` keeps
    /// the stored values on the CPU and takes the checkpoint's own format (`F16`
    /// if it doesn't say) elsewhere.
    pub dtype: Option<DType>,
    /// Folder of the vision tower, for checkpoints of the original layout. By
    /// default it is looked for beside and inside the checkpoint.
    pub vision_tower: Option<PathBuf>,
    /// Whether to compute with this project's own kernels where it has them, on
    /// the CPU. Without, the tensor library does everything, on the same path as
    /// on a GPU: slower, and a check on both.
    pub kernels: bool,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            device: Device::Cpu,
            dtype: None,
            vision_tower: None,
            kernels: true,
        }
    }
}

impl LoadOptions {
    pub(crate) fn place(&self, stored: Option<&str>) -> Result<Place> {
        if let Some(dtype) = self
            .dtype
            .filter(|dtype| !matches!(dtype, DType::F32 | DType::F16 | DType::BF16))
        {
            return Err(ModelError::InputValue {
                what: "the dtype",
                found: dtype.as_str().to_owned(),
                expected: "f32, f16 or bf16".to_owned(),
            });
        }
        let is_cpu = self.device.is_cpu();
        let stored = match stored {
            Some("float32") => DType::F32,
            Some("bfloat16") => DType::BF16,
            _ => DType::F16,
        };
        Ok(Place {
            device: self.device.clone(),
            dtype: if is_cpu {
                DType::F32
            } else {
                self.dtype.unwrap_or(stored)
            },
            rounding: self.dtype.filter(|_| is_cpu),
            kernels: is_cpu && self.kernels,
        })
    }
}

/// An image as the decoder sees it: N embeddings of width D. Made once per
/// image, used for any number of questions.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    embeds: Tensor,
}

impl ImageFeatures {
    /// N.
    pub fn num_tokens(&self) -> usize {
        self.embeds.dims().first().copied().unwrap_or(0)
    }

    /// The embeddings, `[N, D]`.
    pub fn embeds(&self) -> &Tensor {
        &self.embeds
    }
}

/// A LLaVA model: vision tower, projector and decoder.
#[derive(Debug)]
pub struct LlavaModel {
    config: ModelConfig,
    tower: VisionTower,
    projector: Projector,
    newline: Option<Tensor>,
    pub(crate) decoder: Llama,
}

impl LlavaModel {
    /// Loads a checkpoint's folder. All that it needs is found to be there, whole
    /// and of the right shape before any value is read.
    ///
    /// # Errors
    /// A config or weight file that is missing, damaged or unsupported; a tensor
    /// that is missing or contradicts the config.
    ///
    /// # Examples
    /// ```no_run
    /// use fp_model::{LlavaModel, LoadOptions};
    ///
    /// let model = LlavaModel::load("llava-1.5-7b-hf", &LoadOptions::default())?;
    /// println!("{} decoder layers", model.config().text.num_layers);
    /// # Ok::<(), fp_model::ModelError>(())
    /// ```
    pub fn load(dir: impl AsRef<Path>, options: &LoadOptions) -> Result<LlavaModel> {
        OpenedCheckpoint::open(dir.as_ref(), options.vision_tower.as_deref())?.load(options)
    }

    /// A model of a known shape with seeded dummy weights, for timing.
    ///
    /// # Errors
    /// An unsupported dtype, or whatever the device reports.
    pub fn random(preset: Preset, seed: u64, options: &LoadOptions) -> Result<LlavaModel> {
        LlavaModel::random_of(preset.config(), seed, options)
    }

    /// As [`LlavaModel::random`], for any configuration.
    ///
    /// # Errors
    /// As there.
    pub fn random_of(config: ModelConfig, seed: u64, options: &LoadOptions) -> Result<LlavaModel> {
        let place = options.place(None)?;
        let source = Source::Random(RandomWeights { seed });
        let path = config.path.clone();
        LlavaModel::build(config, &path, &source, &Names::of_dummies(), &place)
    }

    pub(crate) fn build(
        config: ModelConfig,
        tower_config: &Path,
        source: &Source,
        names: &Names,
        place: &Place,
    ) -> Result<LlavaModel> {
        let loader = Loader {
            source,
            place,
            config: &config.path,
            in_tower: false,
        };
        let tower = Loader {
            source,
            place,
            config: tower_config,
            in_tower: names.has_tower_apart(),
        };
        Ok(LlavaModel {
            tower: VisionTower::load(&tower, &config, names)?,
            projector: Projector::load(&loader, &config, names)?,
            newline: match config.grid_pinpoints {
                Some(_) => Some(loader.tensor(names.newline, &[config.text.hidden_size])?),
                None => None,
            },
            decoder: Llama::load(&loader, &config, names)?,
            config,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where the model computes.
    pub fn device(&self) -> &Device {
        &self.decoder.place().device
    }

    /// Number format of hidden states and caches.
    pub fn dtype(&self) -> DType {
        self.decoder.place().dtype
    }

    /// Features of one square image with pixel values `[1, 3, side, side]`.
    ///
    /// # Errors
    /// Pixel values of another shape, or any that isn't finite.
    pub fn encode_image(&self, pixel_values: &Tensor) -> Result<ImageFeatures> {
        if pixel_values.dims().first() != Some(&1) {
            return Err(ModelError::InputShape {
                what: "pixel values",
                got: pixel_values.dims().to_vec(),
                expected: "one image, [1, 3, side, side]; any-resolution tiles need their packing"
                    .to_owned(),
            });
        }
        let embeds = self.project(pixel_values)?;
        Ok(ImageFeatures { embeds })
    }

    /// Features of any-resolution input: `pixel_values [tiles + 1, 3, side, side]`,
    /// the squeezed image first, and how tiles become tokens.
    ///
    /// # Errors
    /// A model without any-resolution input, pixel values of another shape, or a
    /// packing of another number of tiles.
    pub fn encode_tiles(
        &self,
        pixel_values: &Tensor,
        packing: &FeaturePacking,
    ) -> Result<ImageFeatures> {
        let Some(newline) = &self.newline else {
            return Err(ModelError::InputValue {
                what: "any-resolution input",
                found: "tiles".to_owned(),
                expected: "one square image, which is all that this model takes".to_owned(),
            });
        };
        let features = self.project(pixel_values)?;
        let num_rows = features.dim(0)?;
        let indices = packing.gather_indices(num_rows as u32);
        if let Some(index) = indices.iter().find(|index| **index as usize > num_rows) {
            return Err(ModelError::InputShape {
                what: "pixel values",
                got: pixel_values.dims().to_vec(),
                expected: format!("enough tiles for feature row {index}"),
            });
        }
        let table = Tensor::cat(&[&features, &newline.unsqueeze(0)?], 0)?;
        let embeds = table.index_select(&Tensor::new(indices, table.device())?, 0)?;
        Ok(ImageFeatures { embeds })
    }

    /// Features that were made elsewhere, `[N, D]`.
    ///
    /// # Errors
    /// Another shape, or no tokens.
    pub fn image_features(&self, embeds: &Tensor) -> Result<ImageFeatures> {
        let width = self.config.text.hidden_size;
        match embeds.dims() {
            [count, found] if *count > 0 && *found == width => {}
            other => {
                return Err(ModelError::InputShape {
                    what: "image features",
                    got: other.to_vec(),
                    expected: format!("[N, {width}] with N at least 1"),
                });
            }
        }
        let embeds = embeds
            .to_device(self.device())?
            .to_dtype(self.dtype())?
            .contiguous()?;
        Ok(ImageFeatures { embeds })
    }

    /// Vision tower and projector: `[images · tokens, D]`.
    fn project(&self, pixel_values: &Tensor) -> Result<Tensor> {
        let features = self.tower.forward(pixel_values)?;
        let embeds = self.projector.forward(&features.flatten_to(1)?)?;
        let check = embeds.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
        if !check.is_finite() {
            let values: Vec<f32> = embeds.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(ModelError::NotFinite {
                    what: "the image features",
                    index,
                });
            }
        }
        Ok(embeds)
    }
}
