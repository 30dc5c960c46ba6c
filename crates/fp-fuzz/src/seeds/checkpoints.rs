//! The smallest possible LLaVA model, in every layout of checkpoint files.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{workspace, write_file};

/// Width of the decoder and of the tower.
const WIDTH: usize = 8;
const LAYERS: usize = 2;
/// Number of patches of an image of 28 by 28 pixels.
const PATCHES: usize = 4;
/// Vocabulary size of the shipped tokenizer.
const VOCABULARY: usize = 174;

/// Names and shapes of tensors; all elements have the same value.
type Tensors = Vec<(String, Vec<usize>)>;

/// Prefixes of tensor names in a layout.
struct Layout {
    decoder: &'static str,
    head: &'static str,
    vision: &'static str,
    projector: [&'static str; 2],
}

const HUGGING_FACE: Layout = Layout {
    decoder: "language_model.model.",
    head: "language_model.lm_head.weight",
    vision: "vision_tower.vision_model.",
    projector: [
        "multi_modal_projector.linear_1",
        "multi_modal_projector.linear_2",
    ],
};

const ORIGINAL: Layout = Layout {
    decoder: "model.",
    head: "lm_head.weight",
    vision: "model.vision_tower.vision_tower.vision_model.",
    projector: ["model.mm_projector.0", "model.mm_projector.2"],
};

pub(super) fn write(to: &Path) -> Result<()> {
    let tensors = tensors(&HUGGING_FACE);
    let folder = to.join("safetensors");
    beside(&folder, &config())?;
    write_file(&folder.join("model.safetensors"), &safetensors(&tensors))?;

    let folder = to.join("shards");
    beside(&folder, &config())?;
    let (first, second) = tensors.split_at(tensors.len() / 2);
    let mut index = Map::new();
    for (part, name) in [(first, "a.safetensors"), (second, "b.safetensors")] {
        write_file(&folder.join(name), &safetensors(part))?;
        index.extend(part.iter().map(|(tensor, _)| (tensor.clone(), json!(name))));
    }
    let index = json!({"metadata": {"total_size": 20_000}, "weight_map": index});
    let name = "model.safetensors.index.json";
    write_file(&folder.join(name), index.to_string().as_bytes())?;

    let folder = to.join("next");
    let mut next = config();
    next["model_type"] = json!("llava_next");
    next["architectures"] = json!(["LlavaNextForConditionalGeneration"]);
    next["image_grid_pinpoints"] = json!([[28, 56], [56, 28], [56, 56]]);
    next["use_image_newline_parameter"] = json!(true);
    beside(&folder, &next)?;
    let path = folder.join("preprocessor_config.json");
    let mut preprocessor: Value = serde_json::from_slice(&fs::read(&path)?)?;
    preprocessor["image_processor_type"] = json!("LlavaNextImageProcessor");
    preprocessor["image_grid_pinpoints"] = next["image_grid_pinpoints"].clone();
    write_file(&path, preprocessor.to_string().as_bytes())?;
    let mut with_newline = tensors.clone();
    with_newline.push(("image_newline".to_owned(), vec![WIDTH]));
    write_file(
        &folder.join("model.safetensors"),
        &safetensors(&with_newline),
    )?;

    let folder = to.join("pickle");
    beside(&folder, &config())?;
    write_file(&folder.join("pytorch_model.bin"), &archive(&tensors)?)?;

    let folder = to.join("original");
    let original = tensors_of_original();
    beside(&folder, &original_config())?;
    write_file(&folder.join("pytorch_model.bin"), &archive(&original)?)?;

    // An adapter, recognised by the files in its folder.
    let folder = to.join("adapter");
    let adapter = json!({
        "peft_type": "LORA", "base_model_name_or_path": "llava-1.5-7b", "r": 8,
        "target_modules": ["q_proj", "v_proj"],
    });
    write_file(
        &folder.join("adapter_config.json"),
        adapter.to_string().as_bytes(),
    )?;
    let part = [(
        "base_model.model.q_proj.lora_A.weight".to_owned(),
        vec![2, WIDTH],
    )];
    write_file(
        &folder.join("adapter_model.safetensors"),
        &safetensors(&part),
    )
}

/// Writes the files of a checkpoint other than its weights.
fn beside(folder: &Path, config: &Value) -> Result<()> {
    let shipped = workspace().join("assets/finepruner-tiny");
    for name in [
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    ] {
        let path = shipped.join(name);
        let bytes = fs::read(&path).with_context(|| format!("can't read {}", path.display()))?;
        write_file(&folder.join(name), &bytes)?;
    }
    let path = shipped.join("preprocessor_config.json");
    let mut preprocessor: Value = serde_json::from_slice(&fs::read(path)?)?;
    preprocessor["crop_size"] = json!({"height": 28, "width": 28});
    preprocessor["size"] = json!({"shortest_edge": 28});
    let processor = json!({
        "processor_class": "LlavaProcessor", "patch_size": 14,
        "vision_feature_select_strategy": "default", "image_token": "<image>",
        "num_additional_image_tokens": 1,
    });
    for (name, value) in [
        ("preprocessor_config.json", &preprocessor),
        ("processor_config.json", &processor),
        ("config.json", config),
    ] {
        write_file(&folder.join(name), value.to_string().as_bytes())?;
    }
    Ok(())
}

fn config() -> Value {
    json!({
        "architectures": ["LlavaForConditionalGeneration"], "model_type": "llava",
        "image_token_index": 4, "pad_token_id": 3, "image_seq_length": PATCHES,
        "projector_hidden_act": "gelu", "tie_word_embeddings": false,
        "torch_dtype": "float16", "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "text_config": {
            "model_type": "llama", "vocab_size": VOCABULARY, "hidden_size": WIDTH,
            "intermediate_size": WIDTH, "num_hidden_layers": LAYERS,
            "num_attention_heads": 2, "num_key_value_heads": 2, "hidden_act": "silu",
            "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 100_000.0,
            "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2,
            "pad_token_id": 3,
        },
        "vision_config": {
            "model_type": "clip_vision_model", "hidden_size": WIDTH,
            "intermediate_size": WIDTH, "num_hidden_layers": LAYERS,
            "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
            "projection_dim": WIDTH, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
        },
    })
}

