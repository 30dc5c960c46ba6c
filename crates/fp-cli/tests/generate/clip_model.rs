//! `finepruner generate --method cdpruner --clip DIR`.

#[path = "../../../fp-model/tests/clip/tiny.rs"]
mod tiny;

use std::path::Path;

use serde_json::{Value, json};

use super::{GOLDEN, golden};
use crate::common::{fail, finepruner, succeed};
use tiny::TinyClip;

fn tiny_clip() -> TinyClip {
    let config = std::fs::read(Path::new(GOLDEN).join("model/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    TinyClip::new(&config["vision_config"])
}

#[test]
fn cdpruner_in_a_model() {
    let dir = tempfile::tempdir().unwrap();
    tiny_clip().write(dir.path());
    let clip = format!("--clip={}", dir.path().display());
    let flags = [
        "--method=cdpruner",
        "--method-param=keep=9",
        &clip,
        "--json",
    ];
    let run = |args: &[String]| -> Value {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        serde_json::from_str(&succeed(&args)).unwrap()
    };
    let first = run(&golden(&flags));
    let stage = &first["stages"][0];
    assert_eq!(stage["layers_done"], 0);
    assert_eq!(stage["kept_tokens"].as_array().unwrap().len(), 9);
    assert_eq!(first["method"]["positions"], "renumber");
    let mut other = golden(&flags);
    for arg in &mut other {
        if arg.starts_with("--prompt=") {
            *arg = "--prompt=the owl".to_owned();
        }
    }
    assert_ne!(
        run(&other)["stages"][0]["kept_tokens"],
        stage["kept_tokens"]
    );
}

#[test]
fn a_clip_model_that_lacks_or_does_not_fit_is_said() {
    let refuse = |flags: &[&str], parts: &[&str]| {
        let args = golden(flags);
        fail(&args.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    };
    let method = ["--method=cdpruner", "--method-param=keep=9"];
    refuse(
        &method,
        &[
            "--method cdpruner",
            "--clip DIR",
            "openai/clip-vit-large-patch14-336",
        ],
    );
    let dir = tempfile::tempdir().unwrap();
    let clip = format!("--clip={}", dir.path().display());
    let with_clip = [&method[..], &[clip.as_str()]].concat();
    refuse(&with_clip, &["--clip", "config.json"]);
    let mut parts = tiny_clip();
    parts.config["vision_config"]["hidden_size"] = json!(96);
    parts.write(dir.path());
    refuse(&with_clip, &["`vision_config.hidden_size` is 96", "has 48"]);
    tiny_clip().write(dir.path());
    refuse(
        &[&method[..1], &["--method-param=keep=600", clip.as_str()]].concat(),
        &["`keep` is `600`"],
    );
    let mut raw = golden(&with_clip);
    raw.retain(|arg| !arg.starts_with("--prompt="));
    raw.push("--raw-prompt=<image> the owl".to_owned());
    let raw: Vec<&str> = raw.iter().map(String::as_str).collect();
    fail(&raw, &["only the whole prompt is known", "--prompt TEXT"]);
    // A CLIP model that no stage uses is accepted, with a note.
    let args = golden(&[
        "--method=divprune",
        "--method-param=ratio=0.1",
        &clip,
        "--json",
    ]);
    let output = finepruner(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(output.code, Some(0));
    assert!(
        output.stderr.contains("--clip has no effect"),
        "{}",
        output.stderr
    );
}
