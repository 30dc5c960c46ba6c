//! `finepruner score` on dumps of every form.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize};
use serde_json::Value;

use crate::common::{
    self, fail, finepruner, npy, npy_header, squares, succeed, write_dump, write_dump_with,
};

fn json(args: &[&str]) -> Vec<Value> {
    serde_json::from_str(&succeed(args)).unwrap()
}

/// Four heads over six tokens; head 1 has one peak, head 3 has only zeros.
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
        "--batch",
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
    assert!(text.contains("over 2 samples") && text.contains("sample 1, query"));
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
    assert!(text.contains("9 adaptive_by_length"), "{text}");
    check_width(&text);
}

/// The same values in every form, and in every precision that represents them exactly.
#[test]
fn every_form_gives_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let forms = |shape: &[usize], values: &[f32]| -> Vec<std::path::PathBuf> {
        let f32s: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let wide = values.iter().map(|&v| f64::from(v));
        let f64s: Vec<u8> = wide.flat_map(f64::to_le_bytes).collect();
        let view = TensorView::new(Dtype::F64, shape.to_vec(), &f64s).unwrap();
        let files = [
            ("wide.safetensors", serialize([("a", view)], None).unwrap()),
            ("one.npy", npy(1, &npy_header("<f4", shape), &f32s)),
            ("two.npy", npy(2, &npy_header("<f8", shape), &f64s)),
            ("three.npy", npy(3, &npy_header("<f4", shape), &f32s)),
        ];
        let mut paths = vec![write_dump(dir.path(), &[("a", shape, values)])];
        paths.extend(files.map(|(name, bytes)| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        }));
        paths
    };
    let check = |paths: &[std::path::PathBuf], flags: &[&str]| {
        let run = |path: &Path| {
            json(
                &[
                    &["score", path.to_str().unwrap(), "--keep=3", "--json"],
                    flags,
                ]
                .concat(),
            )
        };
        let first = run(&paths[0]);
        for path in &paths[1..] {
            assert_eq!(run(path), first, "{}", path.display());
        }
    };
    check(&forms(&[4, 6], &PER_HEAD), &[]);
    let range = ["--image-range=2..12", "--query-selection-strategy=all"];
    check(&forms(&[4, 20, 20], &squares(1, 4, 20)), &range);

    let halves: Vec<half::f16> = PER_HEAD.iter().map(|&v| half::f16::from_f32(v)).collect();
    let bytes: Vec<u8> = halves.iter().flat_map(|v| v.to_le_bytes()).collect();
    let path = dir.path().join("half.npy");
    std::fs::write(&path, npy(1, &npy_header("<f2", &[4, 6]), &bytes)).unwrap();
    let widened: Vec<f32> = halves.iter().map(|v| v.to_f32()).collect();
    check(&[path, forms(&[4, 6], &widened).remove(0)], &[]);
}

#[test]
fn double_precision_is_not_rounded() {
    // In f32 tokens 0 and 3 would be equal, and the lower index would be kept.
    let row = [0.1, 0.0, 0.0, 0.1 + 1e-12];
    assert_eq!(row[0] as f32, row[3] as f32);
    let bytes: Vec<u8> = row.iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::write(&path, npy(1, &npy_header("<f8", &[1, 4]), &bytes)).unwrap();
    let flags = ["--keep=1", "--num-selected-heads=all", "--json"];
    let strategy = "--head-selection-strategy=sum";
    let records = json(&[&["score", path.to_str().unwrap(), strategy], &flags[..]].concat());
    assert_eq!(records[0]["kept_tokens"], serde_json::json!([3]));
    assert_eq!(records[0]["audit"]["token_cut"]["is_tie"], false);
}