/// A configuration as the original project writes it; it names the usual tower, which is absent.
fn original_config() -> Value {
    json!({
        "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava_llama",
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "intermediate_size": WIDTH,
        "num_hidden_layers": LAYERS, "num_attention_heads": 2, "num_key_value_heads": 2,
        "hidden_act": "silu", "max_position_embeddings": 1024, "rms_norm_eps": 1e-5,
        "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3,
        "mm_vision_tower": "openai/clip-vit-large-patch14-336", "mm_hidden_size": WIDTH,
        "mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": -2,
        "mm_vision_select_feature": "patch", "image_aspect_ratio": "pad",
        "tie_word_embeddings": false, "torch_dtype": "float16",
    })
}

fn tensors(layout: &Layout) -> Tensors {
    let mut tensors: Tensors = Vec::new();
    let mut add = |name: String, shape: &[usize]| tensors.push((name, shape.to_vec()));
    let square = [WIDTH, WIDTH];
    let decoder = layout.decoder;
    add(
        format!("{decoder}embed_tokens.weight"),
        &[VOCABULARY, WIDTH],
    );
    add(format!("{decoder}norm.weight"), &[WIDTH]);
    add(layout.head.to_owned(), &[VOCABULARY, WIDTH]);
    for layer in 0..LAYERS {
        for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
            add(
                format!("{decoder}layers.{layer}.self_attn.{name}.weight"),
                &square,
            );
        }
        for name in ["gate_proj", "up_proj", "down_proj"] {
            add(
                format!("{decoder}layers.{layer}.mlp.{name}.weight"),
                &square,
            );
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            add(format!("{decoder}layers.{layer}.{name}.weight"), &[WIDTH]);
        }
    }
    for name in layout.projector {
        add(format!("{name}.weight"), &square);
        add(format!("{name}.bias"), &[WIDTH]);
    }
    let vision = layout.vision;
    add(format!("{vision}embeddings.class_embedding"), &[WIDTH]);
    add(
        format!("{vision}embeddings.patch_embedding.weight"),
        &[WIDTH, 3, 14, 14],
    );
    add(
        format!("{vision}embeddings.position_embedding.weight"),
        &[PATCHES + 1, WIDTH],
    );
    for layer in 0..LAYERS {
        let layer = format!("{vision}encoder.layers.{layer}");
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            add(format!("{layer}.self_attn.{name}.weight"), &square);
            add(format!("{layer}.self_attn.{name}.bias"), &[WIDTH]);
        }
        for name in ["fc1", "fc2"] {
            add(format!("{layer}.mlp.{name}.weight"), &square);
            add(format!("{layer}.mlp.{name}.bias"), &[WIDTH]);
        }
        for name in ["layer_norm1", "layer_norm2"] {
            add(format!("{layer}.{name}.weight"), &[WIDTH]);
            add(format!("{layer}.{name}.bias"), &[WIDTH]);
        }
    }
    for name in ["pre_layrnorm", "post_layernorm"] {
        add(format!("{vision}{name}.weight"), &[WIDTH]);
        add(format!("{vision}{name}.bias"), &[WIDTH]);
    }
    tensors
}

