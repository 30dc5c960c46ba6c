//! The vision tower's configuration.

use super::Fields;
use super::{MOST_HEADS, MOST_LAYERS};
use crate::error::{ModelError, Result};

/// Longest side of an input that a config may state, in pixels.
const MOST_PIXELS: usize = 1 << 14;

/// An elementwise activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x · Φ(x).
    Gelu,
    /// x / (1 + e^(−1.702 x)).
    QuickGelu,
    /// x · ½ (1 + tanh(√(2/π) (x + 0.044715 x³))).
    GeluTanh,
}

impl Activation {
    pub(crate) fn parse(fields: &Fields<'_>, name: &str, default: &str) -> Result<Activation> {
        match fields.string(name, default)?.as_str() {
            "gelu" => Ok(Activation::Gelu),
            "quick_gelu" => Ok(Activation::QuickGelu),
            "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
            _ => Err(fields.invalid(name, "`gelu`, `quick_gelu` or `gelu_pytorch_tanh`")),
        }
    }
}

/// How a tower's first hidden state is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TowerKind {
    /// CLIP: a class token before the patches, and a norm after the embeddings.
    Clip,
    /// SigLIP: patches alone, whose embedding has a bias; pixels that don't fill a patch are
    /// dropped.
    Siglip,
    /// Qwen2-VL: patches alone, without learned positions.
    Rotary,
}

/// A vision transformer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct VisionConfig {
    /// How its first hidden state is computed.
    pub kind: TowerKind,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of layers; features may need fewer.
    pub num_layers: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// Channels of the input.
    pub num_channels: usize,
    /// Side of the square input in pixels.
    pub image_size: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Added to the variance in each layer norm.
    pub layer_norm_eps: f64,
}

impl VisionConfig {
    /// CLIP ViT-L/14 at 336 pixels, the tower of LLaVA-1.5.
    pub fn clip_large_336() -> VisionConfig {
        VisionConfig {
            kind: TowerKind::Clip,
            hidden_size: 1024,
            intermediate_size: 4096,
            num_layers: 24,
            num_heads: 16,
            num_channels: 3,
            image_size: 336,
            patch_size: 14,
            activation: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
        }
    }

    /// SigLIP-so400m/14 at 384 pixels with 26 layers, the tower of LLaVA-OneVision.
    pub fn siglip_so400m_384() -> VisionConfig {
        VisionConfig {
            kind: TowerKind::Siglip,
            hidden_size: 1152,
            intermediate_size: 4304,
            num_layers: 26,
            num_heads: 16,
            num_channels: 3,
            image_size: 384,
            patch_size: 14,
            activation: Activation::GeluTanh,
            layer_norm_eps: 1e-6,
        }
    }

