//! What a LLaVA checkpoint lacks of the CLIP model that its vision tower is of: the text
//! tower and both projections, read from a Hugging Face folder of their own.
//!
//! The vision tower and its last norm are the LLaVA checkpoint's
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
    /// Reads the weights. The text tower computes where and as the model does, the projection
    /// of image features in `f32`, as CDPruner's authors have it.
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
        // A question is a few dozen tokens: it waits for no GPU.
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

    /// A text's embedding, a row for each segment of the context, `[segments, C]`.
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