fn tensors_of_original() -> Tensors {
    let mut tensors = tensors(&ORIGINAL);
    tensors.truncate(30);
    tensors
}

/// Bytes of a tensor's values, each 0.0625 in half precision.
fn values(shape: &[usize]) -> Vec<u8> {
    0x2c00_u16.to_le_bytes().repeat(shape.iter().product())
}

/// A safetensors file in half precision.
fn safetensors(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let mut header = Map::new();
    let mut content = Vec::new();
    for (name, shape) in tensors {
        let start = content.len();
        content.extend(values(shape));
        let about = json!({
            "dtype": "F16", "shape": shape, "data_offsets": [start, content.len()],
        });
        header.insert(name.clone(), about);
    }
    let header = Value::Object(header).to_string();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &content].concat()
}

/// A checkpoint as PyTorch writes it: an archive of a pickle and one file per storage.
fn archive(tensors: &[(String, Vec<usize>)]) -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip::DateTime::default());
    archive.start_file("archive/data.pkl", stored)?;
    archive.write_all(&pickle(tensors))?;
    for (number, (_, shape)) in tensors.iter().enumerate() {
        archive.start_file(format!("archive/data/{number}"), stored)?;
        archive.write_all(&values(shape))?;
    }
    archive.start_file("archive/version", stored)?;
    archive.write_all(b"3\n")?;
    Ok(archive.finish()?.into_inner())
}

/// The pickle of a dictionary of tensors.
fn pickle(tensors: &[(String, Vec<usize>)]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.as_bytes());
    };
    let number = |pickle: &mut Vec<u8>, number: usize| {
        pickle.push(b'J');
        pickle.extend((number as i32).to_le_bytes());
    };
    for (storage, (name, shape)) in tensors.iter().enumerate() {
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nHalfStorage\n");
        text(&mut pickle, &storage.to_string());
        text(&mut pickle, "cpu");
        number(&mut pickle, shape.iter().product());
        pickle.extend(b"tQK\x00(");
        shape.iter().for_each(|length| number(&mut pickle, *length));
        pickle.extend(b"t(");
        for dimension in 0..shape.len() {
            number(&mut pickle, shape[dimension + 1..].iter().product());
        }
        pickle.extend(b"t\x89}tR");
    }
    pickle.extend(b"u.");
    pickle
}
