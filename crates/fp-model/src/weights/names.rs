//! Tensor names in each layout, and the tensors that a model needs.

use super::checkpoint::Checkpoint;
use crate::config::{ModelConfig, TowerKind};
use crate::error::{ModelError, Result};
use crate::vision::VisionParts;

/// A tensor that the config requires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpectedTensor {
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    /// Whether it is in the vision tower's own folder, if there is one.
    pub(crate) in_tower: bool,
}

/// Names of one layout's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names {
    /// Name of the layout.
    pub(crate) title: &'static str,
    /// Prefix of `embed_tokens`, `layers` and `norm`.
    pub(crate) decoder: &'static str,
    /// Name of the output layer's matrix.
    pub(crate) head: &'static str,
    /// Prefix of `embeddings` and `encoder`.
    pub(crate) vision: &'static str,
    /// Names of the projector's two layers.
    pub(crate) projector: [&'static str; 2],
    /// Name of the end-of-row embedding of any-resolution input.
    pub(crate) newline: &'static str,
    /// Whether the vision tower has a folder of its own.
    pub(crate) is_tower_apart: bool,
}

impl Names {
    /// Finds the layout of `checkpoint`.
    ///
    /// # Errors
    /// The names match no known layout.
    pub(crate) fn detect(checkpoint: &Checkpoint, config: &ModelConfig) -> Result<Names> {
        let candidates = config.family.card().layouts(&config.origin);
        let probe = |names: &Names| format!("{}embed_tokens.weight", names.decoder);
        let fits: Vec<&Names> = candidates
            .iter()
            .filter(|names| checkpoint.contains(&probe(names)))
            .collect();
        // Some layouts have the same decoder names and differ in the tower's.
        let has_tower = |names: &&&Names| {
            checkpoint
                .names()
                .any(|name| name.strip_prefix(names.vision).is_some_and(is_of_tower))
        };
        let found = fits.iter().find(has_tower).or(fits.last());
        found.map(|names| (*names).clone()).ok_or_else(|| {
            let mut expected: Vec<String> = candidates.iter().map(probe).collect();
            expected.dedup();
            ModelError::UnknownNames {
                dir: checkpoint.dir().to_owned(),
                expected,
            }
        })
    }

    /// Whether the vision tower has a folder of its own.
    pub(crate) fn has_tower_apart(&self) -> bool {
        self.is_tower_apart
    }
}

/// Whether the rest of a tensor's name, after the prefix of its tower, belongs to a tower.
fn is_of_tower(rest: &str) -> bool {
    ["embeddings.", "encoder.", "blocks.", "patch_embed."]
        .iter()
        .any(|part| rest.starts_with(part))
}

/// All tensors that running the model needs, with their shapes. Vision layers past the feature
/// layer aren't included.
pub(crate) fn expected_tensors(config: &ModelConfig, names: &Names) -> Vec<ExpectedTensor> {
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize], in_tower: bool| {
        tensors.push(ExpectedTensor {
            name,
            shape: shape.to_vec(),
            in_tower,
        });
    };

    let text = &config.text;
    let (d, m) = (text.hidden_size, text.intermediate_size);
    let (q, kv) = (
        text.num_heads * text.head_dim(),
        text.num_kv_heads * text.head_dim(),
    );
    add(
        format!("{}embed_tokens.weight", names.decoder),
        &[text.vocab_size, d],
        false,
    );
    for layer in 0..text.num_layers {
        let prefix = format!("{}layers.{layer}.", names.decoder);
        for (name, rows, cols, bias) in [
            ("self_attn.q_proj", q, d, text.attention_bias),
            ("self_attn.k_proj", kv, d, text.attention_bias),
            ("self_attn.v_proj", kv, d, text.attention_bias),
            ("self_attn.o_proj", d, q, text.output_bias),
            ("mlp.gate_proj", m, d, text.mlp_bias),
            ("mlp.up_proj", m, d, text.mlp_bias),
            ("mlp.down_proj", d, m, text.mlp_bias),
        ] {
            add(format!("{prefix}{name}.weight"), &[rows, cols], false);
            if bias {
                add(format!("{prefix}{name}.bias"), &[rows], false);
            }
        }
        for name in ["input_layernorm", "post_attention_layernorm"] {
            add(format!("{prefix}{name}.weight"), &[d], false);
        }
    }
    add(format!("{}norm.weight", names.decoder), &[d], false);
    if !text.tie_embeddings {
        add(names.head.to_owned(), &[text.vocab_size, d], false);
    }

    tensors.extend(config.family.card().vision_tensors(config, names));
    tensors
}