#[test]
fn strategies_come_in_lists() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_dump(dir.path(), &[("a", &[4, 40, 40], &squares(1, 4, 40))]);
    let path = path.to_str().unwrap();
    let fixed = ["score", path, "--image-range=3..30", "--keep=5"];
    let lists = [
        "--head-selection-strategy=variance,entropy",
        "--query-selection-strategy=last_token,text_tokens_only",
    ];
    let records = json(&[&fixed[..], &lists, &["--json"]].concat());
    let names: Vec<String> = records
        .iter()
        .map(|r| format!("{} {}", r["head_strategy"], r["query_strategy"]).replace('"', ""))
        .collect();
    assert_eq!(
        names,
        [
            "variance last_token",
            "entropy last_token",
            "variance text_tokens_only",
            "entropy text_tokens_only"
        ]
    );
    check_width(&succeed(&[&fixed[..], &lists].concat()));
    for (flag, list) in [
        ("--head-selection-strategy", "all,variance"),
        ("--query-selection-strategy", "last_token,last_token"),
    ] {
        let name = list.split(',').next_back().unwrap();
        let message = format!("{flag} names {name} twice");
        fail(&[&fixed[..], &[flag, list]].concat(), &[&message]);
    }
}

/// Two heads' rows over four tokens; head `peak` has a peak.
fn peaked(peak: usize) -> Vec<f32> {
    let mut values = vec![0.25; 8];
    values[4 * peak..4 * peak + 4].copy_from_slice(&[0.625, 0.25, 0.125, 0.0]);
    values
}

#[test]
fn dumps_are_scored_together() {
    let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let a = write_dump(first.path(), &[("a", &[2, 4], &peaked(0))]);
    let b = write_dump(second.path(), &[("a", &[2, 4], &peaked(1))]);
    let paths = [a.to_str().unwrap(), b.to_str().unwrap()];
    let flags = [
        "--head-selection-strategy=variance,max_attention,random_name",
        "--keep=2",
    ];
    fail(&[&["score"], &paths[..], &flags].concat(), &["random_name"]);
    let flags = [
        "--head-selection-strategy=variance,sum",
        "--keep=2",
        "--json",
    ];
    let records = json(&[&["score"], &paths[..], &flags].concat());
    assert_eq!(records.len(), 4);
    assert_eq!(records[0]["dump"], paths[0]);
    assert_eq!(records[3]["dump"], paths[1]);
    // Variance finds the peak in either dump; sums are equal, so sum selects head 0 twice.
    let aggregate = |record: usize, key: &str| records[record]["aggregate"][key].clone();
    assert_eq!(aggregate(0, "num_samples"), 2);
    assert_eq!(aggregate(0, "times_selected"), serde_json::json!([1, 1]));
    assert_eq!(aggregate(1, "times_selected"), serde_json::json!([2, 0]));
    assert_eq!(aggregate(1, "num_head_ties"), 2);
    assert_eq!(records[0]["aggregate"], records[2]["aggregate"]);
    let gap = |record: usize| {
        records[record]["audit"]["token_cut"]["gap"]
            .as_f64()
            .unwrap()
    };
    let mean = aggregate(1, "mean_token_gap").as_f64().unwrap();
    assert!((mean - (gap(1) + gap(3)) / 2.0).abs() < 1e-12);
    // Head 0 of the second dump is uniform: its first two tokens are kept, as with the peak.
    assert_eq!(records[0]["equivalence"]["sum"]["mean_jaccard"], 1.0);

    let text = succeed(&[&["score"], &paths[..], &flags[..2]].concat());
    assert!(text.contains("Over 2 samples"), "{text}");
    assert!(text.contains("0(1) 1(1)"), "{text}");
    // The same file twice counts as two samples.
    let twice = ["score", paths[0], paths[0]];
    let records = json(&[&twice[..], &flags].concat());
    assert_eq!(records[0]["aggregate"]["num_samples"], 2);
    assert_eq!(records[0]["equivalence"].as_object().unwrap().len(), 1);

    let other = write_dump(first.path(), &[("a", &[3, 4], &[0.25; 12])]);
    let args = ["score", other.to_str().unwrap(), paths[1], "--keep=2"];
    fail(&args, &["3 heads", "has 2", "separately"]);
}

