//! `finepruner generate` on the small golden checkpoint, and on dummy weights.

mod clip_model;

use serde_json::Value;

use crate::common::{self, fail, succeed};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fp-model/tests/golden");

fn golden(flags: &[&str]) -> Vec<String> {
    let fixed = [
        "generate".to_owned(),
        format!("--model={GOLDEN}/model"),
        format!("--image={GOLDEN}/image0.png"),
        "--prompt=How many?".to_owned(),
        "--max-new-tokens=8".to_owned(),
    ];
    fixed
        .into_iter()
        .chain(flags.iter().map(|flag| (*flag).to_owned()))
        .collect()
}

fn run(flags: &[&str]) -> String {
    let args = golden(flags);
    succeed(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

fn json(flags: &[&str]) -> Value {
    serde_json::from_str(&run(&[flags, &["--json"]].concat())).unwrap()
}

#[test]
fn pruned_and_unpruned_answers() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("logits.safetensors");
    let logits = format!("--logits={}", file.display());
    let full = json(&[&logits]);
    assert_eq!(full["token_ids"].as_array().unwrap().len(), 8);
    assert_eq!(full["kept_tokens"], Value::Null);
    let bytes = std::fs::read(&file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.tensor("logits").unwrap().shape(), [505]);

    let pruned = json(&["--average-visual-tokens=64", "--num_selected_heads=2"]);
    assert_eq!(pruned["kept_tokens"].as_array().unwrap().len(), 30);
    assert_eq!(pruned["selected_heads"].as_array().unwrap().len(), 2);
    assert_eq!(pruned["audit"]["query"]["strategy"], "last_token");
    for stage in [
        "vision_ms",
        "prefix_ms",
        "scoring_ms",
        "branch_ms",
        "decode_ms",
    ] {
        assert!(pruned["timings"][stage].as_f64().unwrap() > 0.0, "{stage}");
    }
    assert!(pruned["kv_bytes"].as_u64().unwrap() < full["kv_bytes"].as_u64().unwrap());
    let text = run(&["--keep=30"]);
    assert!(
        text.contains("kept 30 of 576 image tokens after layer 2 (sum + last_token"),
        "{text}"
    );
}

#[test]
fn dummy_weights_need_no_checkpoint() {
    let text = succeed(&[
        "generate",
        "--weights=random:tiny",
        "--keep=4",
        "--max-new-tokens=2",
        "--json",
    ]);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["text"], Value::Null);
    assert_eq!(value["kept_tokens"].as_array().unwrap().len(), 4);
}

#[track_caller]
fn check_refused(flags: &[&str], parts: &[&str]) {
    let args = golden(flags);
    fail(&args.iter().map(String::as_str).collect::<Vec<_>>(), parts);
}

#[test]
fn what_cannot_be_done_is_refused() {
    check_refused(&["--normalize=l1"], &["without a budget", "--keep R"]);
    check_refused(
        &["--keep=577"],
        &["R = 577 of 576", "must be between 1 and 576"],
    );
    check_refused(
        &["--average-visual-tokens=36"],
        &["the average must be between"],
    );
    check_refused(&["--keep=5", "--prune-layer=32"], &["after layer 32 of 32"]);
    check_refused(&["--keep=5", "--num-selected-heads=9"], &["select 9 of 8"]);
    check_refused(&["--device=tpu"], &["`tpu`", "cpu, cuda or cuda:NUMBER"]);
    check_refused(
        &["--keep=5", "--head-selection-strategy=varience"],
        &["did you mean `variance`"],
    );
    fail(
        &[
            "generate",
            "--model=/nowhere",
            "--image=x.png",
            "--prompt=Hi",
        ],
        &["no folder `/nowhere`", "hf download", "embedded"],
    );
    fail(&["generate", "--weights=random:gpt"], &["gpt", "tiny"]);
    fail(
        &["generate", "--model=random:gpt"],
        &["--model", "gpt", "tiny"],
    );
    let model = format!("--model={GOLDEN}/model");
    fail(
        &["generate", &model, "--image=x.png", "--raw-prompt=none"],
        &["--raw-prompt has no <image>", "x.png"],
    );
}

#[test]
fn a_checkpoint_is_inspected() {
    let text = succeed(&["inspect", &format!("{GOLDEN}/model")]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["32 layers", "576 image tokens", "vocabulary 505"] {
        assert!(words.contains(part), "{part} is not in: {text}");
    }
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "tokenizer.json", "preprocessor_config.json"] {
        std::fs::copy(format!("{GOLDEN}/model/{name}"), dir.path().join(name)).unwrap();
    }
    let folder = dir.path().to_str().unwrap();
    fail(&["inspect", folder], &[folder]);
}

