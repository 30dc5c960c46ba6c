//! Stored tensors that would change the answers but that the model doesn't use.
//!
//! A config that states too few layers, or no biases, describes another model than the stored one,
//! and that other model would answer without an error.

use std::collections::{BTreeMap, BTreeSet};

use super::error::CheckpointError;
use crate::config::{ModelConfig, TowerKind};
use crate::weights::{Checkpoint, ExpectedTensor, Names};

/// Buffers that are computed from the config, in any module.
const BUFFERS: [&str; 6] = [
    "inv_freq",
    "position_ids",
    "cos_cached",
    "sin_cached",
    "masked_bias",
    "_extra_state",
];

/// Prefixes of the tensors of a model's own modules, layout by layout. Other tensors belong to
/// other modules, such as a text encoder.
const MODULES: [&str; 6] = [
    "model.",
    "language_model.",
    "vision_tower.",
    "multi_modal_projector.",
    "lm_head.",
    "visual.",
];

/// Why a tensor isn't used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    DecoderLayer,
    VisionLayer,
    AttentionBias,
    MlpBias,
    Projector,
    Unknown,
}

impl Reason {
    fn text(self, config: &ModelConfig) -> String {
        let (text, vision) = (&config.text, &config.vision);
        let file = config.path.display();
        match self {
            Reason::DecoderLayer => format!(
                "{file} states `num_hidden_layers` {} for the decoder; expected as many as are \
                 stored",
                text.num_layers
            ),
            Reason::VisionLayer => format!(
                "the config states `num_hidden_layers` {} for the vision tower; expected as many \
                 as are stored",
                vision.num_layers
            ),
            Reason::AttentionBias => {
                format!("{file} states no `attention_bias`; expected true where biases are stored")
            }
            Reason::MlpBias => {
                format!("{file} states no `mlp_bias`; expected true where biases are stored")
            }
            Reason::Projector => {
                "expected a projector of two linear layers, and nothing more".to_owned()
            }
            Reason::Unknown => format!(
                "no part of the model that {file} describes takes them; expected weights and \
                 config of one model"
            ),
        }
    }
}

/// One error for each reason, for the weights of the folder or of its tower.
pub(crate) fn unused_tensors(
    weights: &Checkpoint,
    is_tower: bool,
    config: &ModelConfig,
    names: &Names,
    expected: &[ExpectedTensor],
) -> Vec<CheckpointError> {
    let needed: BTreeSet<&str> = expected.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut found: BTreeMap<Reason, (usize, &str)> = BTreeMap::new();
    for name in weights.names().filter(|name| !needed.contains(name)) {
        let reason = if is_tower {
            let rest = name.strip_prefix(names.vision);
            rest.and_then(|rest| of_tower(rest, config))
        } else {
            reason(name, config, names)
        };
        if let Some(reason) = reason {
            found.entry(reason).or_insert((0, name)).0 += 1;
        }
    }
    found
        .into_iter()
        .map(|(reason, (count, example))| CheckpointError::Unused {
            dir: weights.dir().to_owned(),
            example: example.to_owned(),
            count,
            reason: reason.text(config),
        })
        .collect()
}

/// Why an unused tensor would change the answers; `None` if it would not.
fn reason(name: &str, config: &ModelConfig, names: &Names) -> Option<Reason> {
    let last = name.rsplit('.').next().unwrap_or(name);
    // Unused as the config states: an output layer that is tied to the embeddings, and the
    // end-of-row embedding of any-resolution images if the config asks for single squares.
    if BUFFERS.contains(&last) || name == names.head || last == "image_newline" {
        return None;
    }
    if let Some(rest) = name.strip_prefix(names.vision) {
        return of_tower(rest, config);
    }
    if ["mm_projector.", "multi_modal_projector."]
        .iter()
        .any(|part| name.contains(part))
    {
        return Some(Reason::Projector);
    }
    if let Some(rest) = name.strip_prefix(names.decoder) {
        return Some(of_decoder(rest, config));
    }
    let is_inside = MODULES.iter().any(|module| name.starts_with(module));
    is_inside.then_some(Reason::Unknown)
}

fn of_decoder(rest: &str, config: &ModelConfig) -> Reason {
    match layer(rest, "layers.") {
        Some((index, _)) if index >= config.text.num_layers => Reason::DecoderLayer,
        Some((_, part)) if part.ends_with(".bias") && part.starts_with("self_attn.") => {
            Reason::AttentionBias
        }
        Some((_, part)) if part.ends_with(".bias") && part.starts_with("mlp.") => Reason::MlpBias,
        _ => Reason::Unknown,
    }
}

/// Unused without an effect on the features: layers past the one that they come from, the norm
/// after the last layer, and a pooling head.
fn of_tower(rest: &str, config: &ModelConfig) -> Option<Reason> {
    let last = rest.rsplit('.').next().unwrap_or(rest);
    let is_pooling = config.vision.kind == TowerKind::Siglip && rest.starts_with("head.");
    if BUFFERS.contains(&last) || rest.starts_with("post_layernorm.") || is_pooling {
        return None;
    }
    let stack = match config.vision.kind {
        TowerKind::Rotary => "blocks.",
        TowerKind::Clip | TowerKind::Siglip => "encoder.layers.",
    };
    match layer(rest, stack) {
        Some((index, _)) if index >= config.vision.num_layers => Some(Reason::VisionLayer),
        Some((index, _)) if index >= config.num_vision_layers_used() => None,
        _ => Some(Reason::Unknown),
    }
}

/// The index of a layer and the name inside it.
fn layer<'a>(name: &'a str, prefix: &str) -> Option<(usize, &'a str)> {
    let (index, part) = name.strip_prefix(prefix)?.split_once('.')?;
    Some((index.parse().ok()?, part))
}
