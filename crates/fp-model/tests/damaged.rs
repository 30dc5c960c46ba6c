//! Faulty checkpoints: reported with tensor, file and what is expected, and never by a panic.

use std::fs;
use std::path::Path;

use candle_core::{DType, Tensor};
use fp_image::PreprocessorConfig;
use fp_model::tokenizer::LlavaTokenizer;
use fp_model::{LlavaModel, LoadOptions, ModelConfig, ModelError, OpenedCheckpoint, inspect};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::checkpoint::{golden_config, golden_tensors, save, sharded, write_config};
use crate::common::golden;

const LAYER: &str = "language_model.model.layers.3.";

fn open(dir: &Path) -> Result<OpenedCheckpoint, ModelError> {
    OpenedCheckpoint::open(dir, None)
}

fn load(dir: &Path) -> Result<LlavaModel, ModelError> {
    LlavaModel::load(dir, &LoadOptions::default())
}

/// The golden tensors in one file, with one of them changed.
fn with_tensor(name: &str, change: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> TempDir {
    let root = TempDir::new().unwrap();
    write_config(root.path(), &golden_config());
    let mut tensors = golden_tensors();
    let changed = change(&tensors[name]).unwrap();
    tensors.insert(name.to_owned(), changed);
    save(&tensors, &root.path().join("model.safetensors"));
    root
}

/// A copy of a folder of files.
fn copy_of(source: &Path) -> TempDir {
    let root = TempDir::new().unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), root.path().join(entry.file_name())).unwrap();
    }
    root
}

/// A repeatable sequence of numbers below a bound.
fn random() -> impl FnMut(usize) -> usize {
    let mut state = 1_u32;
    move |below| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    }
}

#[test]
fn a_tensor_that_its_shard_lacks() {
    let root = sharded();
    let index = root.path().join("model.safetensors.index.json");
    let index: Value = serde_json::from_slice(&fs::read(index).unwrap()).unwrap();
    let name = format!("{LAYER}self_attn.k_proj.weight");
    let shard = root
        .path()
        .join(index["weight_map"][&name].as_str().unwrap());
    let mut tensors = candle_core::safetensors::load(&shard, &candle_core::Device::Cpu).unwrap();
    tensors.remove(&name).unwrap();
    candle_core::safetensors::save(&tensors, &shard).unwrap();
    let error = open(root.path()).unwrap_err();
    assert!(
        matches!(&error, ModelError::TensorMissing { name: found, expected, location, .. }
            if *found == name && *expected == [32, 32] && *location == shard),
        "{error}"
    );
    let problems = inspect(root.path(), None).unwrap().problems;
    assert_eq!(problems, [error.to_string()]);
}

/// A `.bin` file: an archive with one pickle and `storage` bytes of storage.
fn pickled(pickle: &[u8], storage: usize) -> TempDir {
    use std::io::Write;

    use zip::write::SimpleFileOptions;
    let root = TempDir::new().unwrap();
    write_config(root.path(), &golden_config());
    let file = fs::File::create(root.path().join("pytorch_model.bin")).unwrap();
    let mut archive = zip::ZipWriter::new(file);
    let stored = || SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    archive.start_file("archive/data.pkl", stored()).unwrap();
    archive.write_all(pickle).unwrap();
    archive.start_file("archive/data/0", stored()).unwrap();
    archive.write_all(&vec![0; storage]).unwrap();
    archive.finish().unwrap();
    root
}

