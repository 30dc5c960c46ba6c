//! Checkpoints in every layout, and faulty checkpoints.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use fp_model::{LlavaModel, LoadOptions, ModelError, Preset, inspect};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::checkpoint::{
    Tensors, golden_config, golden_tensors, save, save_shards, sharded, write_config,
};
use crate::common::{self, golden};

fn renamed(tensors: &Tensors, rules: &[(&str, &str)]) -> Tensors {
    tensors
        .iter()
        .map(|(name, tensor)| {
            let (from, to) = rules
                .iter()
                .find(|(from, _)| name.starts_with(from))
                .unwrap();
            (name.replacen(from, to, 1), tensor.clone())
        })
        .collect()
}

fn newer_names(tensors: &Tensors) -> Tensors {
    renamed(
        tensors,
        &[
            ("language_model.model.", "model.language_model."),
            ("language_model.lm_head", "lm_head"),
            ("vision_tower.", "model.vision_tower."),
            ("multi_modal_projector.", "model.multi_modal_projector."),
        ],
    )
}

/// The original layout: decoder and projector in `dir`, the tower in `tower`.
fn write_original(tensors: &Tensors, dir: &Path, tower: &Path) {
    let outer = golden_config();
    let text = &outer["text_config"];
    let mut config = text.clone();
    config["model_type"] = json!("llava");
    config["mm_vision_tower"] = json!("someone/clip-tiny");
    config["mm_projector_type"] = json!("mlp2x_gelu");
    config["mm_vision_select_layer"] = json!(-2);
    config["image_aspect_ratio"] = json!("pad");
    write_config(dir, &config);
    write_config(
        tower,
        &json!({"model_type": "clip", "vision_config": outer["vision_config"]}),
    );
    let (vision, rest): (Tensors, Tensors) = tensors
        .clone()
        .into_iter()
        .partition(|(name, _)| name.starts_with("vision_tower."));
    save(
        &renamed(&vision, &[("vision_tower.", "")]),
        &tower.join("model.safetensors"),
    );
    let rest = renamed(
        &rest,
        &[
            ("language_model.model.", "model."),
            ("language_model.lm_head", "lm_head"),
            ("multi_modal_projector.linear_1", "model.mm_projector.0"),
            ("multi_modal_projector.linear_2", "model.mm_projector.2"),
        ],
    );
    save_shards(&rest, dir);
}

/// Logits after an image and a few tokens, so that all parts are used.
fn logits(model: &LlavaModel) -> Vec<f32> {
    let pixels = &common::expected()["pixel_values_0_pad"];
    let features = model.encode_image(&pixels.unsqueeze(0).unwrap()).unwrap();
    let case = &common::cases()[0];
    let sample = fp_model::Sample {
        prompt: &case.encoded(),
        features: &features,
    };
    model
        .prefill(&[sample])
        .unwrap()
        .logits(0)
        .unwrap()
        .unwrap()
        .to_vec()
}

fn load(dir: &Path) -> Result<LlavaModel, ModelError> {
    LlavaModel::load(dir, &LoadOptions::default())
}

#[test]
fn every_layout_gives_the_same_logits() {
    let tensors = golden_tensors();
    let expected = logits(&common::load());
    let root = TempDir::new().unwrap();
    let dir = |name: &str| root.path().join(name);

    write_config(&dir("older"), &golden_config());
    save_shards(&tensors, &dir("older"));
    write_config(&dir("newer-single"), &golden_config());
    save(
        &newer_names(&tensors),
        &dir("newer-single").join("model.safetensors"),
    );
    write_config(&dir("newer"), &golden_config());
    save_shards(&newer_names(&tensors), &dir("newer"));
    write_config(&dir("transformers-5"), &golden_config());
    let without_module = [("vision_tower.vision_model.", "vision_tower."), ("", "")];
    save(
        &renamed(&tensors, &without_module),
        &dir("transformers-5").join("model.safetensors"),
    );
    write_original(&tensors, &dir("original"), &dir("clip-tiny"));

    for (name, layout) in [
        ("older", "Hugging Face, older names"),
        ("newer-single", "Hugging Face, newer names"),
        ("newer", "Hugging Face, newer names"),
        ("transformers-5", "Hugging Face, older names"),
        ("original", "original LLaVA"),
    ] {
        assert!(logits(&load(&dir(name)).unwrap()) == expected, "{name}");
        let found = inspect(dir(name), None).unwrap();
        assert_eq!(
            (found.layout, found.problems.as_slice()),
            (layout, [].as_slice())
        );
        let missing = ["tokenizer.json", "preprocessor_config.json"];
        assert_eq!(found.missing_files, missing);
    }

    // The tower may be given explicitly, and must exist.
    fs::rename(dir("clip-tiny"), dir("elsewhere")).unwrap();
    let error = load(&dir("original")).unwrap_err();
    assert!(
        matches!(&error, ModelError::VisionTowerMissing { name, .. } if name == "someone/clip-tiny"),
        "{error}"
    );
    let options = LoadOptions {
        vision_tower: Some(dir("elsewhere")),
        ..LoadOptions::default()
    };
    assert!(logits(&LlavaModel::load(dir("original"), &options).unwrap()) == expected);
}

