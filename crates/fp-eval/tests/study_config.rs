//! Configurations: the published schema, the shipped files, and what is refused.

use fp_eval::efficiency::EfficiencySettings;
use fp_eval::study::{Grid, ModelShape, StudyConfig, config};
use fp_model::Preset;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn shipped() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(configs())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("study.schema.json"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 4);
    paths
}

fn value(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_published_schema_is_the_one_in_the_code() {
    let published = value(&configs().join("study.schema.json"));
    assert!(
        published == config::schema::schema(),
        "write it anew: finepruner config schema > configs/study.schema.json"
    );
}

#[test]
fn the_shipped_files_follow_schema_and_code() {
    let schema = config::schema::schema();
    for path in shipped() {
        let value = value(&path);
        assert_eq!(problem(&schema, &value), None, "{}", path.display());
        StudyConfig::read(&path).unwrap();
    }
}

/// A configuration in which every key stands.
fn full() -> Value {
    json!({
        "$schema": "study.schema.json",
        "study": "a",
        "head_selection_strategies": ["sum", "variance"],
        "query_selection_strategies": ["last_token"],
        "normalization": "softmax",
        "prune_layer": 3,
        "budgets": [{"kept": 8}, {"retention": 0.25}, {"average_visual_tokens": 9.5}],
        "num_selected_heads": [3, "1/2"],
        "controls": {
            "vanilla": true, "all_heads": true, "random_seeds": [7], "uniform_grid": false,
            "oracle": true, "drop_all": false, "no_image": true,
        },
        "model": "m",
        "vision_tower": "t",
        "datasets": ["d"],
        "prompt_template": "vicuna_v1",
        "image_aspect": "crop",
        "device": "cpu",
        "dtype": "bf16",
        "max_new_tokens": 4,
        "limit": 10,
        "seed": 3,
        "allow_degenerate": true,
        "token_diversity": "full",
        "statistics": {
            "baseline": "variance", "holm_family": "study", "equivalence_margin": 1.0,
            "confidence": 0.9, "num_draws": 2000,
        },
        "efficiency": {"new_tokens": 9, "warmup": 0, "repeats": 5, "max_batch": 4},
    })
}

#[test]
fn schema_and_struct_have_the_same_keys() {
    let parsed: StudyConfig = serde_json::from_value(full()).unwrap();
    let written = serde_json::to_value(&parsed).unwrap();
    assert_eq!(written, full());
    let schema = config::schema::schema();
    for place in ["", "/controls", "/statistics", "/efficiency"] {
        let of_schema = match place {
            "" => &schema["properties"],
            _ => &schema["properties"][&place[1..]]["properties"],
        };
        let mut known: Vec<&String> = of_schema.as_object().unwrap().keys().collect();
        let mut keys: Vec<&String> = written
            .pointer(place)
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .collect();
        known.sort();
        keys.sort();
        assert_eq!(known, keys, "{place}");
    }
}

#[test]
fn schema_defaults_are_the_structs() {
    let least = json!({
        "study": "b",
        "head_selection_strategies": ["variance"],
        "query_selection_strategies": ["last_token"],
        "budgets": [{"kept": 8}],
        "datasets": ["d"],
    });
    let schema = config::schema::schema();
    assert_eq!(problem(&schema, &least), None);
    let parsed: StudyConfig = serde_json::from_value(least).unwrap();
    let written = serde_json::to_value(&parsed).unwrap();
    let check = |of_schema: &Value, written: &Value| {
        for (key, property) in of_schema.as_object().unwrap() {
            if let Some(default) = property.get("default") {
                assert_eq!(Some(default), written.get(key), "{key}");
            }
        }
    };
    check(&schema["properties"], &written);
    for part in ["controls", "statistics"] {
        check(&schema["properties"][part]["properties"], &written[part]);
    }
    // Left out, nothing is measured; what is left out of it has a default.
    assert_eq!(parsed.efficiency, None);
    let settings = serde_json::to_value(EfficiencySettings::default()).unwrap();
    check(&schema["properties"]["efficiency"]["properties"], &settings);
}

#[test]
fn schema_and_code_refuse_the_same() {
    let schema = config::schema::schema();
    let is_refused = |value: &Value| {
        let parsed = serde_json::from_value::<StudyConfig>(value.clone());
        parsed.is_err() || parsed.unwrap().check().is_err()
    };
    assert!(!is_refused(&full()) && problem(&schema, &full()).is_none());
    for (pointer, wrong) in [
        ("/study", json!("c")),
        ("/head_selection_strategies", json!([])),
        ("/head_selection_strategies", json!(["sum", "sum"])),
        ("/head_selection_strategies/0", json!("summ")),
        ("/query_selection_strategies/0", json!("last")),
        ("/normalization", json!("l2")),
        ("/prune_layer", json!(0)),
        ("/efficiency/repeats", json!(0)),
        ("/efficiency/max_batch", json!("8")),
        ("/efficiency/rounds", json!(3)),
        ("/prune_layer", json!("2")),
        ("/budgets", json!([])),
        ("/budgets/0", json!({"keep": 8})),
        ("/budgets/0", json!({"kept": 8, "retention": 0.5})),
        ("/budgets/0", json!({"kept": 8.5})),
        ("/num_selected_heads", json!([])),
        ("/num_selected_heads/0", json!("all")),
        ("/num_selected_heads/0", json!(0)),
        ("/controls/random_seeds", json!([1, 1])),
        ("/controls/oracle", json!(1)),
        ("/controls/magic", json!(true)),
        ("/datasets", json!([])),
        ("/datasets/0", json!(1)),
        ("/prompt_template", json!("llama")),
        ("/image_aspect", json!("stretch")),
        ("/dtype", json!("f64")),
        ("/max_new_tokens", json!(0)),
        ("/token_diversity", json!("all")),
        ("/limit", json!(0)),
        ("/seed", json!(-1)),
        ("/statistics/holm_family", json!("none")),
        ("/statistics/equivalence_margin", json!(0)),
        ("/statistics/confidence", json!(1)),
        ("/statistics/num_draws", json!(10)),
        ("/statistics/alpha", json!(0.05)),
        ("/num_heads", json!(4)),
    ] {
        let mut value = full();
        match value.pointer_mut(pointer) {
            Some(place) => *place = wrong.clone(),
            None => {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                value.pointer_mut(parent).unwrap()[key] = wrong.clone();
            }
        }
        assert!(is_refused(&value), "the code takes {pointer} = {wrong}");
        assert!(
            problem(&schema, &value).is_some(),
            "the schema takes {pointer} = {wrong}"
        );
    }
    for key in schema["required"].as_array().unwrap() {
        let mut value = full();
        value.as_object_mut().unwrap().remove(key.as_str().unwrap());
        assert!(is_refused(&value), "{key} is missing");
    }
}

#[test]
fn what_only_the_code_can_see_is_refused_with_a_reason() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut value = full();
        change(&mut value);
        let config: StudyConfig = serde_json::from_value(value).unwrap();
        config.check().unwrap_err().to_string()
    };
    let message =
        refused(&|v| v["query_selection_strategies"] = json!(["last_token", "last_n_tokens"]));
    assert!(
        message.contains("study a varies heads and fixes one query strategy"),
        "{message}"
    );
    let message = refused(&|v| v["study"] = json!("b"));
    assert!(
        message.contains("study b varies query strategies"),
        "{message}"
    );
    let message = refused(&|v| v["statistics"]["baseline"] = json!("entropy"));
    assert!(
        message.contains("one of the strategies that are varied: sum, variance"),
        "{message}"
    );
}

