//! A tiny any-resolution checkpoint whose tower has random weights and biases.

use candle_core::{Device, Tensor};
use fp_model::{LlavaModel, LoadOptions, VisionParts};
use serde_json::json;
use tempfile::TempDir;

use super::naive::Tower;
use crate::common::checkpoint::{Tensors, golden_config, golden_tensors, save, write_config};

pub(crate) const LAYERS: usize = 4;
pub(crate) const HEADS: usize = 3;
pub(crate) const WIDTH: usize = 24;
pub(crate) const SIDE: usize = 56;
pub(crate) const PATCHES: usize = 16;
const PATCH: usize = 14;
const INNER: usize = 40;
const PREFIX: &str = "vision_tower.vision_model.";

/// All parts that can be loaded.
pub(crate) const EVERYTHING: VisionParts = VisionParts {
    num_layers: LAYERS,
    post_norm: true,
};

/// Uniform values in −1..1 from a seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    (0..len)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Pixel values `[count, 3, side, side]`.
pub(crate) fn pixels(seed: u64, count: usize) -> Tensor {
    let values = noise(seed, count * 3 * SIDE * SIDE);
    Tensor::from_vec(values, (count, 3, SIDE, SIDE), &Device::Cpu).unwrap()
}

fn tower_shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("embeddings.class_embedding".to_owned(), vec![WIDTH]),
        (
            "embeddings.patch_embedding.weight".to_owned(),
            vec![WIDTH, 3, PATCH, PATCH],
        ),
        (
            "embeddings.position_embedding.weight".to_owned(),
            vec![PATCHES + 1, WIDTH],
        ),
    ];
    let mut both = |name: String, shape: Vec<usize>| {
        shapes.push((format!("{name}.bias"), shape[..1].to_vec()));
        shapes.push((format!("{name}.weight"), shape));
    };
    both("pre_layrnorm".to_owned(), vec![WIDTH]);
    both("post_layernorm".to_owned(), vec![WIDTH]);
    for layer in 0..LAYERS {
        let name = |part: &str| format!("encoder.layers.{layer}.{part}");
        for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            both(name(&format!("self_attn.{part}")), vec![WIDTH, WIDTH]);
        }
        both(name("mlp.fc1"), vec![INNER, WIDTH]);
        both(name("mlp.fc2"), vec![WIDTH, INNER]);
        both(name("layer_norm1"), vec![WIDTH]);
        both(name("layer_norm2"), vec![WIDTH]);
    }
    shapes
}

/// A valid checkpoint and its tower.
pub(crate) fn checkpoint() -> (TempDir, Tower) {
    checkpoint_with(-2, |_, tensor| Some(tensor))
}

/// A checkpoint with this feature layer in which each of the tower's tensors is replaced by the
/// result of `store`; and the tower with the original values.
pub(crate) fn checkpoint_with(
    feature_layer: i64,
    store: impl Fn(&str, Tensor) -> Option<Tensor>,
) -> (TempDir, Tower) {
    let mut config = golden_config();
    config["model_type"] = json!("llava_next");
    config["image_grid_pinpoints"] = json!([[2 * SIDE, 2 * SIDE]]);
    config["vision_feature_layer"] = json!(feature_layer);
    config["vision_config"] = json!({
        "model_type": "clip_vision_model", "hidden_size": WIDTH, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "image_size": SIDE,
        "patch_size": PATCH, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5,
    });
    let text_width = golden_tensors()["multi_modal_projector.linear_1.bias"].elem_count();
    let mut tensors: Tensors = golden_tensors()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("vision_tower."))
        .collect();
    let tensor = |seed: usize, shape: &[usize], scale: f32, offset: f32| {
        let values = noise(seed as u64, shape.iter().product());
        let values: Vec<f32> = values.iter().map(|v| offset + scale * v).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    tensors.insert(
        "multi_modal_projector.linear_1.weight".to_owned(),
        tensor(900, &[text_width, WIDTH], 0.3, 0.0),
    );
    tensors.insert(
        "image_newline".to_owned(),
        tensor(901, &[text_width], 1.0, 0.0),
    );
    let mut tower = Tower {
        weights: Default::default(),
        num_layers: LAYERS,
        num_heads: HEADS,
        patch: PATCH,
        side: SIDE,
    };
    for (seed, (name, shape)) in tower_shapes().into_iter().enumerate() {
        let is_norm = name.contains("norm") && name.ends_with("weight");
        let (scale, offset) = if is_norm {
            (0.5, 1.0)
        } else if name.contains("patch_embedding") {
            (0.1, 0.0)
        } else if name.contains("q_proj") || name.contains("k_proj") {
            // Sharp attention: uniform attention would hide mistakes.
            (0.7, 0.0)
        } else {
            (0.4, 0.0)
        };
        let tensor = tensor(seed, &shape, scale, offset);
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        let values = values.into_iter().map(f64::from).collect();
        tower.weights.insert(name.clone(), (shape, values));
        if let Some(tensor) = store(&name, tensor) {
            tensors.insert(format!("{PREFIX}{name}"), tensor);
        }
    }
    let root = TempDir::new().unwrap();
    write_config(root.path(), &config);
    save(&tensors, &root.path().join("model.safetensors"));
    (root, tower)
}

/// The model with some parts of its tower.
pub(crate) fn load(root: &TempDir, kernels: bool, vision: VisionParts) -> LlavaModel {
    let options = LoadOptions {
        kernels,
        vision,
        ..LoadOptions::default()
    };
    LlavaModel::load(root.path(), &options).unwrap()
}
