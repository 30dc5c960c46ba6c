//! Number formats of a study on the CPU: what a run records about them, and with which others it
//! can be resumed.

use std::path::Path;

use fp_eval::study::config::{CpuPrecision, Precision};
use fp_eval::study::{RunOptions, StudyConfig, read_records, read_spec};
use serde_json::{Value, json};

use crate::study_support::World;

fn run(config: &StudyConfig, folder: &Path, accept_changes: bool) -> Result<(), String> {
    let options = RunOptions {
        accept_changes,
        ..RunOptions::new(folder)
    };
    let outcome = fp_eval::study::run(config, &options, &mut |_| {});
    outcome
        .map(|_| ())
        .map_err(|error| fp_scoring::error_text(&error))
}

/// Writes `value` at a place in a run's specification.
fn change(folder: &Path, pointer: &str, value: Value) {
    let path = folder.join("run.json");
    let mut spec: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    *spec.pointer_mut(pointer).unwrap() = value;
    std::fs::write(&path, spec.to_string()).unwrap();
}

#[test]
fn a_run_goes_on_only_where_products_are_rounded_alike() {
    let world = World::new();
    let mut config = world.study_a();
    config.limit = Some(3);
    let folder = world.path("run");
    run(&config, &folder, false).unwrap();
    let products = read_spec(&folder).unwrap().model.products.unwrap();
    assert_eq!(products.rounding, fp_model::rounding(false));
    assert_eq!(
        (products.activations.as_str(), products.kv_cache.as_str()),
        ("f32", "f32")
    );

    // Another instruction set with the same rounding is the same run.
    change(&folder, "/model/products/instructions", json!("avx9"));
    run(&config, &folder, false).unwrap();

    change(&folder, "/model/products/rounding", json!("vdpbf16ps"));
    let message = run(&config, &folder, false).unwrap_err();
    for part in [
        "products that are rounded differently (vdpbf16ps on avx9, now",
        "--accept-changes",
    ] {
        assert!(message.contains(part), "{message}");
    }
    run(&config, &folder, true).unwrap();
    let accepted = read_spec(&folder).unwrap().accepted_changes;
    assert!(accepted[0].contains("rounded differently"), "{accepted:?}");
    run(&config, &folder, false).unwrap();
}

#[test]
fn formats_are_part_of_the_configuration_and_recorded() {
    let world = World::new();
    let mut config = world.study_a();
    config.limit = Some(3);
    let plain = world.path("plain");
    run(&config, &plain, false).unwrap();
    let rounded = StudyConfig {
        dtype: Some(Precision::Bf16),
        activations: Some(CpuPrecision::Bf16),
        kv_cache: Some(CpuPrecision::Bf16),
        ..config.clone()
    };
    let message = run(&rounded, &plain, false).unwrap_err();
    assert!(
        message.contains("another configuration (activations, dtype, kv_cache)"),
        "{message}"
    );
    let folder = world.path("rounded");
    run(&rounded, &folder, false).unwrap();
    let model = read_spec(&folder).unwrap().model;
    assert_eq!(model.bytes_per_value, 2);
    let products = model.products.unwrap();
    assert_eq!(products.rounding, fp_model::rounding(true));
    assert_eq!(
        (products.activations.as_str(), products.kv_cache.as_str()),
        ("bf16", "bf16")
    );
    // The same samples, answered by a model with rounding.
    let ids = |folder: &Path| -> Vec<String> {
        let records = read_records(folder).unwrap();
        records.into_iter().map(|record| record.id).collect()
    };
    assert_eq!(ids(&folder), ids(&plain));
}

#[test]
fn formats_that_do_not_go_together_are_named_before_any_work() {
    let world = World::new();
    let config = world.study_a();
    let problems = |config: &StudyConfig| config.check().unwrap_err().to_string();
    let rows = StudyConfig {
        activations: Some(CpuPrecision::Bf16),
        ..config.clone()
    };
    let message = problems(&rows);
    assert!(
        message.contains("activations") && message.contains("expected dtype bf16"),
        "{message}"
    );
    let elsewhere = StudyConfig {
        device: "cuda".to_owned(),
        kv_cache: Some(CpuPrecision::Bf16),
        ..config
    };
    let message = problems(&elsewhere);
    assert!(
        message.contains("kv_cache") && message.contains("it applies only to device cpu"),
        "{message}"
    );
}