#[test]
fn the_shipped_model_needs_no_path() {
    let text = succeed(&["inspect", "embedded"]);
    assert!(text.contains("image tokens"), "{text}");
    let flags = ["generate", "--model", "embedded", "--max-new-tokens=8"];
    let text = succeed(&flags);
    for part in ["image     ", "question  ", "right     ", "answer    "] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    let value: Value = serde_json::from_str(&succeed(&[&flags[..], &["--json"]].concat())).unwrap();
    assert!(value["image"].as_str().unwrap().ends_with(".png"));
    assert_eq!(value["right_answer"], "4");
    let own = [&flags[..], &["--prompt=Is there a circle?", "--json"]].concat();
    let value: Value = serde_json::from_str(&succeed(&own)).unwrap();
    assert_eq!(value["question"], "Is there a circle?");
    assert_eq!(value["right_answer"], Value::Null);
    let image = format!("--image={GOLDEN}/image0.png");
    fail(&[&flags[..], &[&image]].concat(), &["a question is needed"]);
    let model = format!("--model={GOLDEN}/model");
    fail(
        &["generate", &model],
        &["an image or a prompt is needed: --image FILE, --prompt TEXT"],
    );
}

#[test]
fn kept_tokens_are_drawn_on_what_the_model_saw() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| format!("--overlay={}", dir.path().join(name).display());
    run(&["--keep=30", &file("a.svg")]);
    let svg = std::fs::read_to_string(dir.path().join("a.svg")).unwrap();
    let shapes = |name: &str| {
        let rest = svg.split(&format!("<g class=\"{name}\">")).nth(1).unwrap();
        rest.split("</g>").next().unwrap().trim().lines().count()
    };
    assert_eq!((shapes("importance"), shapes("kept")), (576, 30));
    assert_eq!((shapes("picture"), shapes("dropped")), (1, 546));
    assert!(svg.contains(">sum, h = 4</text>") && svg.contains(">kept 30 of 576</text>"));
    run(&["--keep=30", &file("a.png")]);
    let png = std::fs::read(dir.path().join("a.png")).unwrap();
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    assert!(svg.contains(&format!("width=\"{}\" height=\"{}\"", size(16), size(20))));
    // Dummy weights have no picture.
    let dummy = [
        "generate",
        "--weights=random:tiny",
        "--keep=4",
        "--max-new-tokens=1",
    ];
    succeed(&[&dummy[..], &[&file("b.svg")]].concat());
    let dummies = std::fs::read_to_string(dir.path().join("b.svg")).unwrap();
    assert!(dummies.contains("there is no picture") && !dummies.contains("<image"));
    check_refused(&[&file("c.svg")], &["--overlay", "without a budget"]);
    check_refused(&["--keep=30", &file("c.jpg")], &["c.jpg", ".svg or .png"]);
}

const EMBEDDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/finepruner-tiny");

fn output(args: &[&str]) -> common::Output {
    common::finepruner(&[&["generate", "--max-new-tokens=2"], args].concat())
}