#[test]
fn stored_formats() {
    let root = TempDir::new().unwrap();
    let expected = logits(&common::load());
    for (dtype, tolerance) in [(DType::F16, 0.05), (DType::BF16, 0.5)] {
        let tensors: Tensors = golden_tensors()
            .into_iter()
            .map(|(name, tensor)| (name, tensor.to_dtype(dtype).unwrap()))
            .collect();
        let dir = root.path().join(dtype.as_str());
        write_config(&dir, &golden_config());
        save(&tensors, &dir.join("model.safetensors"));
        let difference = common::largest_difference(&logits(&load(&dir).unwrap()), &expected);
        assert!(
            difference > 0.0 && difference < tolerance,
            "{dtype:?}: {difference}"
        );
        let stored = inspect(&dir, None).unwrap().stored;
        assert_eq!(stored.keys().collect::<Vec<_>>(), [dtype.as_str()]);
    }
}

#[test]
fn a_shard_cut_short_is_found_before_any_work() {
    for keep in [0, 5, 100, 200_000] {
        let root = sharded();
        let path = root.path().join("model-1.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..keep]).unwrap();
        match load(root.path()) {
            Err(ModelError::Shard { path: found, .. }) => assert_eq!(found, path),
            other => panic!("{keep}: {other:?}"),
        }
    }
    let root = sharded();
    fs::remove_file(root.path().join("model-2.safetensors")).unwrap();
    assert!(
        matches!(load(root.path()), Err(ModelError::Io { path, .. }) if path.ends_with("model-2.safetensors"))
    );
    // A file with the extension that isn't safetensors at all.
    let root = sharded();
    fs::write(root.path().join("model-0.safetensors"), vec![0xff; 4096]).unwrap();
    assert!(matches!(load(root.path()), Err(ModelError::Shard { .. })));
}

#[test]
fn a_pickled_shard_that_is_damaged() {
    let source = golden("variants/grouped");
    for damage in ["cut", "noise", "empty"] {
        let root = TempDir::new().unwrap();
        for entry in fs::read_dir(&source).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), root.path().join(entry.file_name())).unwrap();
        }
        let path = root.path().join("pytorch_model-00002-of-00003.bin");
        let bytes = fs::read(&path).unwrap();
        let bytes = match damage {
            "cut" => bytes[..bytes.len() / 2].to_vec(),
            "noise" => vec![0x5a; 5000],
            _ => Vec::new(),
        };
        fs::write(&path, bytes).unwrap();
        match load(root.path()) {
            Err(ModelError::Shard { path: found, .. }) => assert_eq!(found, path),
            other => panic!("{damage}: {other:?}"),
        }
    }
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let name = "language_model.model.layers.3.self_attn.k_proj.weight";
    let root = TempDir::new().unwrap();
    write_config(root.path(), &golden_config());
    let file = root.path().join("model.safetensors");

    let mut tensors = golden_tensors();
    let tensor = tensors.remove(name).unwrap();
    save(&tensors, &file);
    let error = load(root.path()).unwrap_err();
    assert!(
        matches!(&error, ModelError::TensorMissing { name: found, expected, location, .. }
            if found == name && *expected == [32, 32] && *location == file),
        "{error}"
    );
    assert_eq!(
        inspect(root.path(), None).unwrap().problems,
        [error.to_string()]
    );

    tensors.insert(
        name.to_owned(),
        tensor.narrow(0, 0, 16).unwrap().contiguous().unwrap(),
    );
    save(&tensors, &file);
    let error = load(root.path()).unwrap_err();
    assert!(
        matches!(&error, ModelError::TensorShape { name: found, expected, got, shard, .. }
            if found == name && *expected == [32, 32] && *got == [16, 32] && *shard == file),
        "{error}"
    );

    tensors.insert(name.to_owned(), tensor.to_dtype(DType::F64).unwrap());
    save(&tensors, &file);
    assert!(
        matches!(load(root.path()), Err(ModelError::TensorDtype { name: found, .. }) if found == name)
    );

    // The index lists a tensor that no shard holds.
    let root = sharded();
    let path = root.path().join("model.safetensors.index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    index["weight_map"]["extra.weight"] = json!("model-0.safetensors");
    fs::write(&path, index.to_string()).unwrap();
    let error = load(root.path()).unwrap_err();
    assert!(error.to_string().contains("extra.weight"), "{error}");
    // An index can't lead out of its folder.
    index["weight_map"]["extra.weight"] = json!("../model-0.safetensors");
    fs::write(&path, index.to_string()).unwrap();
    assert!(matches!(
        load(root.path()),
        Err(ModelError::ConfigField { .. })
    ));
}

