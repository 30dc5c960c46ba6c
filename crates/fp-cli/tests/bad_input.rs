//! Each kind of bad input is one clear error.

mod common;

use common::{error_object, fail, finepruner, squares, write_dump};
use safetensors::tensor::{Dtype, TensorView, serialize};

/// Runs `score` on the tensor given and expects an error with `parts`.
#[track_caller]
fn check(shape: &[usize], values: &[f32], flags: &[&str], parts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = write_dump(dir.path(), &[("attention", shape, values)]);
    fail(&[&["score", path.to_str().unwrap()], flags].concat(), parts);
}

/// Runs `score` on a file of these bytes and expects an error with `parts`.
#[track_caller]
fn check_bytes(bytes: &[u8], flags: &[&str], parts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dump.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let parts = [&["dump.safetensors"], parts].concat();
    fail(
        &[&["score", path.to_str().unwrap(), "--keep", "1"], flags].concat(),
        &parts,
    );
}

#[test]
fn values_that_no_softmax_gives() {
    for (value, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf"), (-0.5, "-0.5")] {
        let mut values = [0.1; 12];
        values[7] = value;
        check(
            &[3, 4],
            &values,
            &["--keep=2"],
            &["head 1 ", "column 3", name],
        );
        // The last row of sample 1, head 2: outside the image, and still wrong.
        let mut values = squares(2, 3, 10);
        values[(3 + 2) * 100 + 9 * 10] = value;
        let flags = ["--keep=2", "--image-range=2..7"];
        let parts = ["sample 1, head 2, row 9", "column 0", name];
        check(&[2, 3, 10, 10], &values, &flags, &parts);
        let parts = ["layer 2, head 2, row 9", "column 0", name];
        check(
            &[2, 3, 10, 10],
            &values,
            &[&flags[..], &["--prune-layer=2"]].concat(),
            &parts,
        );
    }
}

#[test]
fn shapes_that_are_no_attention() {
    let flags = ["--keep=1", "--image-range=0..2"];
    check(
        &[2, 3, 4],
        &[0.1; 24],
        &flags,
        &["ragged", "[2, 3, 4]", "not 3 and 4"],
    );
    check(
        &[2, 2, 3, 4],
        &[0.1; 48],
        &flags,
        &["ragged", "not 3 and 4"],
    );
    check(&[6], &[0.1; 6], &["--keep=1"], &["1 dimensions", "[H, N]"]);
    check(&[0, 6], &[], &["--keep=1"], &["[0, 6] is empty"]);
}

#[test]
fn image_ranges() {
    let values = squares(1, 2, 6);
    let shape = [2, 6, 6];
    check(
        &shape,
        &values,
        &["--keep=1"],
        &["--image-range A..B", "6 tokens"],
    );
    for range in ["2..7", "3..3", "5..2"] {
        let flag = format!("--image-range={range}");
        check(
            &shape,
            &values,
            &["--keep=1", &flag],
            &[range, "sequence of 6"],
        );
    }
    check(&shape, &values, &["--keep=1", "--image-range=x"], &["A..B"]);
    let flags = ["--keep=1", "--image-range=0..2"];
    check(&[2, 3], &[0.1; 6], &flags, &["leave out --image-range"]);
}

#[test]
fn numbers_that_are_impossible() {
    let values = [0.1; 12];
    for keep in ["0", "5"] {
        let flag = format!("--keep={keep}");
        check(
            &[3, 4],
            &values,
            &[&flag],
            &[&format!("R = {keep}"), "possible is 1 to 4"],
        );
    }
    for heads in ["0", "4"] {
        let flag = format!("--num-selected-heads={heads}");
        let parts = [&format!("select {heads} of 3"), "possible is 1 to 3"];
        check(&[3, 4], &values, &["--keep=1", &flag], &parts);
    }
    let flags = ["--keep=1", "--image-range=1..3", "--prune-layer=3"];
    check(
        &[2, 3, 4, 4],
        &squares(2, 3, 4),
        &flags,
        &["--prune-layer 3", "layers 1 to 2"],
    );
}

