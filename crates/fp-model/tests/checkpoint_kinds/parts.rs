//! One part of a model, a model without one, and other families.

use fp_model::{CheckpointError, OpenedCheckpoint};
use serde_json::{Value, json};

use super::folder::{Folder, renamed, zeros};
use crate::common::checkpoint::{Tensors, golden_config, golden_tensors, save, write_config};

/// The original project's config and tensor names, without projector and tower.
fn original_decoder() -> (Tensors, Value) {
    let mut config = golden_config()["text_config"].clone();
    config["model_type"] = json!("llava_llama");
    config["architectures"] = json!(["LlavaLlamaForCausalLM"]);
    config["mm_vision_tower"] = json!("someone/clip-tiny");
    config["mm_projector_type"] = json!("mlp2x_gelu");
    let tensors = renamed(golden_tensors(), |name| {
        let rest = name.strip_prefix("language_model.")?;
        Some(rest.to_owned())
    });
    (tensors, config)
}

/// Writes it with the tower's folder inside, where it is searched for.
fn write_original(folder: &Folder, tensors: &Tensors, config: &Value) {
    write_config(folder.path(), config);
    save(tensors, &folder.file("model.safetensors"));
    let tower = folder.file("clip-tiny");
    let vision = golden_config()["vision_config"].clone();
    write_config(
        &tower,
        &json!({"model_type": "clip", "vision_config": vision}),
    );
    let vision = renamed(golden_tensors(), |name| {
        let rest = name.strip_prefix("vision_tower.")?;
        Some(rest.to_owned())
    });
    save(&vision, &tower.join("model.safetensors"));
}

#[test]
fn a_projector_alone_in_a_file_of_its_own() {
    for (name, config) in [
        ("mm_projector.bin", Some(original_decoder().1)),
        ("mm_projector.bin", None),
        ("mm_projector.safetensors", Some(golden_config())),
    ] {
        let folder = Folder::empty();
        folder.write(name, b"");
        if let Some(config) = config {
            folder.write_json("config.json", &config);
        }
        folder.refused_with(&["only a projector", name, "language model isn't there"]);
    }
}

#[test]
fn a_projector_alone_among_weights() {
    for prefix in [
        "multi_modal_projector.linear_1",
        "model.mm_projector.0",
        "mm_projector.0",
    ] {
        let folder = Folder::with(|tensors, _| {
            tensors.clear();
            tensors.insert(format!("{prefix}.weight"), zeros(&[32, 48]));
            tensors.insert(format!("{prefix}.bias"), zeros(&[32]));
        });
        folder.refused_with(&["only a projector", prefix]);
        assert!(matches!(
            folder.refusal(),
            CheckpointError::ProjectorOnly { .. }
        ));
    }
}

#[test]
fn a_vision_tower_alone() {
    // Recognised by its config.
    for model_type in ["clip", "clip_vision_model", "siglip_vision_model"] {
        let folder = Folder::whole();
        folder.write_json("config.json", &json!({"model_type": model_type}));
        folder.refused_with(&["only a vision tower", model_type, "--vision-tower"]);
    }
    // Recognised by its tensors.
    for prefix in ["vision_tower.", ""] {
        let folder = Folder::with(|tensors, _| {
            let all = std::mem::take(tensors);
            *tensors = renamed(all, |name| {
                let rest = name.strip_prefix("vision_tower.")?;
                Some(format!("{prefix}{rest}"))
            });
        });
        folder.refused_with(&["only a vision tower", "tensors such as"]);
        assert!(matches!(
            folder.refusal(),
            CheckpointError::TowerOnly { .. }
        ));
    }
}

#[test]
fn a_model_without_its_projector() {
    // In the original layout, with the projector still in the file that training wrote.
    let folder = Folder::beside();
    let (tensors, config) = original_decoder();
    write_original(&folder, &tensors, &config);
    folder.refused_with(&[
        "projector is missing",
        "`model.mm_projector.0.weight`",
        "a file mm_projector.bin",
    ]);
    folder.write("mm_projector.bin", b"");
    let beside = folder.file("mm_projector.bin").display().to_string();
    folder.refused_with(&["projector is missing", &beside, "save it in full"]);
    // If the projector is among the weights, that file is only a copy.
    let (mut tensors, config) = original_decoder();
    tensors.extend(renamed(golden_tensors(), |name| {
        let rest = name.strip_prefix("multi_modal_projector.linear_")?;
        let (layer, part) = rest.split_once('.')?;
        let layer = 2 * (layer.parse::<usize>().ok()? - 1);
        Some(format!("model.mm_projector.{layer}.{part}"))
    }));
    write_original(&folder, &tensors, &config);
    assert!(OpenedCheckpoint::open(folder.path(), None).is_ok());
    // In Hugging Face's layout.
    let folder = Folder::with(|tensors, _| {
        tensors.retain(|name, _| !name.starts_with("multi_modal_projector"));
    });
    folder.refused_with(&[
        "projector is missing",
        "`multi_modal_projector.linear_1.weight`",
    ]);
}

