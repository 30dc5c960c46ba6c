//! Published methods in a study, at its budgets and with settings of their own.

use fp_eval::study::{
    Engine, RunOptions, StudyConfig, cell_results, counted_cost, read_records, read_spec,
};
use fp_scoring::{MethodRegistry, MethodRole};
use serde_json::json;

use crate::study_support::{World, records, run};

/// Every published method that needs no other model, at two budgets, and two settings.
fn config(world: &World) -> StudyConfig {
    let mut value = serde_json::to_value(world.study_a()).unwrap();
    let keys = value.as_object_mut().unwrap();
    keys.insert("study".into(), "methods".into());
    for key in ["head_selection_strategies", "statistics"] {
        keys.remove(key);
    }
    keys.insert("num_selected_heads".into(), json!([2]));
    let budgets = json!([{"average_visual_tokens": 9}, {"average_visual_tokens": 8}]);
    keys.insert("budgets".into(), budgets);
    let settings = json!([
        {"method": "pyramiddrop", "name": "late", "params": ["layers=2,4", "ratios=0.5,0.25"]},
        {"method": "v2drop", "name": "kept", "params": ["layers=1,3", "keep_ratios=0.5,0.5"],
         "positions": "renumber"},
        {"method": "vscan", "name": "rows", "params": ["keep=12", "window=2", "layer=3", "keep2=5", "shallow_layer=1"]},
    ]);
    keys.insert("method_settings".into(), settings);
    serde_json::from_value(value).unwrap()
}

fn run_with(world: &World, name: &str, options: impl FnOnce(RunOptions) -> RunOptions) -> Vec<u8> {
    let folder = world.path(name);
    run(&config(world), &options(RunOptions::new(&folder))).unwrap();
    records(&folder)
}

#[test]
fn every_engine_gives_the_same_for_published_methods() {
    let world = World::new();
    let expected = run_with(&world, "shared", |options| options);
    let (spec, read) = (
        read_spec(&world.path("shared")).unwrap(),
        read_records(&world.path("shared")).unwrap(),
    );
    // Methods for which a tiny image has too few tokens, or no outlier, say so; nothing else fails.
    for record in &read {
        for (index, cell) in record.cells.iter().enumerate() {
            if let Some(error) = &cell.error {
                let id = &spec.grid.cells[index].id;
                panic!("{id}: {error}");
            }
        }
    }
    let published = MethodRegistry::standard();
    let published = published
        .iter()
        .filter(|method| method.role() == MethodRole::Studied && method.name() != "cdpruner");
    for method in published {
        let of_method =
            |id: &str| id.starts_with(&format!("{}/", method.name())) || id == method.name();
        let count = spec
            .grid
            .cells
            .iter()
            .filter(|cell| of_method(&cell.id))
            .count();
        let expected = if method.takes_budget() { 2 } else { 1 };
        assert_eq!(count, expected, "{}", method.name());
    }
    for engine in [Engine::Sequential, Engine::Prefix, Engine::Distinct] {
        let found = run_with(&world, engine.name(), |options| RunOptions {
            engine,
            ..options
        });
        assert!(found == expected, "{}", engine.name());
    }
    let found = run_with(&world, "small", |options| RunOptions {
        threads: 1,
        batch_size: 1,
        memory_limit: Some(1 << 16),
        ..options
    });
    assert!(found == expected);
}

#[test]
fn budgets_are_met_by_the_tokens_that_enter_each_layer() {
    let world = World::new();
    run_with(&world, "run", |options| options);
    let folder = world.path("run");
    let (spec, read) = (read_spec(&folder).unwrap(), read_records(&folder).unwrap());
    let results = cell_results(&spec, &read).unwrap();
    for (index, cell) in spec.grid.cells.iter().enumerate() {
        let budget = cell.budget.map(|budget| &spec.grid.budgets[budget]);
        let Some(wanted) = budget.and_then(|budget| budget.average_visual_tokens) else {
            continue;
        };
        if results[index].accuracy.n == 0 || cell.id.starts_with("downsample") {
            continue;
        }
        let cost = counted_cost(&spec, &read, index).unwrap();
        // With 16 tokens and six layers, whole numbers of tokens allow only steps of this size.
        let gap = (cost.average_visual_tokens - wanted).abs();
        assert!(
            gap <= 2.5,
            "{}: {} for {wanted}",
            cell.id,
            cost.average_visual_tokens
        );
    }
    for (id, average) in [
        // 2 · 16 + 2 · 8 + 2 · 4.
        ("pyramiddrop:late", 56.0 / 6.0),
        // 16 + 2 · 8 + 3 · 4.
        ("v2drop:kept", 44.0 / 6.0),
        // One token for each of four windows and six by the deep layer; 3 · 10 + 3 · 5.
        ("vscan:rows", 45.0 / 6.0),
    ] {
        let index = spec.grid.position(id).unwrap();
        let cost = counted_cost(&spec, &read, index).unwrap();
        assert!((cost.average_visual_tokens - average).abs() < 1e-12, "{id}");
    }
}

#[test]
fn settings_that_make_no_method_are_refused_with_their_place() {
    let world = World::new();
    let mut wrong = config(&world);
    wrong.methods = vec!["visionzp".to_owned()];
    wrong.method_settings[0].method = "pyramid".to_owned();
    wrong.method_settings[1].params.clear();
    wrong.method_settings[1].preset = Some("7".to_owned());
    let error = run(&wrong, &RunOptions::new(world.path("wrong"))).unwrap_err();
    let text = fp_scoring::error_text(&error);
    for part in [
        "methods[0]",
        "did you mean `visionzip`",
        "method_settings[0]",
        "unknown method `pyramid`",
        "method_settings[1]",
        "expected one of: 192, 128, 64",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
