//! Tensor names of LLaVA-OneVision.

use crate::weights::Names;

/// Names on the hub, as transformers before 4.52 saves them.
const OLDER: Names = Names {
    title: "Hugging Face, older names",
    decoder: "language_model.model.",
    head: "language_model.lm_head.weight",
    vision: "vision_tower.vision_model.",
    projector: [
        "multi_modal_projector.linear_1",
        "multi_modal_projector.linear_2",
    ],
    newline: "image_newline",
    is_tower_apart: false,
};

/// Names in transformers from 4.52 on.
pub(super) const NEWER: Names = Names {
    title: "Hugging Face, newer names",
    decoder: "model.language_model.",
    head: "lm_head.weight",
    vision: "model.vision_tower.vision_model.",
    projector: [
        "model.multi_modal_projector.linear_1",
        "model.multi_modal_projector.linear_2",
    ],
    newline: "model.image_newline",
    is_tower_apart: false,
};

/// Both, each also without the module `vision_model` inside the tower, as transformers 5 saves it.
pub(super) const LAYOUTS: [Names; 4] = [
    OLDER,
    NEWER,
    Names {
        vision: "vision_tower.",
        ..OLDER
    },
    Names {
        vision: "model.vision_tower.",
        ..NEWER
    },
];
