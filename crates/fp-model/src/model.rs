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

/// How a model is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Where it computes.
    pub device: Device,
    /// Precision. On the CPU sums are in `f32` whatever it is. `F16` and `BF16` round the
    /// weights' values there, so that they are those a half-precision checkpoint would
    /// have, and keep matrices in two bytes a value; `F32` keeps the stored values in four.
    /// `None` keeps the stored values in their own format, mapped where they are two bytes
    /// in a safetensors file: the numbers of `F32` in half of the memory. Elsewhere `None`
    /// takes the checkpoint's own format, `F16` if it doesn't say.
    pub dtype: Option<DType>,
    /// Folder of the vision tower, for checkpoints of the original layout. By
    /// default it is looked for beside and inside the checkpoint.
    pub vision_tower: Option<PathBuf>,
    /// Whether to compute with this project's own kernels where it has them, on
    /// the CPU. Without, the tensor library does everything, on the same path as
    /// on a GPU: slower, and a check on both.
    pub kernels: bool,
    /// What those kernels round rows to before they multiply them by weights. `Bf16` takes
    /// weights in `BF16`, and is faster where the processor has AVX512_BF16.
    pub activations: CpuFormat,
    /// What those kernels' KV cache keeps; on a GPU it is in the model's own format.
    pub kv_cache: CpuFormat,
    /// Parts of the vision tower to load beside those that features take.
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
    /// Refuses formats that don't go together or that the device doesn't have.
    ///
    /// # Errors
    /// A dtype that no model has; activations or a KV cache in bf16 where this project's CPU
    /// kernels don't do the work, or with weights in another format.
    pub fn check(&self) -> Result<()> {
        self.formats(None).map(|_| ())
    }

    pub(crate) fn context(&self, config: &ModelConfig) -> Result<ComputeContext> {
        self.formats(config.stored_dtype.as_deref())
    }

    /// `stored` is the dtype that the checkpoint names.
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

    /// Refuses formats that only this project's CPU kernels have, and those without their
    /// weights.
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
                expected: "none where this project's CPU kernels don't do the work: a GPU \
                           computes in the model's own format"
                    .to_owned(),
            });
        }
        if is_bf16(self.activations) && self.dtype != Some(DType::BF16) {
            return Err(ModelError::InputValue {
                what: "the activations' format",
                found: "bf16, with weights that aren't".to_owned(),
                expected: "f32, or weights in bf16 too (dtype bf16)".to_owned(),
            });
        }
        Ok(())
    }
}

/// An image as the decoder sees it: N embeddings of width D. Made once per
/// image, used for any number of questions.
#[derive(Debug, Clone)]
pub struct ImageFeatures {
    pub(crate) embeds: Tensor,
    /// What selectors may look at; none of any-resolution tiles.
    pub(crate) vision: Option<Arc<VisionEvidence>>,
    /// The same of each crop, where every patch of every crop is a token.
    pub(crate) crops: Option<Arc<CropFeatures>>,
    /// How the decoder numbers them.
    pub(crate) numbering: Numbering,
}

/// The crops that image tokens lie in.
#[derive(Debug)]
pub(crate) struct CropFeatures {
    /// Of each crop, the squeezed image first, the tokens that its patches became.
    pub(crate) tokens: Vec<Vec<usize>>,
    /// What was read of the vision tower for each.
    pub(crate) vision: Vec<VisionEvidence>,
}

impl ImageFeatures {
    /// N.
    pub fn num_tokens(&self) -> usize {
        self.embeds.dims().first().copied().unwrap_or(0)
    }

    /// With what was read of the vision tower for the same image.
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
    /// Beside the checkpoint, for methods that compare image and question.
    pub(crate) clip: Option<Clip>,
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

    /// Where the model computes.
    pub fn device(&self) -> &Device {
        &self.decoder.context().device
    }

    /// Number format of hidden states and caches.
    pub fn dtype(&self) -> DType {
        self.decoder.context().dtype
    }

    /// Features that were made elsewhere, `[N, D]`.
    ///
    /// # Errors
    /// Another shape, or no tokens.
    pub fn image_features(&self, embeds: &Tensor) -> Result<ImageFeatures> {
        let width = self.config.text.hidden_size;
        if self.config.text.rope_sections.is_some() {
            return Err(ModelError::InputValue {
                what: "image features",
                found: "rows alone".to_owned(),
                expected: "an image's pixels, whose grid says where its tokens stand".to_owned(),
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
