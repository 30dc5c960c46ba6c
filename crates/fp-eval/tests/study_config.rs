//! Configurations: the published schema, the shipped files, and what is refused.

use std::path::{Path, PathBuf};

use fp_data::json::schema::check;
use fp_eval::efficiency::EfficiencySettings;
use fp_eval::study::config::{ConfigError, ConfigFile, Model, surroundings};
use fp_eval::study::{Grid, ModelShape, StudyConfig, config};
use fp_model::{EXPECTED_MODEL_FOLDER, Preset};
use fp_scoring::MethodRegistry;
use serde_json::{Value, json};

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

/// A configuration with every key.
fn full() -> Value {
    json!({
        "$schema": "study.schema.json",
        "study": "a",
        "head_selection_strategies": ["sum", "variance"],
        "query_selection_strategies": ["last_token"],
        "normalization": "softmax",
        "prune_layer": 3,
        "budgets": [{"kept": 8}, {"retention": 0.25}, {"average_visual_tokens": 9.5}],
        "schedules": ["1:9,2:4"],
        "num_selected_heads": [3, "1/2"],
        "controls": {
            "vanilla": true, "all_heads": true, "random_seeds": [7], "uniform_grid": false,
            "oracle": true, "drop_all": false, "no_image": true, "pool": true, "downsample": true,
        },
        "methods": ["pool"],
        "method_settings": [
            {"method": "sparsevlm", "preset": "192"},
            {"method": "v2drop", "name": "own", "params": ["layers=1,2", "keep_ratios=0.5,0"],
             "positions": "renumber"},
        ],
        "static_heads": true,
        "fixed_heads": [{"name": "hawk", "heads": [1, 3]}],
        "selections": ["mine.jsonl"],
        "model": "m",
        "vision_tower": "t",
        "clip": "c",
        "datasets": ["d"],
        "prompt_template": "vicuna_v1",
        "image_aspect": "crop",
        "anyres": "fixed-2880",
        "crop_budget": "per-crop",
        "mask_padding": true,
        "device": "cpu",
        "dtype": "bf16",
        "activations": "bf16",
        "kv_cache": "bf16",
        "max_new_tokens": 4,
        "limit": 10,
        "seed": 3,
        "text_only": true,
        "allow_degenerate": true,
        "token_diversity": "full",
        "statistics": {
            "baseline": "variance", "holm_family": "study", "equivalence_margin": 1.0,
            "confidence": 0.9, "num_draws": 2000,
        },
        "expectations": [
            {"leaders": ["variance"]},
            {"leads_on_some_families": "entropy"},
            {"steadiest_over_text_length": "variance"},
            {"suffice": {"strategies": ["sum"], "families": ["glyph"], "hypothesis": "sum does"}},
        ],
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
            "/controls" => &schema["properties"]["controls"]["oneOf"][1]["properties"],
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
    let least = json!({"study": "b"});
    let schema = config::schema::schema();
    assert_eq!(problem(&schema, &least), None);
    let parsed: StudyConfig = serde_json::from_value(least).unwrap();
    let written = serde_json::to_value(&parsed).unwrap();
    let controls = schema["properties"]["controls"]["oneOf"][1].clone();
    let compare = |of_schema: &Value, written: &Value| {
        for (key, property) in of_schema.as_object().unwrap() {
            if let Some(default) = property.get("default") {
                assert_eq!(Some(default), written.get(key), "{key}");
            }
        }
    };
    compare(&schema["properties"], &written);
    compare(&controls["properties"], &written["controls"]);
    let statistics = &schema["properties"]["statistics"];
    compare(&statistics["properties"], &written["statistics"]);
    // Without the key nothing is measured; missing settings have defaults.
    assert_eq!(parsed.efficiency, None);
    let settings = serde_json::to_value(EfficiencySettings::default()).unwrap();
    compare(&schema["properties"]["efficiency"]["properties"], &settings);
}

/// The configuration that a run writes can be used to run it.
#[test]
fn what_is_written_follows_the_schema() {
    let schema = config::schema::schema();
    for least in [
        full(),
        json!({"study": "a"}),
        json!({"study": "b", "controls": "all", "efficiency": {}}),
        json!({"study": "full", "controls": "none"}),
        json!({"study": "methods"}),
    ] {
        let parsed: StudyConfig = serde_json::from_value(least.clone()).unwrap();
        let written = serde_json::to_value(&parsed).unwrap();
        assert_eq!(check(&schema, &written), [], "{least}");
        assert_eq!(problem(&schema, &written), None);
        let read: StudyConfig = serde_json::from_value(written).unwrap();
        assert_eq!(read, parsed);
    }
}

/// A schema keyword that the check doesn't support would let everything through.
#[test]
fn the_schema_says_nothing_that_a_check_does_not_follow() {
    fn walk(schema: &Value) {
        for (word, value) in schema.as_object().unwrap() {
            match word.as_str() {
                "properties" => value.as_object().unwrap().values().for_each(walk),
                "items" => walk(value),
                "oneOf" => value.as_array().unwrap().iter().for_each(walk),
                "type" => assert!(value.is_string(), "{value}"),
                "additionalProperties" => assert_eq!(value, &json!(false)),
                "$schema" | "title" | "description" | "default" | "examples" => {}
                "enum" | "required" | "minItems" | "uniqueItems" | "pattern" => {}
                "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {}
                word => panic!("{word}: {value}"),
            }
        }
    }
    walk(&config::schema::schema());
}

/// The same without settings for another form of image input than the rest.
fn possible() -> Value {
    let mut value = full();
    let keys = value.as_object_mut().unwrap();
    keys.retain(|key, _| !["anyres", "crop_budget"].contains(&key.as_str()));
    value
}

#[test]
fn schema_and_code_refuse_the_same() {
    let schema = config::schema::schema();
    let is_refused = |value: &Value| {
        let parsed = serde_json::from_value::<StudyConfig>(value.clone());
        parsed.is_err() || !parsed.unwrap().problems().is_empty()
    };
    assert!(!is_refused(&possible()) && problem(&schema, &possible()).is_none());
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
        ("/prune_layer", json!([])),
        ("/prune_layer", json!([2, 2])),
        ("/prune_layer", json!([2, 0])),
        ("/methods", json!(["pool", "pool"])),
        ("/selections", json!(["a.jsonl", "a.jsonl"])),
        ("/fixed_heads/0/head", json!([1])),
        ("/budgets", json!([])),
        ("/budgets/0", json!({"keep": 8})),
        ("/budgets/0", json!({"kept": 8, "retention": 0.5})),
        ("/budgets/0", json!({"kept": 8.5})),
        ("/budgets/0", json!({"kept": 0})),
        ("/budgets/0", json!({"retention": 1.5})),
        ("/budgets/0", json!({"retention": 0})),
        ("/budgets/0", json!({"retention": 0.25})),
        ("/num_selected_heads/1", json!(3)),
        ("/head_selection_strategies", json!("sum")),
        ("/controls", json!("vanilla")),
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
        ("/activations", json!("f16")),
        ("/kv_cache", json!("f64")),
        ("/max_new_tokens", json!(0)),
        ("/token_diversity", json!("all")),
        ("/limit", json!(0)),
        ("/seed", json!(-1)),
        ("/statistics/holm_family", json!("none")),
        ("/statistics/equivalence_margin", json!(0)),
        ("/statistics/confidence", json!(1)),
        ("/statistics/num_draws", json!(10)),
        ("/statistics/alpha", json!(0.05)),
        ("/expectations/0", json!({"leader": ["variance"]})),
        ("/expectations/0", json!({"leaders": []})),
        ("/expectations/1/leads_on_some_families", json!(["entropy"])),
        ("/expectations/3/suffice/families", json!([])),
        ("/expectations/3/suffice/family", json!("glyph")),
        ("/num_heads", json!(4)),
    ] {
        let mut value = possible();
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
        let mut value = possible();
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
    // 12 layers and 8 heads over 144 tokens, about as in the shipped model.
    let mut tiny = Preset::Tiny.config();
    tiny.text.num_layers = 12;
    tiny.text.num_heads = 8;
    tiny.vision.image_size = 168;
    for name in ["ablation_a_config.json", "ablation_b_config.json"] {
        let config = StudyConfig::read(&configs().join(name)).unwrap();
        let grid = Grid::new(
            &config,
            &ModelShape::new(&tiny),
            &MethodRegistry::standard(),
        )
        .unwrap();
        let kept: Vec<_> = grid.budgets.iter().map(|budget| budget.kept).collect();
        assert_eq!(kept, [Some(42), Some(25), Some(8)], "{name}");
        assert_eq!(grid.cells.len(), 3 + 3 * (9 * 3 + 1 + 3 + 1 + 1), "{name}");
    }
    let seven = ModelShape::new(&Preset::Llava15With7b.config());
    for name in ["original_a.json", "original_b.json"] {
        let config = StudyConfig::read(&configs().join(name)).unwrap();
        let grid = Grid::new(&config, &seven, &MethodRegistry::standard()).unwrap();
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
        Grid::new(&config, &shape, &MethodRegistry::standard())
            .unwrap_err()
            .to_string()
    };
    let message = refused(&|v| v["num_selected_heads"] = json!([32]));
    assert!(message.contains("use the control all_heads"), "{message}");
    let message = refused(&|v| v["num_selected_heads"] = json!([16, "1/2"]));
    assert!(
        message.contains("16 and 1/2 both resolve to h = 16"),
        "{message}"
    );
    let message = refused(&|v| v["budgets"] = json!([{"kept": 144}, {"retention": 0.25}]));
    assert!(message.contains("both resolve to R144"), "{message}");
    let message = refused(&|v| v["budgets"] = json!([{"kept": 577}]));
    assert!(message.contains("must be between 1 and 576"), "{message}");
    let message = refused(&|v| v["budgets"] = json!([{"average_visual_tokens": 30}]));
    assert!(message.contains("the average must be between"), "{message}");
    let message = refused(&|v| v["prune_layer"] = json!(32));
    assert!(message.contains("must be between 1 and 31"), "{message}");
}

/// The output of `config check` for a text, without the file's name.
fn said(text: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.json");
    std::fs::write(&path, text).unwrap();
    let mut file = ConfigFile::read(&path).unwrap();
    if let Some(config) = &file.config {
        let model = if file.is_known("model") {
            Model::Named
        } else {
            Model::Unknown
        };
        let mut found = config.problems();
        found.merge(surroundings(
            config,
            model,
            false,
            &MethodRegistry::standard(),
        ));
        file.add(found);
    }
    let lines = file.diagnostics().lines(Some(Path::new("")));
    let lines = lines.into_iter().map(|line| line[1..].to_owned());
    lines.map(|line| line.trim_start().to_owned()).collect()
}

#[test]
fn bad_configurations_and_all_of_their_problems() {
    const HEADS: &str = "; expected one of: all, sum, variance, entropy, max_attention, \
        attention_range, sparsity, top_k_sum, weighted_quality, gini_coefficient, \
        multi_objective, graph_based, hierarchical";
    let heads = |text: &str| format!("{text}{HEADS}");
    let queries = |text: &str| {
        let names = fp_scoring::QueryStrategy::NAMES.join(", ");
        format!("{text}; expected one of: {names}")
    };
    let cases: Vec<(&str, Vec<String>)> = vec![
        (r#"{"study": "a"}"#, vec![]),
        ("\u{feff}{\"study\": \"b\"}\r\n", vec![]),
        ("", vec!["the file is empty; expected a JSON object".into()]),
        ("[]", vec!["1: a list; expected an object".into()]),
        (
            "{\n\"study\": \"a\",\n}",
            vec!["3: not valid JSON: trailing comma".into()],
        ),
        (
            "{\"study\": \"a\",\n\"study\": \"b\"}",
            vec!["2: study: the key is given twice; remove one of them".into()],
        ),
        (
            "{}",
            vec!["1: key `study` is missing; expected one of: a, b, full, methods".into()],
        ),
        (
            r#"{"study": "c", "statistics": {"baseline": "last_token"}}"#,
            vec!["1: study: `c`; expected one of: a, b, full, methods".into()],
        ),
        (
            r#"{"study": "a", "device": "gpu"}"#,
            vec!["1: device: `gpu`; expected one of: cpu, cuda, cuda:N".into()],
        ),
        (
            r#"{"study": "a", "budget": [], "statistics": {"confidense": 0.9}}"#,
            vec![
                "1: budget: unknown key (did you mean `budgets`?)".into(),
                "1: statistics.confidense: unknown key (did you mean `confidence`?)".into(),
            ],
        ),
        (
            "{\"study\": \"a\", \"datasets\": [\n\"embedded:selct\",\n\"no/such\",\n\"embedded\"]}",
            vec![
                "2: datasets[0]: `embedded:selct` (did you mean `embedded:select`?)".into(),
                "3: datasets[1]: no folder `no/such`; expected the folder of a dataset, FOLDER:SPLIT, \
                 embedded:select or embedded:confirm"
                    .into(),
                "4: datasets[2]: `embedded`; expected one of: embedded:select, embedded:confirm"
                    .into(),
            ],
        ),
        (
            "{\"study\": \"a\", \"budgets\": [\n{\"retention\": 1.5},\n{\"retention\": 0},\n\
             {\"kept\": 36},\n{\"retention\": 0.25},\n{\"kept\": 36},\n{\"kep\": 3},\n{\"kept\": 145}]}",
            vec![
                "2: budgets[0].retention: 1.5; must be above 0 and at most 1".into(),
                "3: budgets[1].retention: 0; must be above 0 and at most 1".into(),
                "5: budgets[3]: kept = 36 and retention = 0.25 both resolve to R36; remove one"
                    .into(),
                "6: budgets[4]: {\"kept\":36} is listed twice".into(),
                "7: budgets[5].kep: unknown key (did you mean `kept`?)".into(),
                "8: budgets[6]: kept = 145: R = 145 of 144 image tokens; R must be \
                 between 1 and 144"
                    .into(),
            ],
        ),
        (
            r#"{"study": "a", "prune_layer": 8, "num_selected_heads": [8, 16, "1/2", 4, "x", "4/4"]}"#,
            vec![
                "1: prune_layer: can't prune after layer 8 of 8; the layer must be between 1 and 7".into(),
                "1: num_selected_heads[0]: 8 selects all 8 heads, and then every head strategy is \
                 the same method; use the control all_heads"
                    .into(),
                "1: num_selected_heads[1]: can't select 16 of 8 heads; the number must be between 1 and 8".into(),
                "1: num_selected_heads[3]: 1/2 and 4 both resolve to h = 4; remove one".into(),
                "1: num_selected_heads[4]: `x`; expected a share such as \"3/4\"".into(),
                "1: num_selected_heads[5]: `4/4` is not a number of heads; expected a count such as 16 \
                 or a share below 1 such as 3/4 (all heads are the control all_heads)"
                    .into(),
            ],
        ),
        (
            "{\"study\": \"a\", \"head_selection_strategies\": [\"varience\",\n\"sum\", \"all\"],\n\
             \"controls\": {\"random_seeds\": [1, 2, 1], \"oracel\": true},\n\"max_new_tokens\": 0,\n\
             \"limit\": -1, \"statistics\": {\"confidence\": 1, \"baseline\": \"sum\"}}",
            vec![
                "1: head_selection_strategies: `sum` is listed twice".into(),
                heads("1: head_selection_strategies[0]: `varience` (did you mean `variance`?)"),
                "3: controls.random_seeds[2]: 1 is listed twice".into(),
                "3: controls.oracel: unknown key (did you mean `oracle`?)".into(),
                "4: max_new_tokens: 0; must be between 1 and 1048576".into(),
                "5: limit: -1; must be at least 1".into(),
                "5: statistics.confidence: 1; must be between 0.5 and 1, both excluded".into(),
            ],
        ),
        (
            r#"{"study": "a", "model": "no/such", "prune_layer": 0}"#,
            vec![
                format!("1: model: no folder `no/such`; expected {EXPECTED_MODEL_FOLDER}"),
                "1: prune_layer: 0; must be at least 1".into(),
            ],
        ),
        (
            r#"{"study": "a", "model": "random:tiny", "num_selected_heads": [4]}"#,
            vec![
                "1: model: `random:tiny` is a shape with random weights and no tokenizer, which \
                 can't answer; expected the folder of a checkpoint, or embedded"
                    .into(),
                "1: num_selected_heads[0]: 4 selects all 4 heads, and then every head strategy is \
                 the same method; use the control all_heads"
                    .into(),
            ],
        ),
        (
            "{\"study\": \"b\", \"expectations\": [\n{\"leads\": [\"last_token\"]},\n\
             {\"leaders\": [\"last_token\", \"last_tokn\"]},\n{\"leads_on_some_families\": \"sum\"}]}",
            vec![
                "2: expectations[0].leads: unknown key (did you mean `leaders`?)".into(),
                queries("3: expectations[1].leaders[1]: unknown query-selection strategy `last_tokn` (did you mean `last_token`?)"),
                queries("4: expectations[2].leads_on_some_families: unknown query-selection strategy `sum`"),
            ],
        ),
        (
            r#"{"study": "full", "expectations": [{"leaders": ["sum", "sum+last_token"]}]}"#,
            vec![
                "1: expectations[0].leaders[0]: `sum`; expected a head and a query strategy such \
                 as sum+last_token"
                    .into(),
            ],
        ),
        (
            r#"{"study": "c", "expectations": [{"leaders": ["last_token"]}]}"#,
            vec!["1: study: `c`; expected one of: a, b, full, methods".into()],
        ),
        (
            r#"{"study": "a", "controls": "nothing", "query_selection_strategies": "last_token"}"#,
            vec![
                "1: controls: `nothing`; expected one of: all, none or an object".into(),
                "1: query_selection_strategies: `last_token`; expected \"all\" or a list".into(),
            ],
        ),
    ];
    let found = |text: &str, expected: &[String]| match said(text) {
        found if found == expected => None,
        found => Some(format!("{text}\nsaid {found:#?}\nnot {expected:#?}")),
    };
    let cases = cases.iter();
    let wrong: Vec<String> = cases
        .filter_map(|(text, expected)| found(text, expected))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Everything that a study refuses is found by the check, all at once.
#[test]
fn a_configuration_is_read_with_all_of_its_problems() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("study.json");
    std::fs::write(&path, "{\"study\": \"a\",\n\"limit\": 0,\n\"devise\": 1}").unwrap();
    let message = StudyConfig::read(&path).unwrap_err().to_string();
    let name = path.display();
    assert_eq!(
        message,
        format!(
            "2 problems in the configuration\n  {name}:2: limit: 0; must be at least 1\n  \
             {name}:3: devise: unknown key (did you mean `device`?)"
        )
    );
    std::fs::write(&path, b"\xff\xfe{").unwrap();
    let message = StudyConfig::read(&path).unwrap_err().to_string();
    assert_eq!(
        message,
        format!("{name}: it is in UTF-16; save it as UTF-8")
    );
    let error = StudyConfig::read(&folder.path().join("none.json")).unwrap_err();
    assert!(matches!(error, ConfigError::Io { .. }), "{error}");
}

#[test]
fn defaults_are_the_shipped_studies() {
    let grid = |config: &StudyConfig| {
        let mut tiny = Preset::Tiny.config();
        tiny.text.num_layers = 12;
        tiny.text.num_heads = 8;
        tiny.vision.image_size = 168;
        Grid::new(config, &ModelShape::new(&tiny), &MethodRegistry::standard()).unwrap()
    };
    let parsed = |value: Value| serde_json::from_value::<StudyConfig>(value).unwrap();
    for (study, file) in [
        ("a", "ablation_a_config.json"),
        ("b", "ablation_b_config.json"),
    ] {
        let shipped = StudyConfig::read(&configs().join(file)).unwrap();
        let least = parsed(json!({"study": study}));
        assert_eq!(grid(&least), grid(&shipped), "{study}");
        assert_eq!(least.datasets, shipped.datasets);
        assert_eq!(least.model, shipped.model);
        assert_eq!(least.baseline(), shipped.baseline());
        let named = parsed(json!({
            "study": study,
            "head_selection_strategies": if study == "a" { json!(["all"]) } else { json!(["variance"]) },
            "query_selection_strategies": if study == "b" { json!("all") } else { json!(["last_token"]) },
        }));
        assert_eq!(named, least);
        // A run writes the whole configuration.
        let written = serde_json::to_value(&least).unwrap();
        assert_eq!(parsed(written.clone()), least);
        assert_eq!(
            written["head_selection_strategies"],
            value(&configs().join(file))["head_selection_strategies"]
        );
    }
    let full = parsed(json!({"study": "full", "controls": "none"}));
    assert_eq!(full.head_selection_strategies.len(), 9);
    assert_eq!(full.query_selection_strategies.len(), 9);
    assert_eq!(full.controls, config::Controls::none());
    let all = parsed(json!({"study": "a", "controls": "all"}));
    assert!(all.controls.has("pool") && all.controls.has("downsample"));
}

/// The error in `value` according to the JSON schema keywords that the schema uses.
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
