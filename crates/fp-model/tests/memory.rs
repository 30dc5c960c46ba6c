//! Loading a sharded checkpoint needs the memory of its weights and little more.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use fp_model::{LlavaModel, LoadOptions, OpenedCheckpoint, ResidentMemory, ResidentRun};
use serde_json::{Value, json};

const SHARDS: usize = 4;

/// Writes sparse shards of zeros with `bytes` bytes per value, which take no space on disk. Returns
/// the number of values.
fn write_checkpoint(dir: &Path, dtype: &str, bytes: usize) -> usize {
    let (d, m, vocab, layers, v) = (1024, 2816, 16000, 3, 16);
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        (
            "language_model.model.embed_tokens.weight".into(),
            vec![vocab, d],
        ),
        ("language_model.model.norm.weight".into(), vec![d]),
        ("language_model.lm_head.weight".into(), vec![vocab, d]),
        ("multi_modal_projector.linear_1.weight".into(), vec![d, v]),
        ("multi_modal_projector.linear_1.bias".into(), vec![d]),
        ("multi_modal_projector.linear_2.weight".into(), vec![d, d]),
        ("multi_modal_projector.linear_2.bias".into(), vec![d]),
        (
            "vision_tower.vision_model.embeddings.class_embedding".into(),
            vec![v],
        ),
        (
            "vision_tower.vision_model.embeddings.patch_embedding.weight".into(),
            vec![v, 3, 14, 14],
        ),
        (
            "vision_tower.vision_model.embeddings.position_embedding.weight".into(),
            vec![5, v],
        ),
        (
            "vision_tower.vision_model.pre_layrnorm.weight".into(),
            vec![v],
        ),
        (
            "vision_tower.vision_model.pre_layrnorm.bias".into(),
            vec![v],
        ),
    ];
    for layer in 0..layers {
        for (name, shape) in [
            ("self_attn.q_proj", vec![d, d]),
            ("self_attn.k_proj", vec![d, d]),
            ("self_attn.v_proj", vec![d, d]),
            ("self_attn.o_proj", vec![d, d]),
            ("mlp.gate_proj", vec![m, d]),
            ("mlp.up_proj", vec![m, d]),
            ("mlp.down_proj", vec![d, m]),
            ("input_layernorm", vec![d]),
            ("post_attention_layernorm", vec![d]),
        ] {
            shapes.push((
                format!("language_model.model.layers.{layer}.{name}.weight"),
                shape,
            ));
        }
    }
    let config = json!({
        "image_token_index": 5,
        "text_config": {"hidden_size": d, "intermediate_size": m, "num_hidden_layers": layers,
            "num_attention_heads": 16, "vocab_size": vocab},
        "vision_config": {"hidden_size": v, "intermediate_size": v, "num_hidden_layers": 1,
            "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
    });
    fs::write(dir.join("config.json"), config.to_string()).unwrap();

    let mut index = serde_json::Map::new();
    let mut total = 0;
    for shard in 0..SHARDS {
        let file_name = format!("model-{shard}.safetensors");
        let mut header = serde_json::Map::new();
        let mut offset = 0;
        for (name, shape) in shapes.iter().skip(shard).step_by(SHARDS) {
            let count: usize = shape.iter().product();
            total += count;
            header.insert(
                name.clone(),
                json!({"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + bytes * count]}),
            );
            index.insert(name.clone(), json!(file_name));
            offset += bytes * count;
        }
        let header = Value::Object(header).to_string();
        let mut file = File::create(dir.join(&file_name)).unwrap();
        file.write_all(&(header.len() as u64).to_le_bytes())
            .unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.set_len((8 + header.len() + offset) as u64).unwrap();
    }
    let index = json!({"weight_map": index}).to_string();
    fs::write(dir.join("model.safetensors.index.json"), index).unwrap();
    total
}

/// A value of this process's status, in bytes.
fn status(field: &str) -> usize {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    1024 * line
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
}

/// Both cases are in one test, since the peak is that of the process.
#[test]
fn peak_while_loading_is_the_weights_plus_a_tenth() {
    let options = LoadOptions::default();
    // Weights of two bytes stay in the mapped files; their pages count too.
    for (dtype, bytes) in [("BF16", 2), ("F32", 4)] {
        let dir = tempfile::TempDir::new().unwrap();
        let weights = bytes * write_checkpoint(dir.path(), dtype, bytes);
        let opened = OpenedCheckpoint::open(dir.path(), None).unwrap();
        let run = ResidentRun::whole(20, 0);
        let predicted = ResidentMemory::of_checkpoint(&opened, &options, &run);
        let before = status("VmRSS");
        let model = LlavaModel::load(dir.path(), &options).unwrap();
        let taken = status("VmHWM") - before;
        println!("{dtype}: weights {weights}, peak above start {taken}; predicted {predicted}");
        assert!(taken <= weights + weights / 10, "{taken} for {weights}");
        let expected = (predicted.mapped + predicted.owned) as usize;
        assert!(
            taken.abs_diff(expected) <= expected / 20,
            "{taken}, {predicted}"
        );
        assert_eq!(predicted.mapped > 0, bytes == 2);
        assert_eq!(model.config().text.num_layers, 3);
    }
}
