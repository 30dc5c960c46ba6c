//! Each kind of bad input is one clear error.

use safetensors::tensor::{Dtype, TensorView, serialize};

use crate::common::{
    self, error_object, fail, finepruner, npy, npy_header, squares, succeed, write_dump,
};

/// Runs `score` on the given tensor and expects an error with `parts`.
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
        // The last row of sample 1, head 2: outside the image, and still invalid.
        let mut values = squares(2, 3, 10);
        values[(3 + 2) * 100 + 9 * 10] = value;
        let flags = ["--keep=2", "--image-range=2..7"];
        let parts = ["sample 1, head 2, row 9", "column 0", name];
        let batch = [&flags[..], &["--batch"]].concat();
        check(&[2, 3, 10, 10], &values, &batch, &parts);
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
        &[&flags[..], &["--batch"]].concat(),
        &["ragged", "not 3 and 4"],
    );
    check(&[6], &[0.1; 6], &["--keep=1"], &["1 dimensions", "[H, N]"]);
    check(&[0, 6], &[], &["--keep=1"], &["[0, 6] is empty"]);
}

#[test]
fn four_dimensions_have_to_be_explained() {
    let values = squares(2, 3, 10);
    let parts = [
        "2 layers of one sample, [L, H, S, S]",
        "2 samples of one layer, [B, H, S, S]",
        "--prune-layer K",
        "--batch",
    ];
    let flags = ["--keep=1", "--image-range=0..2"];
    check(&[2, 3, 10, 10], &values, &flags, &parts);
    let both = [&flags[..], &["--batch", "--prune-layer=1"]].concat();
    check(&[2, 3, 10, 10], &values, &both, &["cannot be used with"]);
}

/// Runs `score` on an `.npy` file of these bytes and expects an error with `parts`.
#[track_caller]
fn check_npy(bytes: &[u8], parts: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dump.npy");
    std::fs::write(&path, bytes).unwrap();
    let parts = [&["dump.npy"], parts].concat();
    fail(&["score", path.to_str().unwrap(), "--keep=1"], &parts);
}

#[test]
fn arrays_of_numpy_that_are_damaged_or_of_another_kind() {
    let data = [0_u8; 24];
    let header = npy_header("<f4", &[2, 3]);
    let whole = npy(1, &header, &data);
    check_npy(
        &whole[..whole.len() - 1],
        &["truncated", "24 bytes", "23 follow"],
    );
    check_npy(&[&whole[..], b"x"].concat(), &["damaged", "25 follow"]);
    check_npy(&whole[..7], &["truncated", "inside its header"]);
    check_npy(&whole[..30], &["truncated", "doesn't fit into 30"]);
    check_npy(
        &npy(4, &header, &data),
        &["version 4", "versions 1, 2 and 3"],
    );
    let mut huge = npy(2, &header, &data);
    huge[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    check_npy(&huge, &["truncated", "4294967295 bytes"]);
    let padded = header.clone() + &" ".repeat(70_000);
    check_npy(&npy(2, &padded, &data), &["at most 65535"]);
    let fortran = header.replace("False", "True");
    check_npy(
        &npy(1, &fortran, &data),
        &["Fortran order", "ascontiguousarray"],
    );
    for (descr, part) in [
        (">f4", "highest byte first"),
        ("<i8", "its numbers are <i8"),
        ("|V2", "bfloat16"),
        ("|O", "Python objects"),
    ] {
        check_npy(&npy(1, &npy_header(descr, &[2, 3]), &data), &[part]);
    }
    let fields = header.replace("'<f4'", "[('a', '<f4')]");
    check_npy(&npy(1, &fields, &data), &["records with fields"]);
    let absurd = npy_header("<f4", &[usize::MAX, usize::MAX]);
    check_npy(
        &npy(1, &absurd, &data),
        &["no file holds an array of shape"],
    );
    check_npy(&npy(1, "{'shape': (2, 3)}", &data), &["no key `descr`"]);
    check_npy(&npy(1, "not a dictionary", &data), &["`{` expected"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npy");
    std::fs::write(&path, &whole).unwrap();
    let args = ["score", path.to_str().unwrap(), "--keep=1", "--tensor=a"];
    fail(&args, &["--tensor a", "one array without a name"]);
}

#[test]
fn files_of_pytorch_are_to_be_converted() {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("layer 2.pt", &b"PK\x03\x04 an archive"[..]),
        ("old.pth", b"\x80\x02ctorch"),
        ("pytorch_model.bin", b"anything"),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let to = path.with_extension("safetensors");
        let parts = [
            &format!("torch.load('{}'", path.display())[..],
            "python3 -c \"import torch; from safetensors.torch import save_file;",
            &format!("}}, '{}')\"", to.display()),
        ];
        fail(&["score", path.to_str().unwrap(), "--keep=1"], &parts);
    }
    let path = dir.path().join("several.npz");
    std::fs::write(&path, b"PK\x03\x04").unwrap();
    fail(
        &["score", path.to_str().unwrap(), "--keep=1"],
        &["numpy.save"],
    );
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
    check(&[2, 3], &[0.1; 6], &flags, &["omit --image-range"]);
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
            &[&format!("R = {keep}"), "must be between 1 and 4"],
        );
    }
    for heads in ["0", "4"] {
        let flag = format!("--num-selected-heads={heads}");
        let parts = [&format!("select {heads} of 3"), "must be between 1 and 3"];
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
        &["expected one of: l1, softmax"],
    );
    let flags = ["--keep=1", "--query-selection-strategy=all"];
    check(
        &[3, 4],
        &values,
        &flags,
        &["omit --query-selection-strategy"],
    );
}