impl ModelConfig {
    /// Number of values in all tensors of the model's class: decoder, connector, and the whole
    /// vision tower, including the layers and the last norm that features don't use.
    pub fn num_weights(&self) -> u64 {
        let card = self.family.card();
        let names = card.layout_of_dummies();
        let parts = VisionParts {
            num_layers: self.vision.num_layers,
            post_norm: true,
        };
        expected_tensors(self, names)
            .iter()
            .chain(&card.extra_vision_tensors(self, names, &parts))
            .map(|tensor| tensor.shape.iter().product::<usize>() as u64)
            .sum()
    }
}

/// All tensors of a tower of squares and of the projector, and the end-of-row embedding if there is
/// one.
pub(crate) fn square_tensors(config: &ModelConfig, names: &Names) -> Vec<ExpectedTensor> {
    let mut tensors = Vec::new();
    let mut add = |name: String, shape: &[usize], in_tower: bool| {
        tensors.push(ExpectedTensor {
            name,
            shape: shape.to_vec(),
            in_tower,
        });
    };
    let d = config.text.hidden_size;
    let vision = &config.vision;
    let v = vision.hidden_size;
    for (name, input) in names.projector.iter().zip([v, d]) {
        add(format!("{name}.weight"), &[d, input], false);
        add(format!("{name}.bias"), &[d], false);
    }
    if config.grid_pinpoints.is_some() {
        add(names.newline.to_owned(), &[d], false);
    }

    let apart = names.has_tower_apart();
    let prefix = format!("{}embeddings.", names.vision);
    let patch = vision.patch_size;
    let is_clip = vision.kind == TowerKind::Clip;
    if is_clip {
        add(format!("{prefix}class_embedding"), &[v], apart);
    } else {
        add(format!("{prefix}patch_embedding.bias"), &[v], apart);
    }
    add(
        format!("{prefix}patch_embedding.weight"),
        &[v, vision.num_channels, patch, patch],
        apart,
    );
    add(
        format!("{prefix}position_embedding.weight"),
        &[vision.num_tokens(), v],
        apart,
    );
    if is_clip {
        tensors.extend(norm(names, "pre_layrnorm", v));
    }
    for layer in 0..config.num_vision_layers_used() {
        tensors.extend(vision_layer(config, names, layer));
    }
    tensors
}

/// The additional tensors that `parts` of the vision tower require.
pub(crate) fn extra_square_tensors(
    config: &ModelConfig,
    names: &Names,
    parts: &VisionParts,
) -> Vec<ExpectedTensor> {
    let mut tensors: Vec<ExpectedTensor> = (config.num_vision_layers_used()..parts.num_layers)
        .flat_map(|layer| vision_layer(config, names, layer))
        .collect();
    if parts.post_norm {
        tensors.extend(norm(names, "post_layernorm", config.vision.hidden_size));
    }
    tensors
}

/// Weight and bias of a module of the vision tower.
fn weight_and_bias(names: &Names, name: &str, weight: &[usize]) -> [ExpectedTensor; 2] {
    let tensor = |part: &str, shape: &[usize]| ExpectedTensor {
        name: format!("{}{name}.{part}", names.vision),
        shape: shape.to_vec(),
        in_tower: names.has_tower_apart(),
    };
    [
        tensor("weight", weight),
        tensor("bias", weight.get(..1).unwrap_or_default()),
    ]
}

fn norm(names: &Names, name: &str, width: usize) -> [ExpectedTensor; 2] {
    weight_and_bias(names, name, &[width])
}

/// Tensors of one layer of the vision tower.
fn vision_layer(config: &ModelConfig, names: &Names, layer: usize) -> Vec<ExpectedTensor> {
    let (v, m) = (config.vision.hidden_size, config.vision.intermediate_size);
    let matrices = [
        ("self_attn.q_proj", [v, v]),
        ("self_attn.k_proj", [v, v]),
        ("self_attn.v_proj", [v, v]),
        ("self_attn.out_proj", [v, v]),
        ("mlp.fc1", [m, v]),
        ("mlp.fc2", [v, m]),
    ];
    let name = |part: &str| format!("encoder.layers.{layer}.{part}");
    let matrices = matrices
        .iter()
        .flat_map(|(part, shape)| weight_and_bias(names, &name(part), shape));
    let norms = ["layer_norm1", "layer_norm2"]
        .iter()
        .flat_map(|part| norm(names, &name(part), v));
    matrices.chain(norms).collect()
}
