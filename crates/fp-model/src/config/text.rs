//! The decoder's configuration.

use fp_scoring::DecoderShape;

use super::fields::Fields;
use super::{MOST_HEADS, MOST_LAYERS, MOST_VALUES_OF_A_HEAD};
use crate::error::Result;

/// Longest sequence that a config may state.
const MOST_POSITIONS: usize = 1 << 28;

/// How rotary positions are stretched.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions are divided by this factor.
    Linear(f64),
}

/// A Llama-like decoder.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TextConfig {
    /// `llama`, `mistral` or the original layout's name.
    pub model_type: String,
    /// Size of the vocabulary.
    pub vocab_size: usize,
    /// D, width of the hidden states.
    pub hidden_size: usize,
    /// Width inside the gated MLP.
    pub intermediate_size: usize,
    /// L, number of decoder layers.
    pub num_layers: usize,
    /// H, number of query heads.
    pub num_heads: usize,
    /// Number of key and value heads.
    pub num_kv_heads: usize,
    /// Width of a head where the config states one.
    pub explicit_head_dim: Option<usize>,
    /// Added to the mean square in each RMS norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Stretching of rotary positions.
    pub rope_scaling: RopeScaling,
    /// Longest sequence that the model is meant for.
    pub max_positions: usize,
    /// Longest distance that attention may span, where limited.
    pub sliding_window: Option<usize>,
    /// Whether the attention's four projections have a bias.
    pub attention_bias: bool,
    /// Whether the MLP's three projections have a bias.
    pub mlp_bias: bool,
    /// Whether the output layer is the embedding table.
    pub tie_embeddings: bool,
    /// Tokens at which generation stops, by this config.
    pub eos_tokens: Vec<u32>,
}

impl TextConfig {
    /// Reads the decoder's fields, or their absence.
    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<TextConfig> {
        let model_type = fields.string("model_type", "llama")?;
        let mistral = match model_type.as_str() {
            "llama" | "llava" | "llava_llama" => false,
            "mistral" | "llava_mistral" => true,
            _ => return Err(fields.invalid("model_type", "`llama` or `mistral`")),
        };
        // Class defaults of Hugging Face's LlamaConfig and MistralConfig.
        let (intermediate, max_positions, window) = if mistral {
            (14336, 131_072, Some(4096))
        } else {
            (11008, 2048, None)
        };
        let num_heads = fields.size_up_to("num_attention_heads", 32, MOST_HEADS)?;
        let config = TextConfig {
            vocab_size: fields.size_up_to("vocab_size", 32000, 1 << 24)?,
            hidden_size: fields.size("hidden_size", 4096)?,
            intermediate_size: fields.size("intermediate_size", intermediate)?,
            num_layers: fields.size_up_to("num_hidden_layers", 32, MOST_LAYERS)?,
            num_kv_heads: fields
                .size("num_key_value_heads", if mistral { 8 } else { num_heads })?,
            explicit_head_dim: fields.optional_size("head_dim", MOST_VALUES_OF_A_HEAD)?,
            rms_norm_eps: fields.number("rms_norm_eps", 1e-6)?,
            rope_theta: rope_theta(fields)?,
            rope_scaling: rope_scaling(fields)?,
            max_positions: fields.size_up_to(
                "max_position_embeddings",
                max_positions,
                MOST_POSITIONS,
            )?,
            // `null` switches the window off; only silence means the default.
            sliding_window: if fields.is_stated("sliding_window") {
                fields.optional_size("sliding_window", MOST_POSITIONS)?
            } else {
                window
            },
            attention_bias: fields.flag("attention_bias", false)?,
            mlp_bias: fields.flag("mlp_bias", false)?,
            tie_embeddings: fields.flag("tie_word_embeddings", false)?,
            eos_tokens: fields
                .token_list("eos_token_id")?
                .unwrap_or_else(|| vec![2]),
            num_heads,
            model_type,
        };
        if fields.string("hidden_act", "silu")? != "silu" {
            return Err(fields.invalid("hidden_act", "`silu`"));
        }
        if config.explicit_head_dim.is_none() && !config.hidden_size.is_multiple_of(num_heads) {
            return Err(fields.invalid("hidden_size", &format!("a multiple of {num_heads} heads")));
        }
        if !config.head_dim().is_multiple_of(2) {
            return Err(fields.invalid("head_dim", "an even head width"));
        }
        if !num_heads.is_multiple_of(config.num_kv_heads) {
            return Err(fields.invalid(
                "num_key_value_heads",
                &format!("a divisor of {num_heads} heads"),
            ));
        }
        Ok(config)
    }

    /// Width of a head.
    pub fn head_dim(&self) -> usize {
        self.explicit_head_dim
            .unwrap_or(self.hidden_size / self.num_heads)
    }

    /// Bytes of keys and values per token and layer, at `bytes_per_value`.
    pub fn kv_bytes_per_token(&self, bytes_per_value: usize) -> usize {
        2 * self.num_kv_heads * self.head_dim() * bytes_per_value
    }

    /// The sizes that the decoder's cost depends on.
    pub fn decoder_shape(&self) -> DecoderShape {
        DecoderShape {
            num_layers: self.num_layers,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            num_heads: self.num_heads,
            num_kv_heads: self.num_kv_heads,
            head_dim: self.head_dim(),
        }
    }
}

/// Newer configs state all that concerns rotation in one object.
fn rope_theta(fields: &Fields<'_>) -> Result<f64> {
    const DEFAULT: f64 = 10000.0;
    if fields.has("rope_theta") {
        fields.number("rope_theta", DEFAULT)
    } else {
        fields
            .object("rope_parameters")?
            .number("rope_theta", DEFAULT)
    }
}

fn rope_scaling(fields: &Fields<'_>) -> Result<RopeScaling> {
    let name = if fields.has("rope_parameters") {
        "rope_parameters"
    } else {
        "rope_scaling"
    };
    let scaling = fields.object(name)?;
    let kind = if scaling.has("rope_type") {
        scaling.string("rope_type", "default")?
    } else {
        scaling.string("type", "default")?
    };
    match kind.as_str() {
        "default" => Ok(RopeScaling::None),
        "linear" if scaling.has("factor") => {
            Ok(RopeScaling::Linear(scaling.number("factor", 1.0)?))
        }
        _ => Err(fields.invalid(name, "none, or type `linear` with a factor")),
    }
}
