//! Folders that hold one part of a model, or lack one.

use super::error::CheckpointError;
use super::folder::Folder;
use crate::weights::{Checkpoint, ExpectedTensor, Names};

/// Refuses a folder whose files are those of one part of a model, or of another program.
pub(super) fn check_folder(folder: &Folder) -> Result<(), CheckpointError> {
    if folder.has_weights() {
        return Ok(());
    }
    if let Some(name) = folder.find(is_projector_file) {
        return Err(CheckpointError::ProjectorOnly {
            dir: folder.dir().to_owned(),
            sign: name.to_owned(),
        });
    }
    match folder.find(|name| name.ends_with(".gguf")) {
        Some(name) => Err(CheckpointError::ForeignFormat {
            file: folder.path(name),
            format: "GGUF of llama.cpp",
        }),
        None => Ok(()),
    }
}

/// Whether `name` is a file that the first stage of the original project's training writes.
fn is_projector_file(name: &str) -> bool {
    name.starts_with("mm_projector")
        && [".bin", ".safetensors", ".pt", ".pth"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// Part of a model that a tensor belongs to, by its name in any layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Decoder,
    Projector,
    Tower,
}

fn part_of(name: &str) -> Option<Part> {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["mm_projector", "multi_modal_projector"]) {
        Some(Part::Projector)
    } else if has(&["vision_tower", "vision_model.", "visual."]) {
        Some(Part::Tower)
    } else if has(&["embed_tokens", "lm_head"])
        || (has(&["layers."]) && has(&["q_proj", "gate_proj"]) && !has(&["text_model"]))
    {
        Some(Part::Decoder)
    } else {
        None
    }
}

/// Refuses weights that are only those of the projector or the tower.
pub(super) fn check_tensors(weights: &Checkpoint) -> Result<(), CheckpointError> {
    let has = |part| weights.names().find(|name| part_of(name) == Some(part));
    if has(Part::Decoder).is_some() {
        return Ok(());
    }
    let dir = weights.dir().to_owned();
    let sign = |name: &str| format!("tensors such as `{name}`");
    match (has(Part::Projector), has(Part::Tower)) {
        (Some(name), None) => Err(CheckpointError::ProjectorOnly {
            dir,
            sign: sign(name),
        }),
        (None, Some(name)) => Err(CheckpointError::TowerOnly {
            dir,
            sign: sign(name),
        }),
        _ => Ok(()),
    }
}

/// The part that is missing altogether, if there is one.
pub(crate) fn lacking_part(
    folder: &Folder,
    main: &Checkpoint,
    tower: Option<&Checkpoint>,
    names: &Names,
    expected: &[ExpectedTensor],
) -> Option<CheckpointError> {
    let lacks = |weights: &Checkpoint, prefixes: &[&str]| {
        let is_of = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        let asked = expected.iter().find(|tensor| is_of(&tensor.name))?;
        let is_there = weights.names().any(is_of);
        (!is_there).then(|| asked.name.clone())
    };
    if let Some(expected) = lacks(main, &names.projector) {
        let apart = folder.find(is_projector_file);
        let hint = match apart {
            Some(name) => format!(
                "{} beside them may hold it; load the model with it and save it in full",
                folder.path(name).display()
            ),
            None => "training wrote it to a file mm_projector.bin; load the model with it and \
                     save it in full"
                .to_owned(),
        };
        return Some(CheckpointError::NoProjector {
            dir: main.dir().to_owned(),
            expected,
            hint,
        });
    }
    let weights = tower.unwrap_or(main);
    let expected = lacks(weights, &[names.vision])?;
    Some(CheckpointError::NoTower {
        dir: weights.dir().to_owned(),
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::{Part, is_projector_file, part_of};

    #[test]
    fn parts_by_name() {
        for (name, part) in [
            ("lm_head.weight", Some(Part::Decoder)),
            (
                "model.layers.3.self_attn.q_proj.weight",
                Some(Part::Decoder),
            ),
            ("model.mm_projector.0.weight", Some(Part::Projector)),
            ("multi_modal_projector.linear_1.bias", Some(Part::Projector)),
            (
                "vision_model.encoder.layers.0.self_attn.q_proj.weight",
                Some(Part::Tower),
            ),
            (
                "model.vision_tower.vision_tower.vision_model.embeddings.class_embedding",
                Some(Part::Tower),
            ),
            ("text_model.encoder.layers.0.self_attn.q_proj.weight", None),
            ("logit_scale", None),
        ] {
            assert_eq!(part_of(name), part, "{name}");
        }
        assert!(is_projector_file("mm_projector.bin"));
        assert!(!is_projector_file("mm_projector.json"));
        assert!(!is_projector_file("model.safetensors"));
    }
}