#[test]
fn each_dump_has_its_own_range() {
    let [first, second] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let a = write_dump(first.path(), &[("a", &[4, 20, 20], &squares(1, 4, 20))]);
    let b = write_dump(second.path(), &[("a", &[4, 25, 25], &squares(1, 4, 25))]);
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());
    let together = [
        "score",
        a,
        b,
        "--image-range",
        "3..12",
        "--image-range",
        "4..18",
        "--keep=4",
    ];
    let mut records = json(&[&together[..], &["--json"]].concat());
    assert_eq!(records.len(), 24);
    let alone = |path: &str, range: &str| {
        json(&["score", path, "--image-range", range, "--keep=4", "--json"])
    };
    let mut apart = alone(a, "3..12");
    apart.extend(alone(b, "4..18"));
    for record in records.iter_mut().chain(&mut apart) {
        for key in ["dump", "aggregate", "equivalence"] {
            record[key].take();
        }
    }
    assert_eq!(records, apart);
    let text = succeed(&together);
    assert!(text.contains("Keeping 4 of 9 to 14 image tokens"), "{text}");
    check_width(&text);
    // One range for both dumps, and too few ranges for three.
    succeed(&["score", a, b, "--image-range=3..12", "--keep=4"]);
    let three = ["score", a, b, a, "--image-range=3..12,4..18", "--keep=4"];
    fail(&three, &["given 2 times for 3 dump(s)"]);
    let wrong = ["score", a, b, "--image-range=3..12,4..30", "--keep=4"];
    fail(&wrong, &[b, "4..30"]);
    let many = ["score", a, b, "--image-range=3..12", "--keep=10"];
    fail(&many, &[a, "must be between 1 and 9"]);
}

#[test]
fn one_of_something_needs_no_flag() {
    let dir = tempfile::tempdir().unwrap();
    let values = squares(1, 4, 20);
    let flags = ["--image-range=3..12", "--keep=4", "--json"];
    let path = write_dump(dir.path(), &[("a", &[1, 4, 20, 20], &values)]);
    let mut batch = json(&[&["score", path.to_str().unwrap()], &flags[..]].concat());
    let path = write_dump(dir.path(), &[("a", &[4, 20, 20], &values)]);
    let alone = json(&[&["score", path.to_str().unwrap()], &flags[..]].concat());
    for record in &mut batch {
        assert_eq!(record["sample"].take(), 0);
    }
    assert_eq!(batch, alone);
    let args = [
        "score",
        path.to_str().unwrap(),
        "--batch",
        "--image-range=3..12",
        "--keep=4",
    ];
    fail(
        &args,
        &["omit --image-range", "--batch if it is of one sample"],
    );
}

#[test]
fn a_file_may_have_some_of_the_rows() {
    let dir = tempfile::tempdir().unwrap();
    let values = squares(1, 4, 20);
    let path = write_dump(dir.path(), &[("a", &[4, 20, 20], &values)]);
    let path = path.to_str().unwrap();
    let run = |more: &[&str]| {
        let asked = ["score", path, "--keep=4", "--json"];
        json(&[&asked[..], more].concat())
    };
    let range = "--image-range=3..12";
    let last = "--query-selection-strategy=last_5_tokens";
    let whole = run(&[range, last]);
    let some: Vec<f32> = values
        .chunks_exact(20 * 20)
        .flat_map(|head| head[..3 * 20].iter().chain(&head[15 * 20..]))
        .copied()
        .collect();
    let tensors: [(&str, &[usize], &[f32]); 1] = [("a", &[4, 8, 20], &some)];
    write_dump(dir.path(), &tensors);
    assert_eq!(run(&[range, last, "--query-rows=0..3,15..20"]), whole);
    fail(
        &["score", path, "--keep=4", range],
        &["ragged", "not 8 and 20", "--query-rows"],
    );
    fail(
        &["score", path, "--keep=4", range, "--query-rows=13..20"],
        &["8 rows over 20 tokens", "names 7 positions"],
    );
    fail(
        &["score", path, "--keep=4", range, "--query-rows=5,3"],
        &["`5,3` is not a list of positions"],
    );
    let said = [("image_range", "3..12"), ("query_rows", "0..3,15..20")];
    write_dump_with(dir.path(), &tensors, &said);
    assert_eq!(run(&[last]), whole);
    fail(
        &["score", path, "--keep=4", "--query-rows=12..20"],
        &["metadata `query_rows`", "`0..3,15..20`", "12..20"],
    );
    fail(
        &[
            "score",
            path,
            "--keep=4",
            "--query-selection-strategy=text_tokens_only",
        ],
        &["text_tokens_only", "no row of position 12", "0..3,15..20"],
    );
}

