//! LLaVA with visual-token pruning: one prefix, many branches.
//!
//! A sample runs through decoder layers 1..K once; the result is a [`Prefix`], which includes layer
//! K's attention to the image. The tokens selected from it continue to a later layer, which gives
//! another [`Prefix`], or to the end: any number of selections as one batch of [`Branches`],
//! decoded together. Without pruning, the model's outputs equal those of the reference
//! implementations.
//!
//! CLIP's text tower and projections, which LLaVA checkpoints lack, come from a CLIP folder:
//! [`OpenedClip`].
//!
//! Parts that several samples share are run once: the [`SystemPrefix`] of all prompts of a
//! template, through all layers, and the [`ImagePrefix`] of all questions on an image. Sharing
//! doesn't change a bit of the results.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use fp_model::prompt::EncodedPrompt;
//! use fp_model::{GenerateOptions, LlavaModel, LoadOptions, Preset, PrefixOptions};
//! use fp_scoring::KeptTokens;
//!
//! // Dummy weights; `LlavaModel::load` takes a checkpoint's folder instead.
//! let model = LlavaModel::random(Preset::Tiny, 1, &LoadOptions::default())?;
//! let side = model.config().vision.image_size;
//! let pixels = Tensor::zeros((1, 3, side, side), DType::F32, &Device::Cpu)?;
//! let image = model.encode_image(&pixels)?;
//!
//! // Three tokens, the image token, three tokens.
//! let prompt = EncodedPrompt { input_ids: vec![1, 7, 8, 500, 9, 10, 11], image_position: 3 };
//! let last_row = 3 + image.num_tokens() + 2;
//! let options = PrefixOptions { depth: 2, query_rows: vec![last_row] };
//! let prefix = model.prefill_prefix(&prompt, &image, &options)?;
//!
//! // Two ways to keep four image tokens, as one batch.
//! let kept = [
//!     KeptTokens::new(vec![0, 5, 10, 15], image.num_tokens())?,
//!     KeptTokens::new(vec![0, 1, 2, 3], image.num_tokens())?,
//! ];
//! let mut branches = model.branch(&prefix, &kept)?;
//! let answers = model.generate(&mut branches, &GenerateOptions::greedy(&model, 4))?;
//! assert_eq!(answers.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod advance;
mod attention_store;
mod branch;
mod checkpoint_kind;
mod clip;
mod clock;
mod combined;
pub mod config;
mod continuation;
mod cpu_format;
mod device;
mod error;
#[cfg(test)]
mod error_kinds;
mod families;
mod generate;
#[cfg(feature = "cuda")]
mod gpu;
mod hidden_rows;
mod image_prefix;
mod inspect;
mod kernel_matrix;
mod linear;
mod llama;
mod logits;
mod margin;
mod model;
mod opened;
mod ops;
mod pixels;
mod positions;
mod prefix;
mod projector;
pub mod prompt;
mod prune;
mod resident;
mod sample;
mod sampling;
mod source;
mod stages;
mod system_prefix;
pub mod tokenizer;
mod tower_evidence;
mod vision;
mod weights;

pub use advance::Advance;
pub use branch::{Branches, Ending};
pub use checkpoint_kind::CheckpointError;
pub use clip::{ClipError, OpenedClip, clip_text};
pub use combined::{CombinedAttention, ScoreRequest};
pub use config::{ModelConfig, Preset};
pub use cpu_format::{CpuFormat, UnknownCpuFormat, instructions, rounding};
pub use device::{device, free_gpu_memory, is_device_name};
pub use error::{EXPECTED_MODEL_FOLDER, ModelError, Result};
pub use families::Family;
pub use generate::{FinishReason, GenerateOptions, Generation, MOST_NEW_TOKENS};
pub use image_prefix::ImagePrefix;
pub use inspect::{Inspection, StoredValues, inspect};
pub use model::{ImageFeatures, LlavaModel, LoadOptions};
pub use opened::OpenedCheckpoint;
pub use pixels::ToTensor;
pub use positions::Position;
pub use prefix::{Prefix, PrefixOptions};
pub use prune::{PlannedSample, SampleOutput, StageOutput, StageTimings};
pub use resident::{ResidentMemory, ResidentRun};
pub use sample::Sample;
pub use sampling::Sampling;
pub use source::{DummyInput, ModelSource};
pub use stages::SampleFacts;
pub use system_prefix::SystemPrefix;
pub use vision::{VisionEvidence, VisionParts, VisionRead, VisionRequest};
