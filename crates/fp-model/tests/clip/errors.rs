//! Faulty CLIP folders.

use std::fs;
use std::path::Path;

use candle_core::DType;
use fp_model::{ModelConfig, OpenedClip};
use fp_scoring::error_text;
use serde_json::json;
use tempfile::TempDir;

use super::tiny::TinyClip;
use crate::common::golden;

/// Opens the folder after `change` and expects an error that contains all `parts`.
#[track_caller]
fn refuse(change: impl FnOnce(&mut TinyClip), after: impl FnOnce(&Path), parts: &[&str]) {
    let mut clip = super::clip();
    change(&mut clip);
    let dir = TempDir::new().unwrap();
    clip.write(dir.path());
    after(dir.path());
    let model = ModelConfig::from_dir(&golden("model")).unwrap();
    let error = OpenedClip::open(dir.path(), &model).unwrap_err();
    let text = error_text(&error);
    for part in parts {
        assert!(text.contains(part), "{text}\nlacks {part}");
    }
}

#[test]
fn folders_that_are_refused() {
    let nothing = |_: &mut TinyClip| {};
    let remove = |name: &'static str| move |dir: &Path| fs::remove_file(dir.join(name)).unwrap();
    let keep = |_: &Path| {};
    refuse(nothing, remove("config.json"), &["config.json"]);
    refuse(
        nothing,
        remove("model.safetensors"),
        &["no weights", "model.safetensors"],
    );
    refuse(
        nothing,
        remove("merges.txt"),
        &[
            "no tokenizer",
            "tokenizer.json, or vocab.json and merges.txt",
        ],
    );
    refuse(
        |clip| drop(clip.tensors.remove("visual_projection.weight")),
        keep,
        &["`visual_projection.weight`", "[10, 48]", "missing"],
    );
    refuse(
        |clip| {
            let name = "text_model.encoder.layers.1.mlp.fc2.bias";
            clip.tensors.remove(name);
        },
        keep,
        &["layers.1.mlp.fc2.bias`", "[12]", "missing"],
    );
    refuse(
        |clip| {
            let name = "text_projection.weight";
            let narrow = clip.tensors[name].narrow(0, 0, 7).unwrap();
            clip.tensors.insert(name.to_owned(), narrow);
        },
        keep,
        &["`text_projection.weight`", "[7, 12]", "[10, 12]"],
    );
    refuse(
        |clip| {
            let name = "text_projection.weight";
            let integers = clip.tensors[name].to_dtype(DType::I64).unwrap();
            clip.tensors.insert(name.to_owned(), integers);
        },
        keep,
        &["`text_projection.weight`", "I64"],
    );
    refuse(
        nothing,
        |dir| {
            let path = dir.join("model.safetensors");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
        },
        &["model.safetensors", "unusable"],
    );
}

#[test]
fn configs_that_are_refused() {
    let keep = |_: &Path| {};
    for (field, value, parts) in [
        (
            "hidden_size",
            96,
            ["`vision_config.hidden_size` is 96", "has 48"],
        ),
        (
            "image_size",
            224,
            ["`vision_config.image_size` is 224", "has 336"],
        ),
    ] {
        refuse(
            |clip| clip.config["vision_config"][field] = json!(value),
            keep,
            &parts,
        );
    }
    refuse(
        |clip| clip.config["model_type"] = json!("llava"),
        keep,
        &["`model_type` is \"llava\"", "expected `clip`"],
    );
    refuse(
        |clip| drop(clip.config.as_object_mut().unwrap().remove("text_config")),
        keep,
        &["`text_config` is absent"],
    );
    refuse(
        |clip| clip.config["text_config"]["num_attention_heads"] = json!(5),
        keep,
        &["`text_config.hidden_size`", "a multiple of 5 heads"],
    );
    refuse(
        |clip| clip.config["text_config"]["hidden_act"] = json!("relu"),
        keep,
        &[
            "`text_config.hidden_act`",
            "`gelu`, `quick_gelu` or `gelu_pytorch_tanh`",
        ],
    );
    refuse(
        |clip| clip.config["text_config"]["projection_dim"] = json!(4),
        keep,
        &["`text_config.projection_dim` is 4", "10"],
    );
}

#[test]
fn tokenizers_that_are_refused() {
    let keep = |_: &Path| {};
    refuse(
        |clip| drop(clip.vocab.as_object_mut().unwrap().remove("<|endoftext|>")),
        keep,
        &["vocab.json", "endoftext"],
    );
    refuse(
        |clip| {
            drop(
                clip.vocab
                    .as_object_mut()
                    .unwrap()
                    .remove("<|startoftext|>"),
            );
        },
        keep,
        &["vocab.json", "no token `<|startoftext|>`"],
    );
    refuse(
        |clip| clip.vocab["<|endoftext|>"] = json!(400),
        keep,
        &["`<|endoftext|>` has id 400", "vocabulary of 87"],
    );
    refuse(
        |_| {},
        |dir| fs::write(dir.join("merges.txt"), "#version: 0.2\nq q\n").unwrap(),
        &["vocab.json and merges.txt beside it", "qq"],
    );
    refuse(
        |_| {},
        |dir| fs::write(dir.join("merges.txt"), b"\xff\xfe").unwrap(),
        &["merges.txt"],
    );
    refuse(
        |_| {},
        |dir| fs::write(dir.join("vocab.json"), "{").unwrap(),
        &["vocab.json"],
    );
    refuse(
        |_| {},
        |dir| fs::write(dir.join("tokenizer.json"), "{\"model\": ").unwrap(),
        &["tokenizer.json", "not a usable"],
    );
}