#[test]
fn one_row_per_head_of_several_samples() {
    let dir = tempfile::tempdir().unwrap();
    let mut values = PER_HEAD.to_vec();
    values.extend(PER_HEAD.iter().rev());
    let path = write_dump(dir.path(), &[("a", &[2, 4, 6], &values)]);
    let path = path.to_str().unwrap();
    let batch = json(&["score", path, "--batch", "--keep=2", "--json"]);
    let mut kept: Vec<Value> = Vec::new();
    for sample in values.chunks_exact(24) {
        write_dump(dir.path(), &[("a", &[4, 6], sample)]);
        let alone = json(&["score", path, "--keep=2", "--json"]);
        kept.extend(alone.iter().map(|record| record["kept_tokens"].clone()));
    }
    let found: Vec<Value> = batch
        .iter()
        .map(|record| record["kept_tokens"].clone())
        .collect();
    assert_eq!(found, kept);
    assert_eq!(batch[batch.len() - 1]["sample"], 1);
}

/// Numbers of shapes in a group of an overlay, panel by panel.
fn shapes(svg: &str, name: &str) -> Vec<usize> {
    let opening = format!("<g class=\"{name}\">");
    let count = |rest: &str| rest.split("</g>").next().unwrap().trim().lines().count();
    svg.split(&opening).skip(1).map(count).collect()
}

