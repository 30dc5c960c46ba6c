//! The model as a whole: loading, and image features.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::clip::Clip;
use crate::config::{ModelConfig, Preset};
use crate::cpu_format::CpuFormat;
use crate::error::{ModelError, Result};
use crate::families::Loaders;
use crate::llama::Llama;
use crate::opened::OpenedCheckpoint;
use crate::positions::Numbering;
use crate::vision::{Vision, VisionEvidence, VisionParts};
use crate::weights::{ComputeContext, Loader, Names, RandomWeights, Source};

/// Options for loading a model.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The device to compute on.
    pub device: Device,
    /// Precision. On the CPU, sums are always in `f32`; `F16` and `BF16` round the weights to the
    /// values that a half-precision checkpoint would have, and store matrices in two bytes a value;
    /// `F32` stores the weights in four. `None` keeps the stored values in their own format,
    /// memory-mapped if they are two bytes in a safetensors file: the same numbers as `F32` in half
    /// the memory. On a GPU, `None` means the checkpoint's own format, or `F16` if it states none.
    pub dtype: Option<DType>,
    /// Folder of the vision tower, for checkpoints in the original layout. By default it is
    /// searched for beside and inside the checkpoint.
    pub vision_tower: Option<PathBuf>,
    /// Whether to compute with this project's own kernels on the CPU, where they exist. Otherwise
    /// the tensor library does everything, on the same code path as on a GPU: slower, but a check
    /// on both.
    pub kernels: bool,
    /// Format to which those kernels round rows before multiplying them by weights. `Bf16` requires
    /// weights in `BF16`, and is faster on processors with AVX512_BF16.
    pub activations: CpuFormat,
    /// Format of those kernels' KV cache; on a GPU the cache is in the model's own format.
    pub kv_cache: CpuFormat,
    /// Parts of the vision tower to load besides those that features need.
    pub vision: VisionParts,
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions {
            device: Device::Cpu,
            dtype: None,
            vision_tower: None,
            kernels: true,
            activations: CpuFormat::F32,
            kv_cache: CpuFormat::F32,
            vision: VisionParts::default(),
        }
    }
}

impl LoadOptions {
    /// Refuses formats that can't be combined or that the device doesn't support.
    ///
    /// # Errors
    /// An unsupported dtype; activations or a KV cache in bf16 if this project's CPU kernels aren't
    /// used, or activations in bf16 with weights in another format.
    pub fn check(&self) -> Result<()> {
        self.formats(None).map(|_| ())
    }

    pub(crate) fn context(&self, config: &ModelConfig) -> Result<ComputeContext> {
        self.formats(config.stored_dtype.as_deref())
    }

    /// `stored` is the dtype that the checkpoint states.
    fn formats(&self, stored: Option<&str>) -> Result<ComputeContext> {
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
        self.check_cpu_formats()?;
        let is_cpu = self.device.is_cpu();
        let stored = match stored {
            Some("float32") => DType::F32,
            Some("bfloat16") => DType::BF16,
            _ => DType::F16,
        };
        Ok(ComputeContext {
            device: self.device.clone(),
            dtype: if is_cpu {
                DType::F32
            } else {
                self.dtype.unwrap_or(stored)
            },
            rounding: self.dtype.filter(|_| is_cpu),
            kernels: is_cpu && self.kernels,
            activations: self.activations,
            kv_cache: self.kv_cache,
        })
    }

    /// Refuses formats that only this project's CPU kernels support if those aren't used, and bf16
    /// activations without bf16 weights.
    fn check_cpu_formats(&self) -> Result<()> {
        let by_kernels = self.device.is_cpu() && self.kernels;
        let is_bf16 = |format| format == CpuFormat::Bf16;
        if (is_bf16(self.activations) || is_bf16(self.kv_cache)) && !by_kernels {
            let what = if is_bf16(self.kv_cache) {
                "the KV cache's format"
            } else {
                "the activations' format"
            };
            return Err(ModelError::InputValue {
                what,
                found: "bf16".to_owned(),
                expected: "no bf16 format unless this project's CPU kernels are used: a GPU \
                           computes in the model's own format"
                    .to_owned(),
            });
        }
        if is_bf16(self.activations) && self.dtype != Some(DType::BF16) {
            return Err(ModelError::InputValue {
                what: "the activations' format",
                found: "bf16, with weights in another format".to_owned(),
                expected: "f32, or weights in bf16 too (dtype bf16)".to_owned(),
            });
        }
        Ok(())
    }
}

