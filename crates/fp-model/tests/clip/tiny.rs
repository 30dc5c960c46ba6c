//! A tiny CLIP folder with random text side and projections, for use beside a model with its own
//! tower.
#![allow(dead_code)] // each test program uses a part of it

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

pub(crate) const CONTEXT: usize = 8;
pub(crate) const WIDTH: usize = 12;
pub(crate) const HEADS: usize = 3;
pub(crate) const LAYERS: usize = 2;
pub(crate) const PROJECTION: usize = 10;
const INNER: usize = 20;
const MERGES: [&str; 3] = ["t h", "th e</w>", "o w</w>"];

/// The parts of a CLIP folder, which can be modified before they are written.
pub(crate) struct TinyClip {
    pub(crate) config: Value,
    pub(crate) tensors: BTreeMap<String, Tensor>,
    pub(crate) vocab: Value,
}

impl TinyClip {
    /// Parts for use beside a LLaVA checkpoint with this `vision_config`.
    pub(crate) fn new(vision: &Value) -> TinyClip {
        let vocab = vocabulary();
        let size = vocab.as_object().unwrap().len();
        let config = json!({
            "model_type": "clip",
            "projection_dim": PROJECTION,
            "text_config": {
                "model_type": "clip_text_model",
                "eos_token_id": 2,
                "hidden_size": WIDTH,
                "intermediate_size": INNER,
                "max_position_embeddings": CONTEXT,
                "num_attention_heads": HEADS,
                "num_hidden_layers": LAYERS,
                "vocab_size": size,
            },
            "vision_config": vision,
        });
        let width = vision["hidden_size"].as_u64().unwrap() as usize;
        let mut tensors = BTreeMap::new();
        for (seed, (name, shape)) in shapes(size, width).into_iter().enumerate() {
            let values = noise(seed as u64, shape.iter().product());
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            tensors.insert(name, tensor);
        }
        TinyClip {
            config,
            tensors,
            vocab,
        }
    }

    /// Writes config, weights and a tokenizer of vocabulary and merges.
    pub(crate) fn write(&self, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
        write("config.json", self.config.to_string());
        write("vocab.json", self.vocab.to_string());
        write(
            "merges.txt",
            format!("#version: 0.2\n{}\n", MERGES.join("\n")),
        );
        let all: HashMap<String, Tensor> = self.tensors.clone().into_iter().collect();
        candle_core::safetensors::save(&all, dir.join("model.safetensors")).unwrap();
    }
}

/// Ids by token: `!` is 0, as in OpenAI's vocabulary; the beginning and end tokens come last.
fn vocabulary() -> Value {
    let letters: Vec<String> = "!abcdefghijklmnopqrstuvwxyz0123456789?.,-"
        .chars()
        .map(String::from)
        .collect();
    let ends = letters.iter().map(|letter| format!("{letter}</w>"));
    let merged = MERGES.iter().map(|merge| merge.replace(' ', ""));
    let special = ["<|startoftext|>", "<|endoftext|>"].map(str::to_owned);
    let all: Vec<String> = letters
        .iter()
        .cloned()
        .chain(ends)
        .chain(merged)
        .chain(special)
        .collect();
    let ids = all.into_iter().enumerate();
    Value::Object(ids.map(|(id, token)| (token, json!(id))).collect())
}

fn shapes(vocab: usize, vision: usize) -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("text_projection.weight".to_owned(), vec![PROJECTION, WIDTH]),
        (
            "visual_projection.weight".to_owned(),
            vec![PROJECTION, vision],
        ),
    ];
    let mut text = |name: String, shape: Vec<usize>, has_bias: bool| {
        let name = format!("text_model.{name}");
        if has_bias {
            shapes.push((format!("{name}.bias"), shape[..1].to_vec()));
        }
        shapes.push((format!("{name}.weight"), shape));
    };
    let embeddings = |name: &str| format!("embeddings.{name}_embedding");
    text(embeddings("token"), vec![vocab, WIDTH], false);
    text(embeddings("position"), vec![CONTEXT, WIDTH], false);
    text("final_layer_norm".to_owned(), vec![WIDTH], true);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("encoder.layers.{layer}.{part}");
        for part in ["layer_norm1", "layer_norm2"] {
            text(name(part), vec![WIDTH], true);
        }
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            text(name(&format!("self_attn.{part}")), vec![WIDTH, WIDTH], true);
        }
        text(name("mlp.fc1"), vec![INNER, WIDTH], true);
        text(name("mlp.fc2"), vec![WIDTH, INNER], true);
    }
    shapes
}

/// Uniform values in −1..1 from a seed.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}
