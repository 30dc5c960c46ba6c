//! The files beside the weights, checked against the model.

use fp_model::prompt::PromptError;
use fp_model::{CheckpointError, ModelError, OpenedCheckpoint};
use serde_json::{Value, json};

use super::folder::Folder;

/// Asserts that the folder is incomplete for a single reason, whose text contains `parts`.
#[track_caller]
fn incomplete(folder: &Folder, parts: &[&str]) {
    let inspection = folder.inspect();
    assert!(!inspection.is_complete(), "{inspection}");
    let problems = inspection.problems.as_slice();
    let [problem] = problems else {
        panic!("{problems:?}");
    };
    for part in parts {
        assert!(problem.contains(part), "{part} is not in: {problem}");
    }
}

/// Asserts that the folder is complete with a single note, whose text contains `parts`; without
/// parts, with no note.
#[track_caller]
fn noted(folder: &Folder, parts: &[&str]) {
    let inspection = folder.inspect();
    assert!(inspection.is_complete(), "{inspection}");
    assert_eq!(
        inspection.notes.len(),
        usize::from(!parts.is_empty()),
        "{inspection}"
    );
    for part in parts {
        let note = &inspection.notes[0];
        assert!(note.contains(part), "{part} is not in: {note}");
    }
    let opened = OpenedCheckpoint::open(folder.path(), None).unwrap();
    assert_eq!(opened.notes(), inspection.notes);
}

fn change(folder: &Folder, name: &str, change: impl FnOnce(&mut Value)) {
    let mut value = folder.read_json(name);
    change(&mut value);
    folder.write_json(name, &value);
}

#[test]
fn images_of_another_size_than_the_tower_takes() {
    let folder = Folder::whole();
    noted(&folder, &[]);
    let name = "preprocessor_config.json";
    for (size, crop, made) in [
        (
            json!({"shortest_edge": 224}),
            json!({"height": 224, "width": 224}),
            "224x224",
        ),
        (json!(336), json!({"height": 336, "width": 224}), "224x336"),
        (json!({"height": 448, "width": 448}), json!(448), "448x448"),
    ] {
        change(&folder, name, |config| {
            config["size"] = size;
            config["crop_size"] = crop;
        });
        incomplete(&folder, &[name, made, "takes 336x336"]);
        let opened = OpenedCheckpoint::open(folder.path(), None).unwrap();
        assert!(matches!(
            opened.check_images(false),
            Err(ModelError::Checkpoint(CheckpointError::ImageSize { .. }))
        ));
    }
    // Without a crop, the resize determines the size.
    change(&folder, name, |config| {
        config["do_center_crop"] = json!(false);
        config["size"] = json!({"shortest_edge": 336});
    });
    noted(&folder, &[]);
    folder.write(name, b"{");
    incomplete(&folder, &[name]);
    // Without the file the class defaults apply, which are for another tower.
    folder.remove(name);
    let inspection = folder.inspect();
    assert_eq!(inspection.missing_files, [name]);
    assert!(!inspection.is_complete());
}

#[test]
fn another_kind_of_image_processor() {
    let folder = Folder::whole();
    change(&folder, "preprocessor_config.json", |config| {
        config["image_processor_type"] = json!("SiglipImageProcessor");
    });
    incomplete(
        &folder,
        &["preprocessor_config.json", "SiglipImageProcessor"],
    );
}

#[test]
fn a_tokenizer_in_another_form() {
    let folder = Folder::whole();
    folder.remove("tokenizer.json");
    assert_eq!(folder.inspect().missing_files, ["tokenizer.json"]);
    folder.write("tokenizer.model", b"");
    incomplete(
        &folder,
        &[
            "tokenizer.model",
            "no tokenizer.json",
            "LlamaTokenizerFast",
            "save_pretrained",
        ],
    );
    let opened = OpenedCheckpoint::open(folder.path(), None).unwrap();
    assert!(matches!(
        opened.tokenizer(),
        Err(ModelError::Prompt(PromptError::OnlySentencePiece { .. }))
    ));
    // With both files, the one that is read counts.
    let folder = Folder::whole();
    folder.write("tokenizer.model", b"");
    noted(&folder, &[]);
    folder.write("tokenizer.json", b"{");
    incomplete(&folder, &["tokenizer.json", "not a usable"]);
}

