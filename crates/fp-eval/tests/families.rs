//! Studies on models whose images become different numbers of tokens.

use std::path::{Path, PathBuf};

use fp_eval::study::{Engine, RunOptions, StudyConfig, read_records, read_spec};
use fp_scoring::QueryStrategy;
use serde_json::{Value, json};

use crate::study_support::{World, first_difference, records, run};

fn checkpoint(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fp-model/tests/golden/families")
        .join(family)
        .join("b2")
}

fn config(world: &World, family: &str, rest: &Value) -> StudyConfig {
    let mut value = json!({
        "study": "b",
        "head_selection_strategies": ["variance"],
        "query_selection_strategies": QueryStrategy::NAMES,
        "num_selected_heads": ["1/2"],
        "budgets": [{"retention": 0.5}],
        "model": checkpoint(family),
        "datasets": [world.data()],
        "max_new_tokens": 3,
    });
    let keys = value.as_object_mut().unwrap();
    keys.extend(rest.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

#[test]
fn both_engines_agree_on_every_family() {
    for (family, template) in [
        ("llava_onevision", "llava_onevision"),
        ("qwen2_vl", "qwen2_vl"),
        ("qwen2_5_vl", "qwen2_vl"),
    ] {
        let world = World::new();
        let config = config(&world, family, &json!({}));
        let [tree, sequential] = [Engine::Shared, Engine::Sequential].map(|engine| {
            let folder = world.path(&format!("{engine:?}"));
            let options = RunOptions {
                engine,
                ..RunOptions::new(&folder)
            };
            run(&config, &options).unwrap();
            folder
        });
        let (a, b) = (records(&tree), records(&sequential));
        assert!(a == b, "{family}: {}", first_difference(&a, &b));
        let spec = read_spec(&tree).unwrap();
        let stated = spec
            .config
            .prompt_template
            .map(|template| template.to_string());
        assert_eq!(stated.as_deref(), Some(template));
        assert_eq!(spec.model.shape.num_image_tokens, None);
        let records = read_records(&tree).unwrap();
        assert!(
            records.iter().all(|record| record.error.is_none()),
            "{family}"
        );
        let mut tokens: Vec<usize> = records
            .iter()
            .filter_map(|record| Some(record.layout?.num_image))
            .collect();
        tokens.dedup();
        assert!(tokens.len() > 1, "{family}: {tokens:?}");
    }
}