#[test]
fn overlays_show_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = write_dump(dir.path(), &[("a", &[4, 20, 20], &squares(1, 4, 20))]);
    let file = |name: &str| dir.path().join(name).display().to_string();
    let image = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fp-model/tests/golden/image0.png"
    );
    let fixed = [
        "score",
        path.to_str().unwrap(),
        "--image-range=3..12",
        "--keep=4",
        "--head-selection-strategy=variance,sum",
    ];
    let draw = |name: &str, more: &[&str]| {
        let path = file(name);
        succeed(&[&fixed[..], &["--overlay", &path], more].concat());
        std::fs::read(path).unwrap()
    };
    let svg = String::from_utf8(draw("a.svg", &[])).unwrap();
    assert_eq!(shapes(&svg, "importance"), [9, 9]);
    assert_eq!(shapes(&svg, "kept"), [4, 4]);
    assert!(svg.contains(">variance, h = 2</text>") && svg.contains(">last_token</text>"));
    let svg = String::from_utf8(draw("b.svg", &["--image", image])).unwrap();
    assert_eq!(shapes(&svg, "picture"), [1, 1]);
    assert_eq!(shapes(&svg, "dropped"), [5, 5]);
    // Two panels of twice 252 units, with margins of 12; two pixels per unit.
    let png = draw("b.png", &["--image", image]);
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert_eq!(&png[1..4], b"PNG");
    assert_eq!(size(16), 2 * (12 + 2 * (252 + 12 + 252 + 12)));
    assert!(svg.contains(&format!("width=\"{}\" height=\"{}\"", size(16), size(20))));

    let svg = String::from_utf8(draw("c.svg", &["--grid", "2x3"])).unwrap();
    assert_eq!(shapes(&svg, "importance"), [6, 6]);
    assert!(svg.contains("of 6 drawn") && svg.contains("only the first 6 image tokens"));

    let refuse = |flags: &[&str], parts: &[&str]| {
        fail(&[&fixed[..], flags].concat(), parts);
    };
    refuse(&["--overlay", &file("a.gif")], &["a.gif", ".svg or .png"]);
    refuse(
        &["--overlay", &file("none/a.svg")],
        &["can't write", "none/a.svg"],
    );
    let big = ["--overlay", &file("d.svg"), "--grid=5x2"];
    refuse(&big, &["--grid 5x2", "image tokens, 9"]);
    let values = squares(1, 4, 20);
    let odd = write_dump(dir.path(), &[("a", &[4, 20, 20], &values)]);
    let args = [
        "score",
        odd.to_str().unwrap(),
        "--image-range=3..13",
        "--keep=4",
        "--overlay",
    ];
    fail(
        &[&args[..], &[&file("d.svg")]].concat(),
        &["10 image tokens", "--grid"],
    );
    assert!(!Path::new(&file("d.svg")).exists());
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
            .contains("4 of 4 attention rows don't sum to 1 (furthest off: 2.0000"),
        "{}",
        output.stderr
    );
    assert!(
        output.stderr.contains("row 19); is this"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_image_stands_where_the_file_says() {
    let dir = tempfile::tempdir().unwrap();
    let values = squares(1, 4, 20);
    let tensors: [(&str, &[usize], &[f32]); 1] = [("a", &[4, 20, 20], &values)];
    let path = write_dump(dir.path(), &tensors);
    let path = path.to_str().unwrap();
    let by_flag = succeed(&["score", path, "--image-range=3..12", "--keep=4"]);
    write_dump_with(dir.path(), &tensors, &[("image_range", "3..12")]);
    assert_eq!(succeed(&["score", path, "--keep=4"]), by_flag);
    let same = succeed(&["score", path, "--image-range=3..12", "--keep=4"]);
    assert_eq!(same, by_flag);
    fail(
        &["score", path, "--image-range=3..13", "--keep=4"],
        &["metadata", "`3..12`", "3..13"],
    );
    write_dump_with(dir.path(), &tensors, &[("image_range", "3-12")]);
    fail(&["score", path, "--keep=4"], &["metadata", "`3-12`"]);
}

#[track_caller]
fn check_width(text: &str) {
    for line in text.lines() {
        assert!(
            line.chars().count() <= 80,
            "{} columns: {line}",
            line.chars().count()
        );
    }
}

#[test]
fn settings_without_effect_are_said_first() {
    let dir = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..32).map(|at| (at % 7 + 1) as f32 / 64.0).collect();
    let dump = write_dump(dir.path(), &[("a", &[4, 8], &values)]);
    let dump = dump.to_str().unwrap();
    let score = |flags: &[&str]| {
        let output = common::finepruner(&[&["score", dump], flags].concat());
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        output
    };
    for (flags, note) in [
        (
            &["--keep=3", "--num-selected-heads=all"][..],
            "all 4 heads are selected",
        ),
        (
            &["--keep=3", "--num-selected-heads=4"],
            "all 4 heads are selected",
        ),
        (&["--keep=8"], "R = 8 keeps all 8 image tokens"),
    ] {
        let output = score(flags);
        assert!(output.stderr.contains(note), "{}", output.stderr);
        let json = score(&[flags, &["--json"]].concat()).stdout;
        let records: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(records[0]["notes"][0].as_str().unwrap().contains(note));
    }
    let output = score(&["--keep=3", "--num-selected-heads=3"]);
    assert!(!output.stderr.contains("warning: R") && !output.stderr.contains("heads are selected"));
}
