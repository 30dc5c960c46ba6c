//! Tensor names of Qwen2-VL.

use crate::weights::Names;

/// Names on the hub, which are also those that transformers saves.
const OLDER: Names = Names {
    title: "Qwen2-VL",
    decoder: "model.",
    head: "lm_head.weight",
    vision: "visual.",
    projector: ["visual.merger.mlp.0", "visual.merger.mlp.2"],
    newline: "",
    is_tower_apart: false,
};

/// Names by the modules of transformers from 4.52 on.
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