#[test]
fn grids_of_the_shipped_studies() {
    // 12 layers and 8 heads over 144 tokens, as the shipped model has them or nearly so.
    let mut tiny = Preset::Tiny.config();
    tiny.text.num_layers = 12;
    tiny.text.num_heads = 8;
    tiny.vision.image_size = 168;
    for name in ["ablation_a_config.json", "ablation_b_config.json"] {
        let config = StudyConfig::read(&configs().join(name)).unwrap();
        let grid = Grid::new(&config, &ModelShape::new(&tiny)).unwrap();
        let kept: Vec<_> = grid.budgets.iter().map(|budget| budget.kept).collect();
        assert_eq!(kept, [Some(42), Some(25), Some(8)], "{name}");
        assert_eq!(grid.cells.len(), 3 + 3 * (9 * 3 + 1 + 3 + 1 + 1), "{name}");
    }
    let seven = ModelShape::new(&Preset::Llava15With7b.config());
    for name in ["original_a.json", "original_b.json"] {
        let config = StudyConfig::read(&configs().join(name)).unwrap();
        let grid = Grid::new(&config, &seven).unwrap();
        let labels: Vec<&str> = grid.budgets.iter().map(|b| b.label.as_str()).collect();
        assert_eq!(labels, ["R166", "R98", "R30"], "{name}");
        let averages: Vec<f64> = grid
            .budgets
            .iter()
            .map(|b| b.average_visual_tokens.unwrap().round())
            .collect();
        assert_eq!(averages, [192.0, 128.0, 64.0], "{name}");
        assert!(grid.position("variance+last_token/h16/R98").is_some());
        assert!(grid.position("all_heads+last_token/R30").is_some());
        let ids: std::collections::HashSet<&str> =
            grid.cells.iter().map(|c| c.id.as_str()).collect();
        assert_eq!(ids.len(), grid.cells.len());
    }
}