#[test]
fn unknown_strategies_list_the_known_ones() {
    let values = [0.1; 12];
    let flags = ["--keep=1", "--head-selection-strategy=varience"];
    check(
        &[3, 4],
        &values,
        &flags,
        &["varience", "did you mean `variance`", "gini_coefficient"],
    );
    let flags = ["--keep=1", "--query-selection-strategy=first"];
    check(
        &[3, 4],
        &values,
        &flags,
        &["first", "last_token", "adaptive_by_length"],
    );
    check(
        &[3, 4],
        &values,
        &["--keep=1", "--normalize=l2"],
        &["known are l1, softmax"],
    );
    let flags = ["--keep=1", "--query-selection-strategy=all"];
    check(
        &[3, 4],
        &values,
        &flags,
        &["leave out --query-selection-strategy"],
    );
}

#[test]
fn no_attention_to_the_image() {
    // The last row looks at nothing but the token before the image.
    let mut values = vec![0.0; 2 * 4 * 4];
    for row in values.chunks_exact_mut(4) {
        row[0] = 1.0;
    }
    let flags = ["--keep=1", "--image-range=1..3"];
    check(
        &[2, 4, 4],
        &values,
        &flags,
        &["query strategy last_token", "no attention"],
    );
    let dir = tempfile::tempdir().unwrap();
    let path = write_dump(dir.path(), &[("attention", &[2, 4, 4], &values)]);
    let text = common::succeed(
        &[
            &["score", path.to_str().unwrap(), "--allow-degenerate"],
            &flags[..],
        ]
        .concat(),
    );
    assert!(text.contains("zero mass: heads 0-1"), "{text}");
}

#[test]
fn files_that_are_no_safetensors() {
    check_bytes(b"abc", &[], &["not a safetensors file", "3 bytes"]);
    check_bytes(
        b"just some text, no tensors at all",
        &[],
        &["not a safetensors file"],
    );
    let mut huge = 10_000_000_000_u64.to_le_bytes().to_vec();
    huge.resize(1024, b' ');
    check_bytes(
        &huge,
        &[],
        &["header of 10000000000 bytes", "only 1016 follow"],
    );
    let mut no_json = 8_u64.to_le_bytes().to_vec();
    no_json.extend(b"{\"a\": 1 ");
    check_bytes(
        &no_json,
        &[],
        &["not a safetensors file", "header is not the JSON"],
    );
    fail(
        &["score", "there-is-none.safetensors", "--keep=1"],
        &["there-is-none.safetensors"],
    );
}

#[test]
fn files_cut_off_or_continued() {
    let bytes = [0_u8; 24];
    let view = TensorView::new(Dtype::F32, vec![2, 3], &bytes).unwrap();
    let whole = serialize([("a", view)], None).unwrap();
    check_bytes(
        &whole[..whole.len() - 1],
        &[],
        &["truncated", "24 bytes", "23 follow"],
    );
    check_bytes(&whole[..20], &[], &["truncated"]);
    check_bytes(&[&whole[..], b"x"].concat(), &[], &["damaged", "25 follow"]);
}

#[test]
fn tensors_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let tensors: [(&str, &[usize], &[f32]); 2] = [
        ("layer_1", &[2, 3], &[0.1; 6]),
        ("layer_2", &[1, 2], &[0.1; 2]),
    ];
    let path = write_dump(dir.path(), &tensors);
    let listing = "`layer_1` F32 [2, 3], `layer_2` F32 [1, 2]";
    let path = path.to_str().unwrap();
    fail(
        &["score", path, "--keep=1"],
        &["several tensors", "--tensor", listing],
    );
    fail(
        &["score", path, "--keep=1", "--tensor=x"],
        &["no tensor `x`", listing],
    );
    common::succeed(&["score", path, "--keep=1", "--tensor=layer_1"]);
}