#[test]
fn a_prompt_without_an_image_is_answered_unpruned() {
    let model = format!("--model={GOLDEN}/model");
    let said = output(&[
        &model,
        "--prompt=How many?",
        "--keep=30",
        "--aspect=pad",
        "--json",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stderr.contains("nothing to prune"), "{}", said.stderr);
    assert!(
        said.stderr.contains("--aspect has no effect"),
        "{}",
        said.stderr
    );
    let value: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(value["text_only"], true);
    assert!(
        value["notes"].to_string().contains("nothing to prune"),
        "{value}"
    );
    assert_eq!(value["image"], Value::Null);
    assert_eq!(value["layout"], Value::Null);
    assert_eq!(value["kept_tokens"], Value::Null);
    assert_eq!(value["token_ids"].as_array().unwrap().len(), 2);
    // The same prompt, written out in full.
    let whole = "--raw-prompt=A chat between a curious user and an artificial intelligence \
                 assistant. The assistant gives helpful, detailed, and polite answers to the \
                 user's questions. USER: How many? ASSISTANT:";
    let raw = output(&[&model, whole, "--json"]);
    let raw: Value = serde_json::from_str(&raw.stdout).unwrap();
    assert_eq!(raw["token_ids"], value["token_ids"]);
    let text = output(&[&model, "--prompt=How many?"]).stdout;
    assert!(text.contains("no image: a text-only prompt of"), "{text}");

    // A placeholder without an image, an image without a placeholder, an overlay without an image.
    let image = format!("--image={GOLDEN}/image0.png");
    for (flags, parts) in [
        (
            vec![model.as_str(), "--raw-prompt=a <image> b"],
            ["--raw-prompt has <image>", "--image"],
        ),
        (
            vec![model.as_str(), "--raw-prompt=a b", &image],
            ["--raw-prompt has no <image>", "image0.png"],
        ),
        (
            vec![
                model.as_str(),
                "--prompt=a",
                "--keep=3",
                "--overlay=no/x.svg",
            ],
            ["--overlay", "--image FILE"],
        ),
        (vec![model.as_str()], ["--prompt", "--image"]),
    ] {
        fail(&[&["generate"], flags.as_slice()].concat(), &parts);
    }
    // The shipped model has an image of its own, unless the whole prompt has no placeholder for
    // one.
    let shipped = output(&["--model=embedded", "--prompt=Is there a star?", "--json"]);
    let shipped: Value = serde_json::from_str(&shipped.stdout).unwrap();
    assert!(shipped["image"].is_string());
    let text = output(&[
        "--model=embedded",
        "--raw-prompt=USER: star? ASSISTANT:",
        "--json",
    ]);
    let text: Value = serde_json::from_str(&text.stdout).unwrap();
    assert_eq!(text["text_only"], true);
}

#[test]
fn where_the_image_stands_is_said() {
    let value = output(&["--model=embedded", "--json"]).stdout;
    let value: Value = serde_json::from_str(&value).unwrap();
    let sequence = &value["sequence"];
    let system = value["layout"]["num_system"].as_u64().unwrap();
    assert_eq!(sequence["num_image_tokens"], 144);
    assert_eq!(
        sequence["image_range"],
        serde_json::json!([system, system + 144])
    );
    assert!(sequence["tiles"].is_null());
    let text = output(&["--model=embedded"]).stdout;
    let said = format!(
        "144 image tokens at {system}..{} of a sequence of",
        system + 144
    );
    assert!(text.contains(&said), "{text}");

    // Any-resolution crops: 168 × 336 pixels are two tiles of 12 × 12 patches, and a newline token
    // after each of the 12 rows.
    let dir = tempfile::tempdir().unwrap();
    common::any_resolution(dir.path());
    let next = format!("--model={}", dir.path().display());
    for (width, height, grid, patches, total) in [
        (336, 168, [1, 2], [12, 24], 144 + 12 * 25),
        (168, 336, [2, 1], [24, 12], 144 + 24 * 13),
        (336, 336, [2, 2], [24, 24], 144 + 24 * 25),
        // Enlarged to 112 × 336: 8 of the 24 columns remain.
        (100, 300, [2, 1], [24, 8], 144 + 24 * 9),
    ] {
        let path = dir.path().join("picture.bmp");
        std::fs::write(&path, common::bitmap(width, height)).unwrap();
        let image = format!("--image={}", path.display());
        let value = output(&[&next, &image, "--prompt=star?", "--keep=72", "--json"]);
        assert_eq!(value.code, Some(0), "{}", value.stderr);
        let value: Value = serde_json::from_str(&value.stdout).unwrap();
        let sequence = &value["sequence"];
        assert_eq!(sequence["num_image_tokens"], total, "{width} x {height}");
        let tiles = &sequence["tiles"];
        assert_eq!(tiles["tile_grid"], serde_json::json!(grid));
        assert_eq!(tiles["patch_grid"], serde_json::json!(patches));
        assert_eq!(tiles["num_newline_tokens"], patches[0]);
        let text = output(&[&next, &image, "--prompt=star?"]).stdout;
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            format!("{total} image tokens at"),
            format!("{} newlines", patches[0]),
            "a budget R is for all of them together".to_owned(),
        ] {
            assert!(text.contains(&part), "{part}: {text}");
        }
    }
}

#[test]
fn settings_without_effect_are_said_before_the_answer() {
    let model = format!("--model={EMBEDDED}");
    for (flags, said) in [
        (
            &["--keep=144", "--head-selection-strategy=variance"][..],
            "kept = 144 keeps all 144",
        ),
        (&["--retention=1"], "retention = 1 keeps all 144"),
        (
            &[
                "--keep=9",
                "--num-selected-heads=all",
                "--head-selection-strategy=variance",
            ],
            "variance has no effect",
        ),
        (
            &["--keep=9", "--num-selected-heads=8"],
            "every head strategy is the same method",
        ),
        (&["--seed=4"], "--seed has no effect"),
    ] {
        let output = output(&[&["--model=embedded"], flags].concat());
        assert_eq!(output.code, Some(0), "{}", output.stderr);
        let told = output
            .stderr
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(told.contains(said), "{flags:?}: {told}");
    }
    // Settings with an effect are not mentioned.
    for flags in [
        &["--keep=143"][..],
        &["--keep=9", "--num-selected-heads=7"],
        &["--seed=4", "--temperature=0.5"],
        &["--keep=9", "--head-selection-strategy=variance"],
    ] {
        let output = output(&[&["--model=embedded"], flags].concat());
        assert_eq!(
            (output.code, output.stderr.as_str()),
            (Some(0), ""),
            "{flags:?}"
        );
    }
    let image = format!("--image={GOLDEN}/image0.png");
    for (flag, parts) in [
        ("--keep=640", ["R = 640", "144"]),
        ("--keep=145", ["R = 145", "144"]),
        ("--retention=1.2", ["R = 173", "144"]),
        ("--average-visual-tokens=640", ["640", "144"]),
    ] {
        fail(
            &["generate", &model, &image, "--prompt=star?", flag],
            &parts,
        );
    }
    // A negative number is a value, not a flag.
    let negative = output(&[&model, &image, "--prompt=star?", "--keep", "-1"]);
    assert!(
        negative.stderr.contains("invalid value '-1' for '--keep"),
        "{}",
        negative.stderr
    );
}
