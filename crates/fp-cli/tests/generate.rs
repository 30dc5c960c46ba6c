//! `finepruner generate` on the small golden checkpoint, and on dummy weights.

mod common;

use serde_json::Value;

use common::{fail, succeed};

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
        &["/nowhere"],
    );
    fail(&["generate", "--weights=random:gpt"], &["gpt", "tiny"]);
    let model = format!("--model={GOLDEN}/model");
    fail(
        &["generate", &model, "--image=x.png", "--raw-prompt=none"],
        &["holds 0 `<image>`"],
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
    fail(&["generate", &model], &["an image is needed: --image FILE"]);
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