/// A pickle of one tensor of `rows` × 4 values.
fn tensor_pickle(rows: i32) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((\
        X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x08tQK\x00J"
        .to_vec();
    pickle.extend(rows.to_le_bytes());
    pickle.extend(b"K\x04\x86K\x04K\x01\x86\x89}tRu.");
    pickle
}

/// Pickles that make their reader panic, overflow the stack or allocate without limit.
#[test]
fn pickles_that_are_no_checkpoints() {
    let told = |pickle: &[u8], storage: usize| {
        let root = pickled(pickle, storage);
        let error = open(root.path()).unwrap_err();
        assert!(matches!(error, ModelError::Shard { .. }), "{error}");
        fp_scoring::error_text(&error)
    };
    let class = b"\x80\x02}X\x01\x00\x00\x00w";
    for (reduced, said) in [
        (&b"ctorch._utils\n_rebuild_tensor_v2\n)Rs."[..], "panicked"),
        (b"ctorch._utils\n_rebuild_parameter\n)Rs.", "panicked"),
        (b"ctorch._tensor\n_rebuild_from_type_v2\n)Rs.", "panicked"),
        (
            b"ctorch._tensor\n_rebuild_from_type_v2\nN\x85Rs.",
            "panicked",
        ),
    ] {
        let text = told(&[&class[..], reduced].concat(), 0);
        assert!(
            text.contains("pytorch_model.bin") && text.contains(said),
            "{text}"
        );
    }
    let deep = [&b"N"[..], &b"\x85".repeat(1 << 20), b"."].concat();
    assert!(told(&deep, 0).contains("nested more than 64 deep"));
    let doubled = [&b"]"[..], &b"q\x00h\x00\x86".repeat(64), b"."].concat();
    assert!(told(&doubled, 0).contains("objects"));
    assert!(told(b"X\xff\xff\xff\xff.", 0).contains("a string of 4294967295 bytes"));
    // A tensor is at most as large as its storage.
    let text = told(&tensor_pickle(3), 32);
    assert!(
        text.contains("tensor `w` of shape [3, 4] goes beyond the 32 bytes"),
        "{text}"
    );
    assert!(told(&tensor_pickle(i32::MAX), 32).contains("goes beyond the 32 bytes"));
    let whole = pickled(&tensor_pickle(2), 32);
    let text = fp_scoring::error_text(&open(whole.path()).unwrap_err());
    assert!(!text.contains("pytorch_model.bin"), "{text}");
}

/// Templates that make the tokenizer library panic when it encodes.
#[test]
fn tokenizers_whose_templates_name_what_is_not_there() {
    let root = copy_of(&golden("model"));
    let path = root.path().join("tokenizer.json");
    let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let config = golden_config();
    let config = ModelConfig::from_value(&config, Path::new("config.json")).unwrap();
    let sequence = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
    for (single, pair) in [
        (vec![sequence("B")], vec![sequence("A"), sequence("B")]),
        (vec![sequence("B"), sequence("B")], vec![sequence("B")]),
        (vec![], vec![sequence("B"), sequence("B")]),
        (vec![sequence("A"), sequence("B")], vec![sequence("A")]),
    ] {
        let mut changed = whole.clone();
        changed["post_processor"] = json!({
            "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": {},
        });
        fs::write(&path, changed.to_string()).unwrap();
        // Whether or not it can be read and can encode, the result is an error at most.
        match LlavaTokenizer::for_checkpoint(root.path(), &config) {
            Ok(tokenizer) => drop(tokenizer.encode("one <image> of it")),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// If two shards hold the same tensor, the index decides.
#[test]
fn a_tensor_in_two_shards() {
    let root = sharded();
    let names = ["model-0.safetensors", "model-2.safetensors"].map(|name| root.path().join(name));
    let read = |path| candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let (first, mut last) = (read(&names[0]), read(&names[1]));
    let name = first.keys().min().unwrap();
    last.insert(name.clone(), first[name].zeros_like().unwrap());
    candle_core::safetensors::save(&last, &names[1]).unwrap();
    assert!(open(root.path()).is_ok());
    let tokens = |dir: &Path| {
        let model = load(dir).unwrap();
        model
            .prefill_text(&[1, 2])
            .unwrap()
            .logits(0)
            .unwrap()
            .unwrap()
            .to_vec()
    };
    assert_eq!(tokens(root.path()), tokens(&golden("model")));
}

#[test]
fn weights_that_are_no_numbers() {
    for (name, dtype, value, index) in [
        ("self_attn.v_proj.weight", DType::F32, f32::NAN, 1023),
        ("mlp.up_proj.weight", DType::F16, f32::INFINITY, 0),
        ("input_layernorm.weight", DType::BF16, f32::NEG_INFINITY, 5),
    ] {
        let name = format!("{LAYER}{name}");
        let root = with_tensor(&name, |tensor| {
            let mut values: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
            values[index] = value;
            Tensor::from_vec(values, tensor.shape(), tensor.device())?.to_dtype(dtype)
        });
        let file = root.path().join("model.safetensors");
        let error = load(root.path()).unwrap_err();
        assert!(
            matches!(&error, ModelError::TensorValue { name: found, shard, index: at, .. }
                if *found == name && *shard == file && *at == index),
            "{error}"
        );
        assert!(error.to_string().contains(&value.to_string()), "{error}");
    }
}

/// A header with sizes that overflow.
#[test]
fn sizes_beyond_measure() {
    for (shape, end) in [
        (json!([u64::MAX]), u64::MAX),
        (json!([u64::MAX, 2]), u64::MAX),
        (json!([1_u64 << 63]), 1 << 63),
        (json!([4]), 4),
    ] {
        let header = json!({"a": {"dtype": "U8", "shape": shape, "data_offsets": [0, end]}});
        let header = header.to_string();
        let root = TempDir::new().unwrap();
        write_config(root.path(), &golden_config());
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0; 3]);
        fs::write(root.path().join("model.safetensors"), bytes).unwrap();
        let error = open(root.path()).unwrap_err();
        assert!(matches!(error, ModelError::Shard { .. }), "{error}");
    }
    // A folder in place of a shard.
    let root = sharded();
    let shard = root.path().join("model-1.safetensors");
    fs::remove_file(&shard).unwrap();
    fs::create_dir(&shard).unwrap();
    assert!(matches!(open(root.path()), Err(ModelError::Io { path, .. }) if path == shard));
}

#[test]
fn configs_that_contradict_the_tower_or_the_projector() {
    for (part, field, value) in [
        ("vision_config", "hidden_size", json!(64)),
        ("vision_config", "intermediate_size", json!(31)),
        ("vision_config", "num_hidden_layers", json!(9)),
        ("vision_config", "image_size", json!(224)),
        ("vision_config", "patch_size", json!(28)),
        ("vision_config", "num_channels", json!(1)),
        ("text_config", "head_dim", json!(6)),
        ("text_config", "mlp_bias", json!(true)),
    ] {
        let root = sharded();
        let mut config = golden_config();
        config[part][field] = value;
        write_config(root.path(), &config);
        let error = open(root.path()).unwrap_err();
        assert!(
            matches!(
                error,
                ModelError::TensorMissing { .. } | ModelError::TensorShape { .. }
            ),
            "{field}: {error}"
        );
    }
    // The outer flag states tied embeddings, but there is an output layer: it is used.
    let root = sharded();
    let mut config = golden_config();
    config["tie_word_embeddings"] = json!(true);
    write_config(root.path(), &config);
    assert!(open(root.path()).is_ok());
}

#[test]
fn config_values_that_no_model_has() {
    let wrong = [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("32"),
        json!([32]),
        json!(1_u64 << 60),
    ];
    for (part, field) in [
        ("text_config", "hidden_size"),
        ("text_config", "num_hidden_layers"),
        ("text_config", "num_attention_heads"),
        ("text_config", "num_key_value_heads"),
        ("text_config", "vocab_size"),
        ("text_config", "head_dim"),
        ("vision_config", "image_size"),
        ("vision_config", "patch_size"),
        ("vision_config", "num_attention_heads"),
    ] {
        for value in &wrong {
            let mut config = golden_config();
            config[part][field] = value.clone();
            match ModelConfig::from_value(&config, Path::new("config.json")) {
                Err(ModelError::ConfigField { field: named, .. }) => {
                    assert!(named.ends_with(field), "{field} = {value}: {named}");
                }
                other => panic!("{field} = {value}: {other:?}"),
            }
        }
    }
    for (field, value) in [
        ("vision_feature_layer", json!(-99)),
        ("vision_feature_layer", json!("last")),
        ("vision_feature_select_strategy", json!("cls")),
        ("model_type", json!("blip")),
        ("text_config", json!(3)),
        ("image_token_index", json!(-1)),
    ] {
        let mut config = golden_config();
        config[field] = value;
        let parsed = ModelConfig::from_value(&config, Path::new("config.json"));
        assert!(
            matches!(&parsed, Err(ModelError::ConfigField { field: named, .. }) if named == field),
            "{field}: {parsed:?}"
        );
    }
    for config in [json!(null), json!([]), json!("llava"), json!(7)] {
        assert!(ModelConfig::from_value(&config, Path::new("config.json")).is_err());
    }
    // The largest values that a config may state don't overflow before tensors are found missing.
    let mut config = golden_config();
    for (field, value) in [
        ("hidden_size", 1 << 20),
        ("intermediate_size", 1 << 20),
        ("num_hidden_layers", 1 << 10),
        ("num_attention_heads", 1 << 12),
        ("num_key_value_heads", 1 << 12),
        ("head_dim", 1 << 12),
        ("vocab_size", 1 << 24),
    ] {
        config["text_config"][field] = json!(value);
    }
    for (field, value) in [
        ("hidden_size", 1 << 20),
        ("num_channels", 1 << 10),
        ("image_size", 1 << 14),
        ("patch_size", 1 << 14),
    ] {
        config["vision_config"][field] = json!(value);
    }
    let root = sharded();
    write_config(root.path(), &config);
    assert!(!inspect(root.path(), None).unwrap().is_complete());
    assert!(matches!(
        load(root.path()),
        Err(ModelError::TensorShape { .. })
    ));
}

/// Every file of a checkpoint, truncated at many lengths, gives an error that names it.
#[test]
fn files_cut_anywhere() {
    let root = copy_of(&golden("model"));
    let (model_config, mut next) = (ModelConfig::from_dir(root.path()).unwrap(), random());
    for name in [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "preprocessor_config.json",
        "model.safetensors",
    ] {
        let path = root.path().join(name);
        let whole = fs::read(&path).unwrap();
        let lengths = (0..40).chain((0..60).map(|_| next(whole.len())));
        // Anything after the last bracket may be missing.
        let end = whole.iter().rposition(|byte| !byte.is_ascii_whitespace());
        for length in lengths.filter(|length| *length <= end.unwrap_or(0)) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = match name {
                "tokenizer.json" => LlavaTokenizer::for_checkpoint(root.path(), &model_config)
                    .unwrap_err()
                    .to_string(),
                "preprocessor_config.json" => {
                    PreprocessorConfig::load(&path).unwrap_err().to_string()
                }
                _ => open(root.path()).unwrap_err().to_string(),
            };
            assert!(error.contains(name), "{name} cut at {length}: {error}");
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(open(root.path()).is_ok());
}

#[test]
fn pickled_shards_and_indices_cut_anywhere() {
    let root = copy_of(&golden("variants/grouped"));
    let mut next = random();
    for name in [
        "pytorch_model-00003-of-00003.bin",
        "pytorch_model.bin.index.json",
    ] {
        let path = root.path().join(name);
        let whole = fs::read(&path).unwrap();
        for length in (0..20).chain((0..60).map(|_| next(whole.len() - 2))) {
            fs::write(&path, &whole[..length]).unwrap();
            let error = load(root.path()).unwrap_err().to_string();
            assert!(error.contains(name), "{name} cut at {length}: {error}");
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(load(root.path()).is_ok());
}

/// A few changed bytes never cause a panic.
#[test]
fn files_with_bytes_changed() {
    let mut next = random();
    for (folder, name, reach) in [
        ("variants/next", "model.safetensors", 9000),
        ("variants/next", "config.json", 1045),
        ("variants/grouped", "pytorch_model-00003-of-00003.bin", 9545),
        ("variants/grouped", "pytorch_model.bin.index.json", 8967),
        ("model", "tokenizer.json", 61870),
        ("model", "preprocessor_config.json", 466),
    ] {
        let root = copy_of(&golden(folder));
        let path = root.path().join(name);
        let whole = fs::read(&path).unwrap();
        let config = ModelConfig::from_dir(root.path()).unwrap();
        for _ in 0..150 {
            let mut damaged = whole.clone();
            for _ in 0..=next(3) {
                damaged[next(reach)] = next(256) as u8;
            }
            fs::write(&path, damaged).unwrap();
            match name {
                "tokenizer.json" => {
                    if let Ok(tokenizer) = LlavaTokenizer::for_checkpoint(root.path(), &config) {
                        let _ = tokenizer.encode("one <image> of it");
                    }
                }
                "preprocessor_config.json" => {
                    let _ = PreprocessorConfig::load(&path);
                }
                _ => {
                    let _ = inspect(root.path(), None);
                    let _ = load(root.path());
                }
            }
        }
    }
}