#[test]
fn configs_that_contradict_the_weights() {
    for (field, value) in [
        ("num_hidden_layers", json!(33)),
        ("hidden_size", json!(64)),
        ("intermediate_size", json!(47)),
        ("num_key_value_heads", json!(4)),
        ("vocab_size", json!(504)),
        ("attention_bias", json!(true)),
    ] {
        let root = sharded();
        let mut config = golden_config();
        config["text_config"][field] = value;
        write_config(root.path(), &config);
        let error = load(root.path()).unwrap_err();
        assert!(
            matches!(
                error,
                ModelError::TensorMissing { .. } | ModelError::TensorShape { .. }
            ),
            "{field}: {error}"
        );
        assert!(error.to_string().contains("config.json"), "{error}");
    }
}

#[test]
fn folders_that_are_no_checkpoint() {
    let root = TempDir::new().unwrap();
    let error = load(root.path()).unwrap_err().to_string();
    let expected = "is not the folder of a checkpoint: it has neither config.json nor weights";
    assert!(error.ends_with(expected), "{error}");
    fs::write(root.path().join("config.json"), "{").unwrap();
    assert!(matches!(load(root.path()), Err(ModelError::Json { .. })));
    write_config(root.path(), &golden_config());
    assert!(matches!(
        load(root.path()),
        Err(ModelError::NoWeights { .. })
    ));
    save(
        &Tensors::from([(
            "a".to_owned(),
            Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
        )]),
        &root.path().join("model.safetensors"),
    );
    assert!(matches!(
        load(root.path()),
        Err(ModelError::UnknownNames { .. })
    ));
}

#[test]
fn dummy_weights_repeat_with_their_seed() {
    let run = |seed| {
        let model = LlavaModel::random(Preset::Tiny, seed, &LoadOptions::default()).unwrap();
        model
            .prefill_text(&[1, 2, 3])
            .unwrap()
            .logits(0)
            .unwrap()
            .unwrap()
            .to_vec()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert!(
        "llava-9"
            .parse::<Preset>()
            .unwrap_err()
            .to_string()
            .contains("llava-1.5-7b")
    );
}

#[test]
fn pixel_values_are_checked() {
    let model = LlavaModel::random(Preset::Tiny, 1, &LoadOptions::default()).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    for shape in [
        &[1, 3, 56, 55][..],
        &[3, 56, 56],
        &[2, 3, 56, 56],
        &[1, 1, 56, 56],
        &[0, 3, 56, 56],
    ] {
        assert!(
            matches!(
                model.encode_image(&zeros(shape)),
                Err(ModelError::InputShape { .. })
            ),
            "{shape:?}"
        );
    }
    let nan = (zeros(&[1, 3, 56, 56]) + f64::NAN).unwrap();
    assert!(matches!(
        model.encode_image(&nan),
        Err(ModelError::NotFinite { .. })
    ));
    assert!(model.image_features(&zeros(&[0, 32])).is_err());
    assert!(model.image_features(&zeros(&[4, 31])).is_err());
    assert_eq!(
        model.image_features(&zeros(&[4, 32])).unwrap().num_tokens(),
        4
    );
}
