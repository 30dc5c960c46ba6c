//! The parts of a CLIP model that a LLaVA checkpoint with its vision tower lacks: the text tower
//! and both projections, read from a Hugging Face folder of the CLIP model.
//!
//! The vision tower and its last norm are those of the LLaVA checkpoint
//! ([`crate::VisionRead::NormedFeatures`]); a CLIP folder's own are not read.

mod error;
mod evidence;
mod opened;
mod question;
mod segments;
mod tokens;
mod tower;

pub use error::ClipError;
pub use opened::OpenedClip;
pub use question::clip_text;

use candle_core::{DType, Device, Tensor};

use self::tokens::ClipTokenizer;
use self::tower::TextTower;
use crate::cpu_format::CpuFormat;
use crate::error::Result;
use crate::linear::Linear;
use crate::ops::host_values;
use crate::weights::{ComputeContext, Loader, Source};

/// Name of the projection of image features.
const VISUAL_PROJECTION: &str = "visual_projection";

/// The text side of a CLIP model, and its projection of image features.
#[derive(Debug)]
pub(crate) struct Clip {
    tokenizer: ClipTokenizer,
    tower: TextTower,
    visual_projection: Linear,
}

impl Clip {
    /// Reads the weights. The text tower computes on the CPU in the number formats of `context`;
    /// the projection of image features computes in `f32`, as CDPruner's authors do.
    fn load(opened: OpenedClip, context: &ComputeContext) -> Result<Clip> {
        let OpenedClip {
            config,
            checkpoint,
            tokenizer,
        } = opened;
        let source = Source::Files {
            main: checkpoint,
            tower: None,
        };
        let loader = |context| Loader {
            source: &source,
            context,
            config: &config.path,
            in_tower: false,
        };
        // The text tower runs on the CPU: a question is only a few dozen tokens.
        let context = &context.on_cpu();
        let exact = ComputeContext {
            dtype: DType::F32,
            rounding: None,
            activations: CpuFormat::F32,
            ..context.clone()
        };
        let outputs = (VISUAL_PROJECTION, config.projection_dim);
        Ok(Clip {
            tower: TextTower::load(&loader(context), &config)?,
            visual_projection: loader(&exact).linear(
                &[outputs],
                config.vision.hidden_size,
                false,
            )?,
            tokenizer,
        })
    }

    /// A text's embeddings `[segments, C]`, one row per segment of the context.
    pub(crate) fn text_embeds(&self, text: &str) -> Result<Tensor> {
        self.tower.forward(&self.tokenizer.ids(text)?)
    }

    /// Embeddings `[n, C]` in `f32` of features after the tower's last norm, `[n, V]`.
    pub(crate) fn image_embeds(&self, normed: &Tensor) -> Result<Tensor> {
        let values = host_values(normed)?;
        let normed = Tensor::from_vec(values, normed.dims(), &Device::Cpu)?;
        self.visual_projection.forward(&normed)
    }
}
