//! Studies with a method that compares image and question by CLIP's embeddings.

#[path = "../../fp-model/tests/clip/tiny.rs"]
mod tiny;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use fp_eval::study::{Engine, RunOptions, StudyConfig, VisualInputRecord, read_records, read_spec};
use fp_scoring::{
    ConfiguredMethod, MethodParams, MethodRegistry, ParamScope, error_text, published_method,
};
use serde_json::Value;

use crate::study_support::{World, records, run};
use tiny::TinyClip;

/// A registry with CDPruner set to keep four tokens.
fn registry() -> Arc<MethodRegistry> {
    let method = published_method("cdpruner").unwrap();
    let given = [("keep".to_owned(), "4".to_owned())];
    let mut registry = MethodRegistry::standard();
    registry
        .register(ConfiguredMethod {
            name: "cdpruner:four".to_owned(),
            method,
            params: MethodParams::parse(method.card(), ParamScope::Model, &given).unwrap(),
            positions: None,
        })
        .unwrap();
    Arc::new(registry)
}

fn options(folder: &Path) -> RunOptions {
    RunOptions {
        methods: registry(),
        ..RunOptions::new(folder)
    }
}

fn tiny_clip(world: &World) -> TinyClip {
    let config = std::fs::read(world.model().join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    TinyClip::new(&config["vision_config"])
}

/// A study of one strategy and CDPruner.
fn config(world: &World, clip: Option<&Path>) -> StudyConfig {
    let mut config = world.study_a();
    config.head_selection_strategies.truncate(1);
    config.methods = vec!["cdpruner:four".to_owned()];
    config.clip = clip.map(|clip| clip.display().to_string());
    config
}

#[test]
fn every_engine_chooses_by_the_question() {
    let world = World::new();
    let clip = world.path("clip");
    tiny_clip(&world).write(&clip);
    let config = config(&world, Some(&clip));
    let mut all = Vec::new();
    for engine in Engine::ALL {
        let folder = world.path(engine.name());
        let options = RunOptions {
            engine,
            ..options(&folder)
        };
        run(&config, &options).unwrap();
        all.push(records(&folder));
        let spec = read_spec(&folder).unwrap();
        let of_clip = spec.clip.as_ref().unwrap();
        let names: Vec<&str> = of_clip.files.iter().map(|f| f.name.as_str()).collect();
        let expected = [
            "config.json",
            "merges.txt",
            "model.safetensors",
            "vocab.json",
        ];
        assert_eq!((names, &of_clip.path), (expected.to_vec(), &clip));
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    let folder = world.path("shared");
    let spec = read_spec(&folder).unwrap();
    let cell = spec.grid.position("cdpruner:four").unwrap();
    let mut of_image_0 = BTreeSet::new();
    for record in read_records(&folder).unwrap() {
        let VisualInputRecord::Stages(seen) = &record.run_of(cell).unwrap().seen else {
            panic!("{}", record.id);
        };
        let kept = &seen.stages.last().unwrap().kept;
        assert_eq!(kept.len(), 4, "{}", record.id);
        if record.image == "images/0.png" {
            of_image_0.insert(kept.clone());
        }
    }
    assert!(of_image_0.len() > 1, "{of_image_0:?}");
}

#[test]
fn another_clip_model_is_another_run() {
    let world = World::new();
    let clip = world.path("clip");
    let mut parts = tiny_clip(&world);
    parts.write(&clip);
    let folder = world.path("run");
    run(&config(&world, Some(&clip)), &options(&folder)).unwrap();
    // The folder's location doesn't matter.
    let moved = world.path("moved");
    parts.write(&moved);
    run(&config(&world, Some(&moved)), &options(&folder)).unwrap();
    let name = "text_projection.weight";
    let changed = parts.tensors[name].affine(1.5, 0.0).unwrap();
    parts.tensors.insert(name.to_owned(), changed);
    parts.write(&moved);
    let error = run(&config(&world, Some(&moved)), &options(&folder)).unwrap_err();
    let text = error_text(&error);
    assert!(text.contains("another CLIP model"), "{text}");
}

#[test]
fn what_is_wrong_with_a_clip_model_is_said_before_anything_runs() {
    let world = World::new();
    let refuse = |config: &StudyConfig, parts: &[&str]| {
        let folder = world.path("refused");
        let error = run(config, &options(&folder)).unwrap_err();
        let text = error_text(&error);
        for part in parts {
            assert!(text.contains(part), "{text}\nlacks {part}");
        }
        assert_eq!(text.matches("openai/clip-vit-large-patch14-336").count(), 1);
        assert!(!folder.exists());
    };
    refuse(
        &config(&world, None),
        &[
            "methods[0]",
            "cdpruner",
            "no LLaVA checkpoint has",
            "`clip`",
        ],
    );
    let absent = world.path("absent");
    refuse(
        &config(&world, Some(&absent)),
        &["clip: no folder", "absent"],
    );
    let mut parts = tiny_clip(&world);
    parts.config["vision_config"]["image_size"] = 336.into();
    let other = world.path("other");
    parts.write(&other);
    let error = run(
        &config(&world, Some(&other)),
        &options(&world.path("refused")),
    )
    .unwrap_err();
    let text = error_text(&error);
    assert!(
        text.contains("clip: ") && text.contains("`vision_config.image_size` is 336"),
        "{text}"
    );
}
