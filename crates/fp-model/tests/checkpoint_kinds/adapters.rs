//! Adapters: alone, beside weights, and among them.

use fp_model::CheckpointError;
use serde_json::{Value, json};

use super::folder::{Folder, renamed, zeros};
use crate::common::checkpoint::{Tensors, golden_config, golden_tensors, save};

const QUERY: &str = "language_model.model.layers.2.self_attn.q_proj";

fn adapter_config(base: &str) -> Value {
    json!({"base_model_name_or_path": base, "peft_type": "LORA", "r": 4, "lora_alpha": 8})
}

/// The config of an original LLaVA, as included in its LoRA folders.
fn original_config() -> Value {
    let mut config = golden_config()["text_config"].clone();
    config["model_type"] = json!("llava_llama");
    config["architectures"] = json!(["LlavaLlamaForCausalLM"]);
    config["mm_vision_tower"] = json!("openai/clip-vit-large-patch14-336");
    config["mm_projector_type"] = json!("mlp2x_gelu");
    config
}

fn adapter_tensors() -> Tensors {
    Tensors::from([
        (
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".to_owned(),
            zeros(&[4, 32]),
        ),
        (
            "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight".to_owned(),
            zeros(&[32, 4]),
        ),
    ])
}

#[test]
fn an_adapter_alone_names_its_base_and_how_to_merge_it() {
    let parts = [
        "adapter_config.json",
        "a LoRA adapter for someone/llava-base",
        "merge_and_unload",
        "save_pretrained",
    ];
    // As saved by PEFT for Hugging Face's LLaVA: no config.json at all.
    let bare = Folder::empty();
    bare.write_json("adapter_config.json", &adapter_config("someone/llava-base"));
    save(&adapter_tensors(), &bare.file("adapter_model.safetensors"));
    bare.refused_with(&parts);
    assert!(matches!(
        bare.refusal(),
        CheckpointError::Adapter { base: Some(base), .. } if base == "someone/llava-base"
    ));
    // As saved by the original project, with the model's config and the other trained weights.
    bare.write_json("config.json", &original_config())
        .write("non_lora_trainables.bin", b"");
    bare.refused_with(&parts);
    // As saved by an older PEFT.
    let older = Folder::beside();
    older
        .write_json("adapter_config.json", &adapter_config("someone/llava-base"))
        .write("adapter_model.bin", b"")
        .write_json("config.json", &golden_config());
    older.refused_with(&parts);
}

#[test]
fn adapters_that_say_little_of_themselves() {
    // Without a base model named.
    let folder = Folder::empty();
    folder.write_json("adapter_config.json", &json!({"peft_type": "IA3"}));
    folder.refused_with(&["a PEFT (IA3) adapter", "a base model that it doesn't name"]);
    // Without a config, or with one that doesn't parse.
    for name in ["adapter_model.safetensors", "non_lora_trainables.bin"] {
        let folder = Folder::empty();
        folder.write(name, b"");
        folder.refused_with(&[name, "a PEFT adapter"]);
    }
    let folder = Folder::empty();
    folder.write("adapter_config.json", b"{");
    folder.refused_with(&["adapter_config.json", "doesn't name"]);
}

#[test]
fn an_adapter_beside_weights_is_not_passed_over() {
    let folder = Folder::whole();
    folder.write_json("adapter_config.json", &adapter_config("someone/llava-base"));
    let parts = [
        "adapter_config.json",
        "for someone/llava-base",
        "beside a model's weights",
        "move it out of the folder",
    ];
    folder.refused_with(&parts);
    assert!(matches!(
        folder.refusal(),
        CheckpointError::AdapterBeside { .. }
    ));
    save(
        &adapter_tensors(),
        &folder.file("adapter_model.safetensors"),
    );
    folder.refused_with(&parts);
    // Weights, and a file of what was trained besides an adapter.
    let folder = Folder::whole();
    folder.write("non_lora_trainables.bin", b"");
    folder.refused_with(&["non_lora_trainables.bin"]);
    // Without that file the folder runs.
    folder.remove("non_lora_trainables.bin");
    assert!(folder.inspect().is_complete());
}

/// Saved as PEFT wraps it, which renames the wrapped modules.
#[test]
fn a_model_that_was_saved_unmerged() {
    let folder = Folder::with(|tensors, _| {
        let weight = tensors.remove(&format!("{QUERY}.weight")).unwrap();
        tensors.insert(format!("{QUERY}.base_layer.weight"), weight);
        tensors.insert(format!("{QUERY}.lora_A.default.weight"), zeros(&[4, 32]));
        tensors.insert(format!("{QUERY}.lora_B.default.weight"), zeros(&[32, 4]));
    });
    folder.refused_with(&[
        "not merged",
        "3 of their tensors",
        QUERY,
        "merge_and_unload",
    ]);
}

/// All names of the base model exist, with the adapter's among them: the base model would answer
/// without an error.
#[test]
fn an_adapter_among_plain_names() {
    for names in [
        ["lora_A.default.weight", "lora_B.default.weight"],
        ["lora_A.weight", "lora_B.weight"],
        ["lora_embedding_A", "lora_embedding_B"],
        ["lora_magnitude_vector", "ia3_l.default"],
    ] {
        let folder = Folder::with(|tensors, _| {
            for name in names {
                tensors.insert(format!("{QUERY}.{name}"), zeros(&[4, 32]));
            }
        });
        let error = folder.refusal();
        assert!(
            matches!(&error, CheckpointError::Unmerged { count: 2, example, .. }
                if example.starts_with(QUERY)),
            "{error}"
        );
    }
    // A module that was trained besides the adapter.
    let folder = Folder::with(|tensors, _| {
        let name = "multi_modal_projector.modules_to_save.default.linear_1.weight";
        tensors.insert(name.to_owned(), zeros(&[32, 48]));
    });
    folder.refused_with(&["1 of their tensors", "modules_to_save"]);
}

#[test]
fn a_state_dictionary_with_the_prefix_of_peft() {
    let folder = Folder::with(|tensors, _| {
        let all = std::mem::take(tensors);
        *tensors = renamed(all, |name| Some(format!("base_model.model.{name}")));
    });
    let count = golden_tensors().len();
    folder.refused_with(&[&format!("{count} of their tensors"), "base_model.model."]);
}
