//! The configuration of a CLIP model that is given beside a LLaVA checkpoint.

use std::path::{Path, PathBuf};

use super::Fields;
use super::vision::{Activation, VisionConfig};
use super::{MOST_HEADS, MOST_LAYERS, read_json};
use crate::error::Result;

/// Longest context that a config may state, in tokens.
const MOST_POSITIONS: usize = 1 << 20;

/// The parts of a CLIP model's configuration that are used beside a LLaVA checkpoint.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ClipConfig {
    /// The text tower.
    pub text: ClipTextConfig,
    /// The vision tower, whose weights come from the LLaVA checkpoint.
    pub vision: VisionConfig,
    /// C, width of the embeddings of images and texts.
    pub projection_dim: usize,
    /// The file that it was read from.
    pub path: PathBuf,
}

/// CLIP's text transformer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ClipTextConfig {
    /// Size of the vocabulary.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Number of heads.
    pub num_heads: usize,
    /// The context: tokens of one segment, beginning and end included.
    pub max_positions: usize,
    /// Activation of the MLP.
    pub activation: Activation,
    /// Added to the variance in each layer norm.
    pub layer_norm_eps: f64,
    /// The token that a text is pooled at. OpenAI's configs state 2, which means the largest id of
    /// the text.
    pub eos_token: u32,
}

impl ClipConfig {
    /// Reads `config.json` in `dir`.
    ///
    /// # Errors
    /// A file that can't be read or parsed, a model other than CLIP, or an unsupported value,
    /// reported with the supported ones.
    pub fn from_dir(dir: &Path) -> Result<ClipConfig> {
        let path = dir.join("config.json");
        let value = read_json(&path)?;
        let fields = Fields::new(&value, &path)?;
        if fields.string("model_type", "")? != "clip" {
            return Err(fields.invalid("model_type", "`clip`, a CLIP model of both towers"));
        }
        for part in ["text_config", "vision_config"] {
            if !fields.has(part) {
                return Err(fields.invalid(part, "an object"));
            }
        }
        let text = fields.object("text_config")?;
        let config = ClipConfig {
            // Class default of Hugging Face's CLIPConfig.
            projection_dim: fields.size("projection_dim", 512)?,
            text: ClipTextConfig::from_fields(&text)?,
            vision: VisionConfig::from_hugging_face(&fields.object("vision_config")?)?,
            path: path.clone(),
        };
        let own = text.optional_size("projection_dim", 1 << 20)?;
        if own.is_some_and(|width| width != config.projection_dim) {
            let expected = format!("{}, as outside of it", config.projection_dim);
            return Err(text.invalid("projection_dim", &expected));
        }
        Ok(config)
    }
}

impl ClipTextConfig {
    fn from_fields(fields: &Fields<'_>) -> Result<ClipTextConfig> {
        if fields.string("model_type", "clip_text_model")? != "clip_text_model" {
            return Err(fields.invalid("model_type", "`clip_text_model`"));
        }
        // Class defaults of Hugging Face's CLIPTextConfig.
        let config = ClipTextConfig {
            vocab_size: fields.size_up_to("vocab_size", 49408, 1 << 24)?,
            hidden_size: fields.size("hidden_size", 512)?,
            intermediate_size: fields.size("intermediate_size", 2048)?,
            num_layers: fields.size_up_to("num_hidden_layers", 12, MOST_LAYERS)?,
            num_heads: fields.size_up_to("num_attention_heads", 8, MOST_HEADS)?,
            max_positions: fields.size_up_to("max_position_embeddings", 77, MOST_POSITIONS)?,
            activation: Activation::parse(fields, "hidden_act", "quick_gelu")?,
            layer_norm_eps: fields.number("layer_norm_eps", 1e-5)?,
            eos_token: fields.token("eos_token_id", 49407)?,
        };
        if !config.hidden_size.is_multiple_of(config.num_heads) {
            return Err(fields.invalid(
                "hidden_size",
                &format!("a multiple of {} heads", config.num_heads),
            ));
        }
        Ok(config)
    }
}
