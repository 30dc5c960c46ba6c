//! Unused stored tensors: those that would change the answers are an error, buffers and parts of
//! other models are not.

use fp_model::{CheckpointError, LlavaModel, LoadOptions, ModelError, OpenedCheckpoint};
use serde_json::json;

use super::folder::{Folder, zeros};

const LAYER: &str = "language_model.model.layers.2.";

/// The golden checkpoint with additional tensors of these names.
fn with_more(names: &[&str]) -> Folder {
    Folder::with(|tensors, _| {
        for name in names {
            tensors.insert((*name).to_owned(), zeros(&[4]));
        }
    })
}

/// Asserts that the folder is refused for its tensors by inspecting, opening and loading.
#[track_caller]
fn refused(folder: &Folder, parts: &[&str]) {
    let error = OpenedCheckpoint::open(folder.path(), None).unwrap_err();
    assert!(
        matches!(
            &error,
            ModelError::Checkpoint(CheckpointError::Unused { .. })
        ),
        "{error}"
    );
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let loaded = LlavaModel::load(folder.path(), &LoadOptions::default());
    assert_eq!(loaded.unwrap_err().to_string(), text);
    let inspection = folder.inspect();
    assert_eq!(inspection.problems, [text]);
    assert!(!inspection.is_complete());
}

#[test]
fn layers_that_the_config_leaves_out() {
    // Two of 32 layers with nine tensors each are unused.
    let folder = Folder::with(|_, config| config["text_config"]["num_hidden_layers"] = json!(30));
    refused(
        &folder,
        &["18 stored tensors", "layers.30.", "`num_hidden_layers` 30"],
    );
    // With one layer fewer, another layer gives the features.
    let folder = Folder::with(|_, config| config["vision_config"]["num_hidden_layers"] = json!(3));
    refused(&folder, &["16 stored tensors", "layers.3.", "vision tower"]);
}

#[test]
fn biases_that_the_config_denies() {
    let names = ["q_proj", "k_proj", "o_proj"].map(|name| format!("{LAYER}self_attn.{name}.bias"));
    let names = names.each_ref().map(String::as_str);
    refused(
        &with_more(&names),
        &[
            "3 stored tensors",
            "self_attn.k_proj.bias",
            "`attention_bias`",
        ],
    );
    refused(
        &with_more(&[&format!("{LAYER}mlp.up_proj.bias")]),
        &["1 stored tensor", "mlp.up_proj.bias", "`mlp_bias`"],
    );
}

#[test]
fn a_projector_that_is_another_one() {
    for name in [
        "multi_modal_projector.linear_3.weight",
        "multi_modal_projector.layer_norm.weight",
        "model.mm_projector.4.weight",
    ] {
        refused(&with_more(&[name]), &[name, "two linear layers"]);
    }
}

#[test]
fn modules_that_no_such_model_has() {
    for name in [
        "language_model.model.layers.2.self_attn.q_norm.weight",
        "language_model.model.vision_resampler.query",
        "vision_tower.vision_model.embeddings.patch_embedding.bias",
        "vision_tower.vision_model.encoder.layers.0.ls1.gamma",
        "vision_tower.vision_model.head.probe",
        "vision_tower.other.weight",
        "language_model.lm_head.bias",
        // The same model again, under newer names.
        "model.language_model.norm.weight",
    ] {
        refused(&with_more(&[name]), &[name, "of one model"]);
    }
    // One line for each reason.
    let folder = with_more(&[
        "multi_modal_projector.linear_3.weight",
        &format!("{LAYER}mlp.up_proj.bias"),
    ]);
    assert_eq!(folder.inspect().problems.len(), 2);
}

#[test]
fn what_changes_nothing_is_let_be() {
    let names = [
        "language_model.model.layers.2.self_attn.rotary_emb.inv_freq",
        "language_model.model.rotary_emb.inv_freq",
        "vision_tower.vision_model.embeddings.position_ids",
        "image_newline",
        "text_model.final_layer_norm.weight",
        "logit_scale",
    ];
    let inspection = with_more(&names).inspect();
    assert!(inspection.is_complete(), "{inspection}");
    let is_listed = |name: &&str| inspection.unused.iter().any(|unused| unused == name);
    assert!(names.iter().all(is_listed));
    // Layers past the features, and the norm after the last one.
    assert!(
        inspection
            .unused
            .iter()
            .any(|name| name.contains("post_layernorm"))
    );
}