#[test]
fn tokens_that_contradict_the_config() {
    let folder = Folder::with(|_, config| config["image_token_index"] = json!(499));
    incomplete(&folder, &["`<image>` has id 500", "says 499"]);
    // A text token without an embedding: with 505 rows the last id is 504.
    let folder = Folder::whole();
    change(&folder, "tokenizer.json", |tokenizer| {
        let vocab = tokenizer["model"]["vocab"].as_object_mut().unwrap();
        let last = vocab.values_mut().max_by_key(|id| id.as_u64()).unwrap();
        *last = json!(505);
    });
    incomplete(&folder, &["has id 505", "vocabulary of 505", "config.json"]);
    let opened = OpenedCheckpoint::open(folder.path(), None).unwrap();
    assert!(matches!(
        opened.tokenizer(),
        Err(ModelError::Checkpoint(CheckpointError::Vocabulary { .. }))
    ));
    // The token that ends answers never enters the model.
    let folder = Folder::whole();
    folder.write_json("generation_config.json", &json!({"eos_token_id": [2, 505]}));
    noted(
        &folder,
        &["token 505", "vocabulary of 505", "until the limit"],
    );
}

#[test]
fn counts_of_image_tokens_that_are_not_followed() {
    for stated in [575, 577, 1] {
        let folder = Folder::with(|_, config| config["image_seq_length"] = json!(stated));
        let parts = [&format!("`image_seq_length` {stated}"), "gives 576 tokens"];
        noted(&folder, &parts);
    }
    let folder = Folder::with(|_, config| config["image_seq_length"] = json!(576));
    noted(&folder, &[]);
    // The class token counts if it is a feature.
    let full = |stated: usize| {
        Folder::with(|_, config| {
            config["vision_feature_select_strategy"] = json!("full");
            config["image_seq_length"] = json!(stated);
        })
    };
    noted(&full(577), &[]);
    noted(&full(576), &["`image_seq_length` 576", "gives 577 tokens"]);
}

#[test]
fn a_processor_that_counts_otherwise() {
    let folder = Folder::whole();
    let name = "processor_config.json";
    let write = |processor: Value| {
        folder.write_json(name, &processor);
    };
    for agreeing in [
        json!({"image_token": "<image>", "patch_size": 14, "vision_feature_select_strategy": "default"}),
        json!({"patch_size": 14, "num_additional_image_tokens": 1}),
        json!({"patch_size": null, "vision_feature_select_strategy": null}),
    ] {
        write(agreeing);
        noted(&folder, &[]);
    }
    for (processor, parts) in [
        (
            json!({"patch_size": 16}),
            ["`patch_size` 16", "makes it 14"],
        ),
        (
            json!({"vision_feature_select_strategy": "full"}),
            ["`vision_feature_select_strategy` `full`", "`default`"],
        ),
        (
            json!({"num_additional_image_tokens": 0}),
            ["`num_additional_image_tokens` 0", "makes it 1"],
        ),
        (json!({"image_token": "<img>"}), ["`<img>`", "`<image>`"]),
    ] {
        write(processor);
        noted(&folder, &[&[name][..], &parts].concat());
    }
    folder.write(name, b"{");
    noted(&folder, &[name, "not valid JSON"]);
}

/// LLaMA's tokenizer in several forms: only those that put a space before each segment of text
/// tokenise prompts as in LLaVA's training.
#[test]
fn a_tokenizer_without_the_space_before_text() {
    let llama = |pre_tokenizer: Value| {
        let folder = Folder::whole();
        change(&folder, "tokenizer.json", |tokenizer| {
            tokenizer["normalizer"] = Value::Null;
            tokenizer["pre_tokenizer"] = pre_tokenizer;
        });
        folder
    };
    let metaspace = |scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
    for scheme in ["always", "first"] {
        noted(&llama(metaspace(scheme)), &[]);
    }
    let parts = ["tokenizer.json", "no space before the text"];
    noted(&llama(metaspace("never")), &parts);
    noted(&llama(Value::Null), &parts);
}
