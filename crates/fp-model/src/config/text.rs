//! The decoder's configuration.

use fp_scoring::DecoderShape;

use super::Fields;
use super::{MOST_HEADS, MOST_LAYERS, MOST_VALUES_OF_A_HEAD};
use crate::error::Result;

/// Longest sequence that a config may state, in tokens.
const MOST_POSITIONS: usize = 1 << 28;

/// Scaling of rotary positions.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RopeScaling {
    /// No scaling.
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
    /// Scaling of rotary positions.
    pub rope_scaling: RopeScaling,
    /// Numbers of frequencies that rotate by time, row and column (`mrope_section`); `None` if
    /// positions have one axis.
    pub rope_sections: Option<[usize; 3]>,
    /// Longest sequence that the model supports.
    pub max_positions: usize,
    /// Longest distance that attention may span, if limited.
    pub sliding_window: Option<usize>,
    /// Whether the attention's projections of queries, keys and values have a bias.
    pub attention_bias: bool,
    /// Whether the attention's output projection has a bias.
    pub output_bias: bool,
    /// Whether the MLP's three projections have a bias.
    pub mlp_bias: bool,
    /// Whether the output layer is the embedding table.
    pub tie_embeddings: bool,
    /// Tokens at which generation stops, according to this config.
    pub eos_tokens: Vec<u32>,
}

impl TextConfig {
    /// Reads the decoder's fields; `fields` may be absent.
    pub(crate) fn from_fields(fields: &Fields<'_>) -> Result<TextConfig> {
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
            rope_sections: None,
            max_positions: fields.size_up_to(
                "max_position_embeddings",
                max_positions,
                MOST_POSITIONS,
            )?,
            // `null` disables the window; only a missing field means the default.
            sliding_window: if fields.is_stated("sliding_window") {
                fields.optional_size("sliding_window", MOST_POSITIONS)?
            } else {
                window
            },
            attention_bias: fields.flag("attention_bias", false)?,
            output_bias: fields.flag("attention_bias", false)?,
            mlp_bias: fields.flag("mlp_bias", false)?,
            tie_embeddings: fields.flag("tie_word_embeddings", false)?,
            eos_tokens: fields
                .token_list("eos_token_id")?
                .unwrap_or_else(|| vec![2]),
            num_heads,
            model_type,
        };
        config.check(fields)?;
        Ok(config)
    }

    /// Reads the fields of a Qwen2 decoder, in which only the projections of queries, keys and
    /// values have biases; with three rotary axes also the sections of the embedding.
    pub(crate) fn qwen2(
        fields: &Fields<'_>,
        model_types: &[&str],
        rotary: Qwen2Rotary,
    ) -> Result<TextConfig> {
        let model_type = fields.string("model_type", "qwen2")?;
        if !model_types.contains(&model_type.as_str()) {
            let names: Vec<String> = model_types.iter().map(|name| format!("`{name}`")).collect();
            return Err(fields.invalid("model_type", &names.join(" or ")));
        }
        if fields.flag("use_sliding_window", false)? {
            return Err(fields.invalid("use_sliding_window", "false"));
        }
        // Class defaults of Hugging Face's Qwen2Config and of the decoders of Qwen2-VL.
        let is_plain = rotary == Qwen2Rotary::Line;
        let defaults = if is_plain {
            (151_936, 4096, 22016, 32, 32, 32, 10_000.0)
        } else {
            (152_064, 8192, 29568, 80, 64, 8, 1_000_000.0)
        };
        let (vocab, hidden, intermediate, layers, heads, kv_heads, theta) = defaults;
        let num_heads = fields.size_up_to("num_attention_heads", heads, MOST_HEADS)?;
        let config = TextConfig {
            vocab_size: fields.size_up_to("vocab_size", vocab, 1 << 24)?,
            hidden_size: fields.size("hidden_size", hidden)?,
            intermediate_size: fields.size("intermediate_size", intermediate)?,
            num_layers: fields.size_up_to("num_hidden_layers", layers, MOST_LAYERS)?,
            num_kv_heads: fields.size("num_key_value_heads", kv_heads)?,
            explicit_head_dim: fields.optional_size("head_dim", MOST_VALUES_OF_A_HEAD)?,
            rms_norm_eps: fields.number("rms_norm_eps", if is_plain { 1e-6 } else { 1e-5 })?,
            rope_theta: rope_theta_or(fields, theta)?,
            rope_scaling: RopeScaling::None,
            rope_sections: None,
            max_positions: fields.size_up_to("max_position_embeddings", 32768, MOST_POSITIONS)?,
            sliding_window: None,
            attention_bias: true,
            output_bias: false,
            mlp_bias: false,
            tie_embeddings: fields.flag("tie_word_embeddings", false)?,
            eos_tokens: fields
                .token_list("eos_token_id")?
                .unwrap_or_else(|| vec![151_645]),
            num_heads,
            model_type,
        };
        config.check(fields)?;
        Ok(TextConfig {
            rope_scaling: match rotary {
                Qwen2Rotary::Line => rope_scaling(fields)?,
                Qwen2Rotary::Sections => RopeScaling::None,
            },
            rope_sections: match rotary {
                Qwen2Rotary::Line => None,
                Qwen2Rotary::Sections => Some(rope_sections(fields, config.head_dim() / 2)?),
            },
            ..config
        })
    }

    /// The axis of positions, 0 to 2, that rotates each frequency; `None` if there is one axis.
    pub(crate) fn rope_axes(&self) -> Option<Vec<usize>> {
        let sections = self.rope_sections?;
        let axes = sections.iter().enumerate();
        Some(
            axes.flat_map(|(axis, &len)| std::iter::repeat_n(axis, len))
                .collect(),
        )
    }

    fn check(&self, fields: &Fields<'_>) -> Result<()> {
        let (config, num_heads) = (self, self.num_heads);
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
        Ok(())
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

/// Position axes of a Qwen2 decoder's rotary embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Qwen2Rotary {
    /// One axis.
    Line,
    /// Three axes, each with a section of the frequencies.
    Sections,
}

/// The base of the rotary frequencies, which newer configs state in an object for all rotary
/// settings.
fn rope_theta(fields: &Fields<'_>) -> Result<f64> {
    rope_theta_or(fields, 10000.0)
}

fn rope_theta_or(fields: &Fields<'_>, default: f64) -> Result<f64> {
    if fields.has("rope_theta") {
        fields.number("rope_theta", default)
    } else {
        fields
            .object("rope_parameters")?
            .number("rope_theta", default)
    }
}

/// Number of frequencies per axis; together they must be all of a head's.
fn rope_sections(fields: &Fields<'_>, half: usize) -> Result<[usize; 3]> {
    let name = if fields.has("rope_parameters") {
        "rope_parameters"
    } else {
        "rope_scaling"
    };
    let scaling = fields.object(name)?;
    for field in ["rope_type", "type"] {
        let kind = scaling.string(field, "mrope")?;
        if !["mrope", "default"].contains(&kind.as_str()) {
            return Err(scaling.invalid(field, "`mrope` or `default`"));
        }
    }
    let expected = || format!("three counts of frequencies that make {half}, half of a head");
    let sections = match scaling.sizes("mrope_section")? {
        None => vec![16, 24, 24],
        Some(sections) => sections,
    };
    match <[usize; 3]>::try_from(sections) {
        Ok(sections) if sections.iter().sum::<usize>() == half => Ok(sections),
        _ => Err(scaling.invalid("mrope_section", &expected())),
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