#[test]
fn no_attention_to_the_image() {
    // The last row attends only to the token before the image.
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
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("zero mass: heads 0-1"), "{text}");
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
    fail(&args, &["tensor `ids` is I64", "F64, F32, F16 or BF16"]);
}

/// The error object with `--json`; users get the message on standard error too.
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

    // All kinds of errors of the command line itself.
    for (args, part) in [
        (&["study", "--nonsense", "--json"][..], "'--nonsense'"),
        (&["nonsense", "--json"], "nonsense"),
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
    // Help is printed as text.
    let help = finepruner(&["study", "--json", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("Usage: finepruner study"));
}

#[test]
fn every_cause_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.json");
    std::fs::write(&path, "{\"study\": \"a\", \"nonsense\": 1}").unwrap();
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

/// The cause of a failed sample is stated once with its file, in the record and on the terminal.
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
        &dataset,
        &output,
        "--no-report",
    ];
    // With or without a report, failures come first, each named once.
    for args in [&args[..], &args[..args.len() - 1]] {
        let output = common::finepruner(args);
        assert_eq!(output.code, Some(3), "{}", output.stderr);
        let text = output.stdout;
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.starts_with("4 of 6 questions failed"), "{text}");
        for number in [1, 2, 3, 5] {
            let named = format!("q{number} (p{number}.png): ");
            assert_eq!(words.matches(&named).count(), 1, "{text}");
        }
        assert!(
            !words.contains("`finepruner records`, and results.json"),
            "{text}"
        );
    }
    let records = common::finepruner(&["records", run.to_str().unwrap()]).stdout;
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

/// Runs `config check` and expects code 2 with all problems on standard output.
#[track_caller]
fn config_check(args: &[&str]) -> String {
    let output = common::finepruner(&[&["config", "check"], args].concat());
    assert_eq!(output.code, Some(2), "{}{}", output.stdout, output.stderr);
    assert_eq!(output.stderr, "");
    output.stdout
}