#[test]
fn a_model_without_its_tower() {
    let folder = Folder::with(|tensors, _| {
        tensors.retain(|name, _| !name.starts_with("vision_tower"));
    });
    folder.refused_with(&["vision tower is missing", "saved in full"]);
    assert!(matches!(folder.refusal(), CheckpointError::NoTower { .. }));
    // With only those of the tower's tensors that aren't used.
    let folder = Folder::with(|tensors, _| {
        tensors.retain(|name, _| !name.starts_with("vision_tower"));
        tensors.insert("text_model.final_layer_norm.weight".to_owned(), zeros(&[4]));
    });
    folder.refused_with(&["vision tower is missing"]);
    // A tower folder with something else in it.
    let folder = Folder::beside();
    let (tensors, config) = original_decoder();
    let mut tensors = tensors;
    tensors.insert("model.mm_projector.0.weight".to_owned(), zeros(&[32, 48]));
    write_original(&folder, &tensors, &config);
    let other = Tensors::from([("text_model.norm.weight".to_owned(), zeros(&[4]))]);
    save(&other, &folder.file("clip-tiny/model.safetensors"));
    folder.refused_with(&["vision tower is missing", "clip-tiny"]);
}

#[test]
fn a_language_model_alone() {
    for (model_type, class) in [
        ("llama", "LlamaForCausalLM"),
        ("mistral", "MistralForCausalLM"),
    ] {
        let folder = Folder::whole();
        let mut config = golden_config()["text_config"].clone();
        config["model_type"] = json!(model_type);
        config["architectures"] = json!([class]);
        folder.write_json("config.json", &config);
        folder.refused_with(&["a language model alone", model_type, "without vision tower"]);
    }
}

#[test]
fn other_families_are_named_with_what_is_expected() {
    for (model_type, class) in [
        ("qwen3_vl", "Qwen3VLForConditionalGeneration"),
        ("internvl", "InternVLForConditionalGeneration"),
        ("instructblip", "InstructBlipForConditionalGeneration"),
        ("paligemma", "PaliGemmaForConditionalGeneration"),
    ] {
        let folder = Folder::with(|_, config| {
            config["model_type"] = json!(model_type);
            config["architectures"] = json!([class]);
        });
        let parts = [
            "config.json",
            "`model_type`",
            model_type,
            class,
            "`llava`, `llava_next`",
        ];
        folder.refused_with(&parts);
    }
    // In the original layout, on another decoder.
    let folder = Folder::with(|_, config| {
        *config = original_decoder().1;
        config["model_type"] = json!("llava_qwen");
    });
    folder.refused_with(&["llava_qwen", "`llava_llama`"]);
    // The model type is supported, but the class is not.
    let folder = Folder::with(|_, config| {
        config["architectures"] = json!(["VipLlavaForConditionalGeneration"]);
    });
    folder.refused_with(&[
        "`architectures`",
        "VipLlavaForConditionalGeneration",
        "`LlavaForConditionalGeneration`",
    ]);
    // A missing class doesn't contradict.
    for nothing in [Value::Null, json!([])] {
        let folder = Folder::with(|_, config| config["architectures"] = nothing);
        assert!(folder.inspect().is_complete());
    }
}

/// The original project's config names its tower, whatever else is in the folder.
#[test]
fn towers_of_other_families() {
    for tower in [
        "google/siglip-so400m-patch14-384",
        "google/siglip2-base-patch16-224",
        "facebook/dinov2-large",
        "/models/QuanSun/EVA02-CLIP-L-14-336/",
        "laion/CLIP-convnext_large_d_320",
    ] {
        let folder = Folder::empty();
        let mut config = original_decoder().1;
        config["mm_vision_tower"] = json!(tower);
        folder.write_json("config.json", &config);
        folder.refused_with(&["config.json", "`mm_vision_tower`", tower, "expected a CLIP"]);
    }
    // A folder name above the tower's is ignored.
    let folder = Folder::empty();
    let mut config = original_decoder().1;
    config["mm_vision_tower"] = json!("siglip-or-not/clip-vit-large-patch14-336");
    folder.write_json("config.json", &config);
    folder.refused_with(&["no weights"]);
}