#[test]
fn number_types_that_are_not_read() {
    let view = TensorView::new(Dtype::I64, vec![1, 1], &[0; 8]).unwrap();
    let bytes = serialize([("ids", view)], None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dump.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let args = ["score", path.to_str().unwrap(), "--keep=1"];
    fail(&args, &["tensor `ids` is I64", "F32, F16 or BF16"]);
}

/// The object that an error is with `--json`; people find it on standard error too.
#[track_caller]
fn told(args: &[&str]) -> serde_json::Value {
    let output = finepruner(args);
    assert_eq!(output.code, Some(2), "{}", output.stderr);
    let error = error_object(&output.stdout);
    assert_eq!(error["exit_code"], 2);
    assert!(output.stderr.starts_with("error: "), "{}", output.stderr);
    error
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let error = told(&["score", "--json", "there-is-none.safetensors", "--keep=1"]);
    assert_eq!(error["kind"], "failed");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("there-is-none.safetensors"), "{error}");
    assert_eq!(
        error["causes"].as_array().unwrap().last().unwrap(),
        "No such file or directory (os error 2)"
    );

    // Whatever is wrong with the command line itself.
    for (args, part) in [
        (&["study", "--nonsense", "--json"][..], "'--nonsense'"),
        (&["--json", "nonsense"], "nonsense"),
        (&["score", "--json"], "<DUMP>"),
        (&["budget", "--json", "--dtype=f8"], "'f8'"),
    ] {
        let error = told(args);
        assert_eq!(error["kind"], "usage", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{error}");
        assert!(
            !message.contains("Usage") && !message.contains('\n'),
            "{error}"
        );
    }
    // Help is help.
    let help = finepruner(&["study", "--json", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("Usage: finepruner study"));
}

#[test]
fn every_cause_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.json");
    std::fs::write(&path, "{\"nonsense\": 1}").unwrap();
    let config = format!("--config={}", path.display());
    let output = finepruner(&["study", &config]);
    assert_eq!(output.code, Some(2));
    let count = |part: &str| output.stderr.matches(part).count();
    assert_eq!(count("nonsense"), 1, "{}", output.stderr);
    assert_eq!(count("bad.json"), 1, "{}", output.stderr);

    let output = finepruner(&["study", "--config=there-is-none.json"]);
    let count = |part: &str| output.stderr.matches(part).count();
    assert_eq!(count("os error 2"), 1, "{}", output.stderr);
    assert_eq!(count("there-is-none.json"), 1, "{}", output.stderr);
}

/// What a sample failed with is named by its file once, in the record and on the terminal.
#[test]
fn failed_samples_are_named_with_their_cause() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../fp-model/tests/golden/image0.png"
    );
    let mut questions = String::new();
    for number in 0..6 {
        std::fs::copy(source, data.join(format!("p{number}.png"))).unwrap();
        questions += &format!(
            "{{\"id\":\"q{number}\",\"image\":\"p{number}.png\",\"question\":\"What?\",\
             \"answers\":[\"red\"],\"family\":\"f\"}}\n"
        );
    }
    std::fs::write(data.join("questions.jsonl"), questions).unwrap();
    let description = r#"{"name": "n", "split": "s", "answer_rule": "exact", "families": ["f"]}"#;
    std::fs::write(data.join("benchmark.json"), description).unwrap();
    for number in [1, 2, 3, 5] {
        std::fs::write(
            data.join(format!("p{number}.png")),
            b"\x89PNG\r\n\x1a\n cut off",
        )
        .unwrap();
    }
    let run = dir.path().join("run");
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../configs/ablation_a_config.json"
    );
    let (dataset, output) = (
        format!("--dataset={}", data.display()),
        format!("--output={}", run.display()),
    );
    let args = [
        "study",
        "--config",
        config,
        "--head-selection-strategy=sum,variance",
        "--num-selected-heads=1/2",
        "--keep=8",
        "--controls=vanilla",
        "--num-draws=1000",
        "--no-report",
        &dataset,
        &output,
    ];
    let text = common::succeed(&args);
    assert!(text.contains("4 of 6 samples failed:"), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for id in ["sample q1: ", "sample q2: ", "sample q3: "] {
        assert!(words.contains(id), "{text}");
    }
    assert!(!words.contains("sample q5"), "{text}");
    assert!(
        words.contains("and 1 more; records.jsonl has every cause"),
        "{text}"
    );
    let records = std::fs::read_to_string(run.join("records.jsonl")).unwrap();
    let error = records
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|line| line["sample"]["id"] == "q5")
        .unwrap()["sample"]["error"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(error.matches("p5.png").count(), 1, "{error}");
    assert!(error.contains("p5.png: damaged PNG image: "), "{error}");
}