#[test]
fn a_grid_that_a_model_cant_follow_says_why() {
    let shape = ModelShape::new(&Preset::Llava15With7b.config());
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut value = full();
        value["budgets"] = json!([{"kept": 98}]);
        change(&mut value);
        let config: StudyConfig = serde_json::from_value(value).unwrap();
        Grid::new(&config, &shape).unwrap_err().to_string()
    };
    let message = refused(&|v| v["num_selected_heads"] = json!([32]));
    assert!(
        message.contains("leave it to the control all_heads"),
        "{message}"
    );
    let message = refused(&|v| v["num_selected_heads"] = json!([16, "1/2"]));
    assert!(
        message.contains("16 and 1/2 both come to h = 16"),
        "{message}"
    );
    let message = refused(&|v| v["budgets"] = json!([{"kept": 144}, {"retention": 0.25}]));
    assert!(message.contains("both come to R144"), "{message}");
    let message = refused(&|v| v["budgets"] = json!([{"kept": 577}]));
    assert!(message.contains("possible is 1 to 576"), "{message}");
    let message = refused(&|v| v["budgets"] = json!([{"average_visual_tokens": 30}]));
    assert!(message.contains("possible are averages from"), "{message}");
    let message = refused(&|v| v["prune_layer"] = json!(32));
    assert!(message.contains("possible is 1 to 31"), "{message}");
}

/// What is wrong with `value` by the part of JSON schema that the schema uses.
fn problem(schema: &Value, value: &Value) -> Option<String> {
    let say = |what: &str| Some(format!("{value} {what}"));
    if let Some(kind) = schema.get("type").and_then(Value::as_str) {
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "number" => value.is_number(),
            "integer" => value.is_u64() || value.is_i64(),
            _ => panic!("unknown type {kind}"),
        };
        if !fits {
            return say(&format!("is no {kind}"));
        }
    }
    if let Some(known) = schema.get("enum").and_then(Value::as_array)
        && !known.contains(value)
    {
        return say("isn't known");
    }
    if let Some(number) = value.as_f64() {
        let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
        let is_wrong = limit("minimum").is_some_and(|least| number < least)
            || limit("maximum").is_some_and(|most| number > most)
            || limit("exclusiveMinimum").is_some_and(|least| number <= least)
            || limit("exclusiveMaximum").is_some_and(|most| number >= most);
        if is_wrong {
            return say("is out of range");
        }
    }
    if let (Some(pattern), Some(text)) = (schema.get("pattern"), value.as_str()) {
        assert_eq!(pattern, "^[1-9][0-9]*/[1-9][0-9]*$");
        let is_number = |part: &str| !part.starts_with('0') && part.parse::<usize>().is_ok();
        if !text
            .split_once('/')
            .is_some_and(|(a, b)| is_number(a) && is_number(b))
        {
            return say("has another pattern");
        }
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array)
        && choices
            .iter()
            .filter(|choice| problem(choice, value).is_none())
            .count()
            != 1
    {
        return say("is not exactly one of the forms");
    }
    if let Some(entries) = value.as_array() {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        if (entries.len() as u64) < least {
            return say("is too short");
        }
        let is_twice = |i: usize| entries[..i].contains(&entries[i]);
        if schema.get("uniqueItems") == Some(&json!(true)) && (0..entries.len()).any(is_twice) {
            return say("has an entry twice");
        }
        if let Some(items) = schema.get("items") {
            return entries.iter().find_map(|entry| problem(items, entry));
        }
    }
    if let Some(keys) = value.as_object() {
        for required in schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            if !keys.contains_key(required.as_str().unwrap()) {
                return say(&format!("lacks {required}"));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        for (key, entry) in keys {
            match properties.and_then(|properties| properties.get(key)) {
                Some(property) => {
                    if let Some(problem) = problem(property, entry) {
                        return Some(format!("{key}: {problem}"));
                    }
                }
                None if schema.get("additionalProperties") == Some(&json!(false)) => {
                    return say(&format!("has the unknown key {key}"));
                }
                None => {}
            }
        }
    }
    None
}