#[test]
fn every_problem_of_every_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good.json", r#"{"study": "a"}"#);
    let first = file(
        "first.json",
        "{\"study\": \"a\",\n\"device\": \"gpu\",\n\"budgets\": [{\"retention\": 1.5}, {\"kept\": 8}]}",
    );
    let second = file(
        "second.json",
        "{\"study\": \"b\",\n\"model\": \"no-model\",\n\"prune_layer\": 99}",
    );
    let broken = file("broken.json", "{\"study\": }");
    let missing = dir.path().join("missing.json").display().to_string();
    let files = [&good, &first, &second, &broken, &missing];
    let files: Vec<&str> = files.into_iter().map(String::as_str).collect();

    let text = config_check(&files);
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        format!("{good}: OK"),
        format!("{first}:2: device: `gpu`; expected one of: cpu, cuda, cuda:N"),
        format!("{first}:3: budgets[0].retention: 1.5; must be above 0 and at most 1"),
        format!("{second}:2: model: no folder `no-model`; expected the folder of a checkpoint"),
        format!("{second}: not checked: prune_layer, budgets and num_selected_heads"),
        format!("{broken}:1: not valid JSON: expected value"),
        format!("{missing}: can't read {missing}: No such file"),
        "5 problems in 4 of 5 files".to_owned(),
    ] {
        assert!(flat.contains(&part), "{part}: {text}");
    }
    assert_eq!(flat.matches("No such file").count(), 1, "{text}");
    let fits = |line: &str| line.chars().count() <= 80 || !line.trim().contains(' ');
    assert!(text.lines().all(fits), "{text}");

    let json = config_check(&[&files[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of = |file: usize| &json["files"][file];
    assert_eq!(
        (&of(0)["is_ok"], &of(1)["is_ok"]),
        (&true.into(), &false.into())
    );
    assert_eq!(of(1)["problems"][1]["line"], 3);
    assert_eq!(of(1)["problems"][1]["place"], "budgets[0].retention");
    assert_eq!(of(2)["not_checked"].as_array().unwrap().len(), 1);

    // With a shape the model needn't exist, and settings that depend on it are checked.
    let text = config_check(&["--shape=llava-1.5-7b", &second]);
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains(":3: prune_layer: can't prune after layer 99 of 32"),
        "{text}"
    );
    assert!(
        !flat.contains("no-model") && flat.contains("1 problem in 1 of 1 file"),
        "{text}"
    );
    let text = common::succeed(&["config", "check", &good]);
    assert_eq!(
        text.trim_end().lines().last().unwrap().trim(),
        format!("{good}: OK")
    );
}

#[test]
fn all_flags_of_a_study_are_checked_before_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.json");
    let text =
        "{\"study\": \"a\",\n\"max_new_tokens\": 0,\n\"statistics\": {\"baseline\": \"summ\"}}";
    std::fs::write(&path, text).unwrap();
    let config = path.display().to_string();
    let output = dir.path().join("run");
    for command in ["study", "eval"] {
        fail(
            &[
                command,
                "--config",
                &config,
                "--dataset=no/such,embedded:confrm",
                "--prune-layer=8",
                "--keep=0,145",
                "--num-selected-heads=8",
                "--controls=vanila",
                "--output",
                &output.display().to_string(),
            ],
            &[
                "9 problems in the configuration",
                &format!("{config}:2: max_new_tokens: 0; must be between 1 and 1048576"),
                &format!("{config}:3: statistics.baseline: `summ` (did you mean `sum`?)"),
                "--dataset: no folder `no/such`",
                "--dataset: `embedded:confrm` (did you mean `embedded:confirm`?)",
                "--prune-layer: can't prune after layer 8 of 8; the layer must be between 1 and 7",
                "--keep: 0; must be at least 1",
                "--keep: kept = 145: R = 145 of 144 image tokens",
                "--num-selected-heads: 8 selects all 8 heads",
                "--controls: unknown control `vanila` (did you mean `vanilla`?)",
                "; or all, or none",
            ],
        );
        assert!(!output.exists());
    }
    // Numbers that don't parse, and a file that isn't there.
    for (flag, expected) in [
        ("--keep=10,notanumber", "expected a whole number such as"),
        ("--retention=1/3", "expected a number such as 0.333"),
    ] {
        fail(&["study", "--config", &config, flag], &[expected]);
    }
    let missing = dir.path().join("missing.json").display().to_string();
    fail(
        &["study", "--config", &missing],
        &[
            &format!("can't read {missing}: No such file"),
            "{\"study\": \"a\"} is a whole configuration",
        ],
    );
    // A flag replaces the value in the file, valid or not.
    std::fs::write(&path, r#"{"study": "a", "model": "no/such"}"#).unwrap();
    let explained = ["config", "explain", &config, "--shape=llava-1.5-7b"];
    let text = common::succeed(&explained);
    assert!(
        text.contains("study a (which heads) on 32 layers"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn rows_per_head_are_parts_of_rows_that_sum_to_1() {
    let dir = tempfile::tempdir().unwrap();
    let score = |shape: &[usize], values: &[f32]| {
        let path = write_dump(dir.path(), &[("a", shape, values)]);
        path.to_str().unwrap().to_owned()
    };
    // Before the softmax; summed over layers; invalid in one of three heads only.
    for (values, head) in [
        ([1.0, 2.0, 0.0, 0.1, 0.1, 0.0], "head 0"),
        ([0.1, 0.1, 0.0, 0.4, 0.4, 0.3], "head 1"),
        ([0.3, 0.3, 0.3, 3.0, 0.0, 0.0], "head 1"),
    ] {
        let path = score(&[2, 3], &values);
        fail(
            &["score", &path, "--keep=2"],
            &[head, "sums to", "at most 1"],
        );
    }
    // Sums that exceed 1 only by rounding are accepted.
    let path = score(&[2, 3], &[0.5, 0.25, 0.2505, 0.1, 0.2, 0.3]);
    succeed(&["score", &path, "--keep=2"]);
}

#[test]
fn one_heads_square_is_no_row_per_head() {
    let dir = tempfile::tempdir().unwrap();
    for sequence in [2, 5, 40] {
        let path = write_dump(
            dir.path(),
            &[("a", &[sequence, sequence], &squares(1, 1, sequence))],
        );
        let path = path.to_str().unwrap();
        let again = format!("[1, {sequence}, {sequence}]");
        fail(
            &["score", path, "--keep=1"],
            &["zero above its diagonal", &again, "--image-range"],
        );
    }
    // As many heads as tokens, each with attention to all of them.
    let path = write_dump(dir.path(), &[("a", &[2, 2], &[0.2, 0.3, 0.4, 0.1])]);
    succeed(&["score", path.to_str().unwrap(), "--keep=1"]);
}
