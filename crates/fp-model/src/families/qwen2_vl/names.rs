//! What Qwen2-VL's tensors are called.

use crate::weights::Names;

/// On the hub, and as transformers saves them.
const OLDER: Names = Names {
    title: "Qwen2-VL",
    decoder: "model.",
    head: "lm_head.weight",
    vision: "visual.",
    projector: ["visual.merger.mlp.0", "visual.merger.mlp.2"],
    newline: "",
    is_tower_apart: false,
};

/// By the modules of transformers from 4.52 on.
pub(super) const NEWER: Names = Names {
    title: "Qwen2-VL, newer names",
    decoder: "model.language_model.",
    head: "lm_head.weight",
    vision: "model.visual.",
    projector: ["model.visual.merger.mlp.0", "model.visual.merger.mlp.2"],
    newline: "",
    is_tower_apart: false,
};

pub(super) const LAYOUTS: [Names; 2] = [NEWER, OLDER];
