//! `finepruner score` on dumps of every form.

mod common;

use common::{finepruner, squares, succeed, write_dump};
use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

fn json(args: &[&str]) -> Vec<Value> {
    serde_json::from_str(&succeed(args)).unwrap()
}

/// Four heads over six tokens; head 1 has one peak, head 3 no mass.
const PER_HEAD: [f32; 24] = [
    0.1, 0.1, 0.1, 0.1, 0.1, 0.1, //
    0.0, 0.0, 0.6, 0.1, 0.0, 0.0, //
    0.3, 0.0, 0.0, 0.0, 0.0, 0.2, //
    0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
];

#[test]
fn per_head_dump_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_dump(dir.path(), &[("attention", &[4, 6], &PER_HEAD)]);
    let path = path.to_str().unwrap();
    let records = json(&[
        "score",
        path,
        "--head_selection_strategy",
        "variance",
        "--num_selected_heads=1",
        "--keep",
        "2",
        "--json",
    ]);
    assert_eq!(records.len(), 1);
    let record = &records[0];
    assert_eq!(record["head_strategy"], "variance");
    assert_eq!(record["query_strategy"], Value::Null);
    assert_eq!(record["normalize"], "l1");
    assert_eq!(record["num_selected_heads"], 1);
    assert_eq!(record["num_image_tokens"], 6);
    assert_eq!(record["selected_heads"], serde_json::json!([1]));
    assert_eq!(record["kept_tokens"], serde_json::json!([2, 3]));
    assert_eq!(
        record["head_scores"][3],
        Value::Null,
        "a head without mass ranks last"
    );
    assert_eq!(record["audit"]["zero_mass_heads"], serde_json::json!([3]));
    assert_eq!(record["token_importance"].as_array().unwrap().len(), 6);
    assert_eq!(record["equivalence"], serde_json::json!({}));
    assert!(record["sample"].is_null() && record["layer"].is_null());
}

#[test]
fn half_precision_is_read_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let widened: Vec<f32> = PER_HEAD
        .iter()
        .map(|&v| half::f16::from_f32(v).to_f32())
        .collect();
    let bytes: Vec<u8> = PER_HEAD
        .iter()
        .flat_map(|&v| half::f16::from_f32(v).to_le_bytes())
        .collect();
    let half_path = dir.path().join("half.safetensors");
    let view = TensorView::new(Dtype::F16, vec![4, 6], &bytes).unwrap();
    std::fs::write(&half_path, serialize([("a", view)], None).unwrap()).unwrap();
    let path = write_dump(dir.path(), &[("a", &[4, 6], &widened)]);
    let run =
        |path: &std::path::Path| json(&["score", path.to_str().unwrap(), "--keep=3", "--json"]);
    assert_eq!(run(&half_path), run(&path));
}

#[test]
fn every_strategy_on_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_dump(dir.path(), &[("a", &[2, 4, 20, 20], &squares(2, 4, 20))]);
    let path = path.to_str().unwrap();
    let args = [
        "score",
        path,
        "--image-range",
        "3..12",
        "--query-selection-strategy",
        "all",
        "--keep",
        "4",
    ];
    let records = json(&[&args[..], &["--json"]].concat());
    assert_eq!(records.len(), 2 * 9 * 12);
    assert_eq!(records[0]["sample"], 0);
    assert_eq!(records.last().unwrap()["sample"], 1);
    assert_eq!(
        records[0]["equivalence"].as_object().unwrap().len(),
        9 * 12 - 1
    );
    let text = succeed(&args);
    assert!(text.contains("Keeping 4 of 9 image tokens by 2 of 4 heads, l1 normalisation"));
    assert!(text.contains("over 2 samples") && text.contains("sample 1, looked at"));
    check_width(&text);
}

#[test]
fn a_layer_of_many_is_that_layer_alone() {
    let dir = tempfile::tempdir().unwrap();
    let values = squares(3, 4, 15);
    let rest = ["--image_range", "2..10", "--keep", "3", "--json"];
    let path = write_dump(dir.path(), &[("a", &[3, 4, 15, 15], &values)]);
    let args = [
        &["score", path.to_str().unwrap(), "--prune-layer", "2"],
        &rest[..],
    ]
    .concat();
    let mut of_stack = json(&args);
    let one = &values[4 * 15 * 15..2 * 4 * 15 * 15];
    let path = write_dump(dir.path(), &[("a", &[4, 15, 15], one)]);
    let alone = json(&[&["score", path.to_str().unwrap()], &rest[..]].concat());
    assert_eq!(of_stack.len(), 12);
    for record in &mut of_stack {
        assert_eq!(record["layer"].take(), 2);
    }
    assert_eq!(of_stack, alone);
    assert_eq!(alone[0]["query_strategy"], "last_token");
    assert_eq!(alone[0]["audit"]["query"]["rows"], serde_json::json!([14]));
}

#[test]
fn with_every_head_all_strategies_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_dump(dir.path(), &[("a", &[4, 20, 20], &squares(1, 4, 20))]);
    let records = json(&[
        "score",
        path.to_str().unwrap(),
        "--image-range=3..12",
        "--keep=4",
        "--num-selected-heads=all",
        "--json",
    ]);
    for agreement in records[0]["equivalence"].as_object().unwrap().values() {
        assert_eq!(agreement["identical_share"], 1.0);
    }
}

#[test]
fn the_fixed_head_and_a_query_matrix() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_dump(dir.path(), &[("a", &[4, 40, 40], &squares(1, 4, 40))]);
    let text = succeed(&[
        "score",
        path.to_str().unwrap(),
        "--image-range=3..30",
        "--keep=20",
        "--fixed_head_selection=variance",
        "--query-selection-strategy=all",
        "--normalize=softmax",
    ]);
    assert!(text.contains("9 variance + adaptive_by_length"), "{text}");
    check_width(&text);
}

#[test]
fn rows_that_no_softmax_gave_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let doubled: Vec<f32> = squares(1, 4, 20).iter().map(|value| 2.0 * value).collect();
    let path = write_dump(dir.path(), &[("a", &[4, 20, 20], &doubled)]);
    let output = finepruner(&[
        "score",
        path.to_str().unwrap(),
        "--image-range=3..12",
        "--keep=4",
    ]);
    assert_eq!(output.code, Some(0));
    assert!(
        output
            .stderr
            .contains("4 of 4 attention rows don't sum to 1"),
        "{}",
        output.stderr
    );
}

#[track_caller]
fn check_width(text: &str) {
    for line in text.lines() {
        assert!(
            line.chars().count() <= 100,
            "{} columns: {line}",
            line.chars().count()
        );
    }
}
