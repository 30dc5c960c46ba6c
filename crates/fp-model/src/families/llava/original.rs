//! Configs of the original LLaVA layout: the decoder's fields at the top level, the multimodal ones
//! beside them with the prefix `mm_`.

use std::path::Path;

use crate::config::{
    Activation, FeatureSelect, Fields, ModelConfig, Origin, TextConfig, VisionConfig, read_json,
};
use crate::error::Result;
use crate::families::Family;

pub(in crate::families) fn parse(fields: &Fields<'_>) -> Result<ModelConfig> {
    let text = TextConfig::from_fields(fields)?;
    if fields.string("mm_projector_type", "linear")? != "mlp2x_gelu" {
        return Err(fields.invalid("mm_projector_type", "`mlp2x_gelu`"));
    }
    if fields.flag("mm_use_im_start_end", false)? {
        return Err(fields.invalid("mm_use_im_start_end", "false"));
    }
    let feature_select = match fields.string("mm_vision_select_feature", "patch")?.as_str() {
        "patch" => FeatureSelect::Patches,
        "cls_patch" => FeatureSelect::Full,
        _ => return Err(fields.invalid("mm_vision_select_feature", "`patch` or `cls_patch`")),
    };
    let aspect = fields.optional_string("image_aspect_ratio")?;
    let grid_pinpoints = match aspect.as_deref() {
        None | Some("pad" | "square") => None,
        // The original states (width, height).
        Some("anyres") => Some(
            fields
                .size_pairs("image_grid_pinpoints")?
                .into_iter()
                .map(|(width, height)| (height, width))
                .collect(),
        ),
        Some(_) => return Err(fields.invalid("image_aspect_ratio", "`pad`, `square` or `anyres`")),
    };
    let config = ModelConfig {
        family: Family::Llava,
        vision: VisionConfig::clip_large_336(),
        projector_activation: Activation::Gelu,
        image_token: None,
        vision_feature_layer: fields.integer("mm_vision_select_layer", -2)?,
        feature_select,
        grid_pinpoints,
        most_crops: None,
        dynamic: None,
        image_aspect_ratio: aspect,
        stored_dtype: fields.stored_dtype()?,
        eos_tokens: text.eos_tokens.clone(),
        tie_embeddings_outside: false,
        origin: Origin::Original {
            vision_tower: fields.string("mm_vision_tower", "")?,
        },
        path: fields.path().to_owned(),
        text,
    };
    Ok(config)
}

/// Reads the config of a CLIP folder: either of a whole CLIP model, with the vision part under
/// `vision_config`, or of a vision model alone.
pub(crate) fn vision_tower(dir: &Path) -> Result<VisionConfig> {
    let path = dir.join("config.json");
    let value = read_json(&path)?;
    let fields = Fields::new(&value, &path)?;
    let vision = fields.object("vision_config")?;
    if vision.is_present() {
        return VisionConfig::from_hugging_face(&vision);
    }
    VisionConfig::from_hugging_face(&fields)
}