    /// Reads a `vision_config`; its absence means [`VisionConfig::clip_large_336`].
    pub(crate) fn from_hugging_face(fields: &Fields<'_>) -> Result<VisionConfig> {
        if !fields.is_present() {
            return Ok(VisionConfig::clip_large_336());
        }
        if fields.string("model_type", "clip_vision_model")? != "clip_vision_model" {
            return Err(fields.invalid("model_type", "`clip_vision_model`"));
        }
        // Class defaults of Hugging Face's CLIPVisionConfig.
        let config = VisionConfig {
            kind: TowerKind::Clip,
            hidden_size: fields.size("hidden_size", 768)?,
            intermediate_size: fields.size("intermediate_size", 3072)?,
            num_layers: fields.size_up_to("num_hidden_layers", 12, MOST_LAYERS)?,
            num_heads: fields.size_up_to("num_attention_heads", 12, MOST_HEADS)?,
            num_channels: fields.size_up_to("num_channels", 3, 1 << 10)?,
            image_size: fields.size_up_to("image_size", 224, MOST_PIXELS)?,
            patch_size: fields.size_up_to("patch_size", 32, MOST_PIXELS)?,
            activation: Activation::parse(fields, "hidden_act", "quick_gelu")?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-5)?,
        };
        if !config.hidden_size.is_multiple_of(config.num_heads) {
            return Err(fields.invalid(
                "hidden_size",
                &format!("a multiple of {} heads", config.num_heads),
            ));
        }
        if !config.image_size.is_multiple_of(config.patch_size) {
            return Err(fields.invalid(
                "image_size",
                &format!("a multiple of the patch size {}", config.patch_size),
            ));
        }
        Ok(config)
    }

    /// Reads the `vision_config` of a SigLIP tower; its absence means SigLIP-so400m/14 at 384
    /// with 26 layers, the tower of LLaVA-OneVision.
    pub(crate) fn siglip(fields: &Fields<'_>) -> Result<VisionConfig> {
        if !fields.is_present() {
            return Ok(VisionConfig::siglip_so400m_384());
        }
        if fields.string("model_type", "siglip_vision_model")? != "siglip_vision_model" {
            return Err(fields.invalid("model_type", "`siglip_vision_model`"));
        }
        // Class defaults of Hugging Face's SiglipVisionConfig.
        let config = VisionConfig {
            kind: TowerKind::Siglip,
            hidden_size: fields.size("hidden_size", 768)?,
            intermediate_size: fields.size("intermediate_size", 3072)?,
            num_layers: fields.size_up_to("num_hidden_layers", 12, MOST_LAYERS)?,
            num_heads: fields.size_up_to("num_attention_heads", 12, MOST_HEADS)?,
            num_channels: fields.size_up_to("num_channels", 3, 1 << 10)?,
            image_size: fields.size_up_to("image_size", 224, MOST_PIXELS)?,
            patch_size: fields.size_up_to("patch_size", 16, MOST_PIXELS)?,
            activation: Activation::parse(fields, "hidden_act", "gelu_pytorch_tanh")?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-6)?,
        };
        if !config.hidden_size.is_multiple_of(config.num_heads) {
            let expected = format!("a multiple of {} heads", config.num_heads);
            return Err(fields.invalid("hidden_size", &expected));
        }
        if config.patch_size > config.image_size {
            let expected = format!("at most the image's {} pixels", config.image_size);
            return Err(fields.invalid("patch_size", &expected));
        }
        Ok(config)
    }

    /// The layer, counted from 0, with `index` among the tower's layers, as in transformers'
    /// `attentions`: from the end if negative, so that −1 is the last layer.
    ///
    /// # Errors
    /// An index outside −L..L, L being the number of layers.
    pub fn layer_index(&self, index: i64) -> Result<usize> {
        resolve(index, self.num_layers, "a vision layer")
    }

    /// The hidden state with `index`, as in transformers' `hidden_states`: 0 is the input of the
    /// first layer, L the output of the last one; from the end if negative.
    ///
    /// # Errors
    /// An index outside −(L + 1)..=L.
    pub fn state_index(&self, index: i64) -> Result<usize> {
        resolve(
            index,
            self.num_layers + 1,
            "a hidden state of the vision tower",
        )
    }

    /// Number of tokens before the patches: 1 if there is a class token, else 0.
    pub fn num_class_tokens(&self) -> usize {
        usize::from(self.kind == TowerKind::Clip)
    }

    /// Number of tokens of one image: its patches, and the class token if there is one.
    pub fn num_tokens(&self) -> usize {
        self.num_patches() + self.num_class_tokens()
    }

    /// Number of patches along one side of the image.
    pub fn patches_per_side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Number of patches of one image.
    pub fn num_patches(&self) -> usize {
        self.patches_per_side().pow(2)
    }
}

/// Resolves `index` among `count` entries, from the end if negative.
fn resolve(index: i64, count: usize, what: &'static str) -> Result<usize> {
    let from_start = if index < 0 {
        i64::try_from(count)
            .ok()
            .and_then(|count| count.checked_add(index))
    } else {
        Some(index)
    };
    from_start
        .and_then(|index| usize::try_from(index).ok())
        .filter(|index| *index < count)
        .ok_or_else(|| ModelError::InputValue {
            what,
            found: index.to_string(),
            expected: format!(
                "an index into {count}, −{count} to {}",
                count.saturating_sub(1)
            ),
        })
}
