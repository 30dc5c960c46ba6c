//! Configs of Qwen2-VL and Qwen2.5-VL: the decoder's fields at the top level, as on the hub, or
//! under `text_config`.

use crate::config::{
    Activation, DynamicVision, FeatureSelect, Fields, MOST_HEADS, MOST_LAYERS, ModelConfig, Origin,
    Qwen2Rotary, TextConfig, TowerKind, VisionConfig,
};
use crate::error::Result;
use crate::families::Family;

/// Model types of the decoder, including those of the whole model for fields at the top level.
const DECODERS: [&str; 5] = [
    "qwen2",
    "qwen2_vl",
    "qwen2_vl_text",
    "qwen2_5_vl",
    "qwen2_5_vl_text",
];

/// Image tokens along the side of the square used for dummy weights: N = 576, as in LLaVA-1.5.
pub(super) const DUMMY_SIDE: usize = 24;

pub(super) fn parse(fields: &Fields<'_>, family: Family) -> Result<ModelConfig> {
    let model_type = fields.string("model_type", "qwen2_vl")?;
    let is_gated = model_type == "qwen2_5_vl";
    let nested = fields.object("text_config")?;
    let of_text = if nested.is_present() { &nested } else { fields };
    let text = TextConfig::qwen2(of_text, &DECODERS, Qwen2Rotary::Sections)?;
    let (vision, dynamic) = vision(&fields.object("vision_config")?, &text, is_gated)?;
    let config = ModelConfig {
        family,
        projector_activation: Activation::Gelu,
        image_token: Some(fields.image_token(151_655)?),
        vision_feature_layer: -1,
        feature_select: FeatureSelect::Patches,
        grid_pinpoints: None,
        most_crops: None,
        dynamic: Some(dynamic),
        image_aspect_ratio: None,
        stored_dtype: fields.stored_dtype()?,
        eos_tokens: text.eos_tokens.clone(),
        tie_embeddings_outside: fields.flag("tie_word_embeddings", false)?,
        origin: Origin::HuggingFace,
        path: fields.path().to_owned(),
        text,
        vision,
    };
    config.check()?;
    Ok(config)
}

/// The vision part, with the class defaults of `Qwen2VLVisionConfig` and `Qwen2_5_VLVisionConfig`
/// for missing fields.
fn vision(
    fields: &Fields<'_>,
    text: &TextConfig,
    is_gated: bool,
) -> Result<(VisionConfig, DynamicVision)> {
    let kinds = [
        "qwen2_vl",
        "qwen2_vl_vision",
        "qwen2_5_vl",
        "qwen2_5_vl_vision",
    ];
    let kind = fields.string("model_type", kinds[0])?;
    if !kinds.contains(&kind.as_str()) {
        return Err(fields.invalid("model_type", "`qwen2_vl_vision` or `qwen2_5_vl_vision`"));
    }
    let num_heads = fields.size_up_to("num_heads", 16, MOST_HEADS)?;
    let hidden_size = match is_gated {
        true => fields.size("hidden_size", 3584)?,
        false => fields.size("embed_dim", 1280)?,
    };
    let channels = if fields.has("in_chans") {
        "in_chans"
    } else {
        "in_channels"
    };
    let patch_size = fields.size_up_to("patch_size", 14, 1 << 10)?;
    let merge_size = fields.size_up_to("spatial_merge_size", 2, 1 << 6)?;
    // The merger's output must have the decoder's width.
    let (out, default) = match is_gated {
        true => ("out_hidden_size", 3584),
        false => ("hidden_size", 3584),
    };
    if fields.size(out, default)? != text.hidden_size {
        let expected = format!("{}, the decoder's width", text.hidden_size);
        return Err(fields.invalid(out, &expected));
    }
    let config = VisionConfig {
        kind: TowerKind::Rotary,
        intermediate_size: match is_gated {
            true => fields.size("intermediate_size", 3420)?,
            false => hidden_size * fields.size_up_to("mlp_ratio", 4, 1 << 8)?,
        },
        num_layers: fields.size_up_to("depth", 32, MOST_LAYERS)?,
        num_channels: fields.size_up_to(channels, 3, 1 << 10)?,
        image_size: DUMMY_SIDE * patch_size * merge_size,
        activation: match is_gated {
            true => Activation::Gelu,
            false => Activation::parse(fields, "hidden_act", "quick_gelu")?,
        },
        layer_norm_eps: 1e-6,
        hidden_size,
        num_heads,
        patch_size,
    };
    if is_gated && fields.string("hidden_act", "silu")? != "silu" {
        return Err(fields.invalid("hidden_act", "`silu`"));
    }
    // Row and column each rotate a quarter of a head, in pairs of halves.
    if !hidden_size.is_multiple_of(4 * num_heads) {
        let name = if is_gated { "hidden_size" } else { "embed_dim" };
        let expected = format!("a multiple of 4 times the {num_heads} heads");
        return Err(fields.invalid(name, &expected));
    }
    let dynamic = DynamicVision {
        merge_size,
        temporal_patch_size: fields.size_up_to("temporal_patch_size", 2, 1 << 6)?,
        window_size: match is_gated {
            true => Some(fields.size_up_to("window_size", 112, 1 << 14)?),
            false => None,
        },
        full_layers: match is_gated {
            true => fields
                .sizes("fullatt_block_indexes")?
                .unwrap_or_else(|| vec![7, 15, 23, 31]),
            false => Vec::new(),
        },
        is_gated,
    };
    if dynamic
        .window_size
        .is_some_and(|window| window < patch_size * merge_size)
    {
        let expected = format!("at least {}, one image token", patch_size * merge_size);
        return Err(fields.invalid("window_size", &expected));
    }
    Ok((config, dynamic))
}
