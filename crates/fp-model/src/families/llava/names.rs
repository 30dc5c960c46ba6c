//! Tensor names of LLaVA.

use crate::weights::Names;

/// Names in Hugging Face transformers before 4.52.
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

/// Names in Hugging Face transformers from 4.52 on.
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
pub(super) const HUGGING_FACE: [Names; 4] = [
    Names {
        vision: "vision_tower.",
        ..OLDER
    },
    Names {
        vision: "model.vision_tower.",
        ..NEWER
    },
    OLDER,
    NEWER,
];

const ORIGINAL_HERE: Names = Names {
    title: "original LLaVA",
    decoder: "model.",
    head: "lm_head.weight",
    vision: "model.vision_tower.vision_tower.vision_model.",
    projector: ["model.mm_projector.0", "model.mm_projector.2"],
    newline: "model.image_newline",
    is_tower_apart: false,
};

/// The original project: checkpoints that include a fine-tuned tower, and those whose tower is in a
/// CLIP folder.
pub(super) const ORIGINAL: [Names; 2] = [
    ORIGINAL_HERE,
    Names {
        vision: "vision_model.",
        is_tower_apart: true,
        ..ORIGINAL_HERE
    },
];
