//! What LLaVA's tensors are called.

use crate::weights::Names;

/// Hugging Face up to 4.51.
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

/// Hugging Face from 4.52 on.
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

/// Both, and towers that transformers 5 saves without a module between.
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

/// The original project: checkpoints that bring a fine-tuned tower along, and those whose tower
/// is in a CLIP folder.
pub(super) const ORIGINAL: [Names; 2] = [
    ORIGINAL_HERE,
    Names {
        vision: "vision_model.",
        is_tower_apart: true,
        ..ORIGINAL_HERE
    },
];
