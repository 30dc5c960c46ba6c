//! The tensors of the vision part, with their shapes.

use crate::config::ModelConfig;
use crate::weights::{ExpectedTensor, Names};

pub(super) fn expected(config: &ModelConfig, names: &Names) -> Vec<ExpectedTensor> {
    let (vision, Some(dynamic)) = (&config.vision, &config.dynamic) else {
        return Vec::new();
    };
    let (v, m, d) = (
        vision.hidden_size,
        vision.intermediate_size,
        config.text.hidden_size,
    );
    let merged = v * dynamic.merge_size.pow(2);
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize]| {
        tensors.push(ExpectedTensor {
            name: format!("{}{name}", names.vision),
            shape: shape.to_vec(),
            in_tower: false,
        });
    };
    let patch = vision.patch_size;
    let pictures = dynamic.temporal_patch_size;
    add(
        "patch_embed.proj.weight".to_owned(),
        &[v, vision.num_channels, pictures, patch, patch],
    );
    let has_norm_bias = !dynamic.is_gated;
    for layer in 0..vision.num_layers {
        let name = |part: &str| format!("blocks.{layer}.{part}");
        for norm in ["norm1", "norm2"] {
            add(name(&format!("{norm}.weight")), &[v]);
            if has_norm_bias {
                add(name(&format!("{norm}.bias")), &[v]);
            }
        }
        let mlp: &[(&str, usize, usize)] = match dynamic.is_gated {
            true => &[
                ("mlp.gate_proj", m, v),
                ("mlp.up_proj", m, v),
                ("mlp.down_proj", v, m),
            ],
            false => &[("mlp.fc1", m, v), ("mlp.fc2", v, m)],
        };
        for (part, rows, columns) in [("attn.qkv", 3 * v, v), ("attn.proj", v, v)]
            .iter()
            .chain(mlp)
        {
            add(name(&format!("{part}.weight")), &[*rows, *columns]);
            add(name(&format!("{part}.bias")), &[*rows]);
        }
    }
    add("merger.ln_q.weight".to_owned(), &[v]);
    if has_norm_bias {
        add("merger.ln_q.bias".to_owned(), &[v]);
    }
    for (part, rows) in [("mlp.0", merged), ("mlp.2", d)] {
        add(format!("merger.{part}.weight"), &[rows, merged]);
        add(format!("merger.{part}.bias"), &[rows]);
    }
    tensors
}
