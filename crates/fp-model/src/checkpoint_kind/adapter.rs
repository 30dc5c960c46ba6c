//! Adapters: alone, beside weights, and among them.

use super::error::CheckpointError;
use super::folder::Folder;
use crate::config::read_json;
use crate::weights::Checkpoint;

const CONFIG: &str = "adapter_config.json";

/// Files of an adapter, the one that names its base model first.
const FILES: [&str; 4] = [
    CONFIG,
    "adapter_model.safetensors",
    "adapter_model.bin",
    // The original LLaVA saves here the weights that its LoRA training changed besides the adapter.
    "non_lora_trainables.bin",
];

/// Parts of tensor names that occur only in PEFT models, anywhere in the name.
const PARTS: [&str; 14] = [
    "lora_A",
    "lora_B",
    "lora_E",
    "lora_embedding_A",
    "lora_embedding_B",
    "lora_magnitude_vector",
    "base_layer",
    "ia3_l",
    "hada_w1_a",
    "lokr_w1",
    "vera_lambda_b",
    "modules_to_save",
    "original_module",
    "prompt_encoder",
];

/// Prefix of all tensor names of a model wrapped by PEFT.
const PREFIX: &str = "base_model.model.";

/// Refuses an adapter alone, and one beside weights that would run without it.
pub(super) fn check_folder(folder: &Folder) -> Result<(), CheckpointError> {
    let Some(found) = folder.first_of(&FILES) else {
        return Ok(());
    };
    let file = folder.path(found);
    let config = read_json(&folder.path(CONFIG)).ok();
    let text = |field: &str| -> Option<String> {
        let value = config.as_ref()?.get(field)?.as_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    let base = text("base_model_name_or_path");
    let kind = match text("peft_type") {
        Some(kind) if kind.eq_ignore_ascii_case("lora") => "a LoRA".to_owned(),
        Some(kind) => format!("a PEFT ({kind})"),
        None => "a PEFT".to_owned(),
    };
    Err(if folder.has_weights() {
        CheckpointError::AdapterBeside { file, kind, base }
    } else {
        CheckpointError::Adapter { file, kind, base }
    })
}

/// Refuses weights with an adapter's tensors among them: without those tensors the base model would
/// answer unnoticed.
pub(super) fn check_tensors(weights: &Checkpoint) -> Result<(), CheckpointError> {
    let mut found = weights.names().filter(|name| is_of_adapter(name));
    let Some(first) = found.next() else {
        return Ok(());
    };
    Err(CheckpointError::Unmerged {
        dir: weights.dir().to_owned(),
        example: first.to_owned(),
        count: 1 + found.count(),
    })
}

fn is_of_adapter(name: &str) -> bool {
    name.starts_with(PREFIX) || name.split('.').any(|part| PARTS.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::is_of_adapter;

    #[test]
    fn names_of_adapters() {
        for name in [
            "language_model.model.layers.0.self_attn.q_proj.lora_A.default.weight",
            "model.layers.0.self_attn.q_proj.lora_B.weight",
            "model.layers.0.mlp.up_proj.base_layer.weight",
            "base_model.model.model.norm.weight",
            "multi_modal_projector.modules_to_save.default.linear_1.weight",
            "model.layers.0.self_attn.q_proj.lora_magnitude_vector",
        ] {
            assert!(is_of_adapter(name), "{name}");
        }
        for name in [
            "language_model.model.layers.0.self_attn.q_proj.weight",
            "model.base_model.weight",
            "model.explora_A_head.weight",
        ] {
            assert!(!is_of_adapter(name), "{name}");
        }
    }
}