/// An image's input to the decoder: N embeddings of width D. Computed once per image, used for any
/// number of questions.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    pub(crate) embeds: Tensor,
    /// Evidence that selectors may read; `None` for any-resolution tiles.
    pub(crate) vision: Option<Arc<VisionEvidence>>,
    /// Evidence of each crop, if every patch of every crop is a token.
    pub(crate) crops: Option<Arc<CropFeatures>>,
    /// How the decoder numbers the tokens' positions.
    pub(crate) numbering: Numbering,
}

/// The crops to which image tokens belong.
#[derive(Debug)]
pub(crate) struct CropFeatures {
    /// For each crop, the resized whole image first, the tokens of its patches.
    pub(crate) tokens: Vec<Vec<usize>>,
    /// The evidence read from the vision tower for each crop.
    pub(crate) vision: Vec<VisionEvidence>,
}

impl ImageFeatures {
    /// N, the number of image tokens.
    pub fn num_tokens(&self) -> usize {
        self.embeds.dims().first().copied().unwrap_or(0)
    }

    /// Adds evidence read from the vision tower for the same image.
    #[must_use]
    pub fn with_vision(self, evidence: VisionEvidence) -> ImageFeatures {
        ImageFeatures {
            vision: Some(Arc::new(evidence)),
            ..self
        }
    }

    /// The embeddings, `[N, D]`.
    pub fn embeds(&self) -> &Tensor {
        &self.embeds
    }
}

/// A model of any family: its vision part, and the decoder.
#[derive(Debug)]
pub struct LlavaModel {
    config: ModelConfig,
    pub(crate) vision: Vision,
    pub(crate) decoder: Llama,
    /// The CLIP model given beside the checkpoint, for methods that compare image and question.
    pub(crate) clip: Option<Clip>,
}

impl LlavaModel {
    /// Loads a checkpoint's folder. All required files and tensors are checked for presence,
    /// integrity and shape before any value is read.
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
    /// An unsupported dtype, or a device that fails.
    pub fn random(preset: Preset, seed: u64, options: &LoadOptions) -> Result<LlavaModel> {
        LlavaModel::random_of(preset.config(), seed, options)
    }

    /// Like [`LlavaModel::random`], for any configuration.
    ///
    /// # Errors
    /// The same.
    pub fn random_of(config: ModelConfig, seed: u64, options: &LoadOptions) -> Result<LlavaModel> {
        let context = options.context(&config)?;
        let source = Source::Random(RandomWeights { seed });
        let path = config.path.clone();
        let names = config.family.card().layout_of_dummies();
        LlavaModel::build(config, &path, &source, names, &context, &options.vision)
    }

    pub(crate) fn build(
        config: ModelConfig,
        tower_config: &Path,
        source: &Source,
        names: &Names,
        context: &ComputeContext,
        vision: &VisionParts,
    ) -> Result<LlavaModel> {
        let loaders = Loaders {
            main: Loader {
                source,
                context,
                config: &config.path,
                in_tower: false,
            },
            tower: Loader {
                source,
                context,
                config: tower_config,
                in_tower: names.has_tower_apart(),
            },
        };
        let card = config.family.card();
        Ok(LlavaModel {
            vision: card.load_vision(&loaders, &config, names, vision)?,
            decoder: Llama::load(&loaders.main, &config, names)?,
            clip: None,
            config,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The device on which the model computes.
    pub fn device(&self) -> &Device {
        &self.decoder.context().device
    }

    /// Number format of hidden states and caches.
    pub fn dtype(&self) -> DType {
        self.decoder.context().dtype
    }

    /// Features computed elsewhere, `[N, D]`.
    ///
    /// # Errors
    /// Another shape, or no tokens.
    pub fn image_features(&self, embeds: &Tensor) -> Result<ImageFeatures> {
        let width = self.config.text.hidden_size;
        if self.config.text.rope_sections.is_some() {
            return Err(ModelError::InputValue {
                what: "image features",
                found: "rows alone".to_owned(),
                expected: "an image's pixels, whose grid determines its tokens' positions"
                    .to_owned(),
            });
        }
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
            .to_dtype(self.dtype())?
            .contiguous()?
            .to_device(self.device())?;
        Ok(ImageFeatures {
            embeds,
            vision: None,
            crops: None,
            numbering: Numbering::Line,
        })
    }
}
