//! Commands on models of every family: tiny checkpoints made with transformers.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::{fail, succeed};

/// Ids of tokens that end an answer.
const ENDS: [&str; 2] = ["256", "258"];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fp-model/tests/golden/families")
}

fn args(family: &str, picture: &str, flags: &[&str]) -> Vec<String> {
    let golden = golden();
    let [model, image] = [format!("{family}/b2"), format!("{picture}.png")];
    [
        "generate".to_owned(),
        format!("--model={}", golden.join(model).display()),
        format!("--image={}", golden.join(image).display()),
        "--prompt=What color is it?".to_owned(),
        "--max-new-tokens=5".to_owned(),
    ]
    .into_iter()
    .chain(flags.iter().map(|flag| (*flag).to_owned()))
    .collect()
}

#[track_caller]
fn answer(family: &str, picture: &str, flags: &[&str]) -> Value {
    let args = args(family, picture, &[flags, &["--json"]].concat());
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    serde_json::from_str(&succeed(&args)).unwrap()
}

#[track_caller]
fn refused(family: &str, flags: &[&str], parts: &[&str]) {
    let args = args(family, "wide", flags);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    fail(&args, parts);
}

/// The answer of transformers to the first question on a picture.
fn expected(family: &str, picture: &str) -> Value {
    let cases = std::fs::read(golden().join(family).join("b2/cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    let case = cases.iter().find(|case| case["picture"] == picture);
    case.unwrap().clone()
}

#[test]
fn answers_are_those_of_transformers() {
    for family in ["llava_onevision", "qwen2_vl", "qwen2_5_vl"] {
        for picture in ["square", "wide", "tall", "tiny", "large"] {
            let (found, case) = (answer(family, picture, &[]), expected(family, picture));
            let name = format!("{family} {picture}: {found}");
            assert_eq!(
                found["layout"]["num_image"], case["num_image_tokens"],
                "{name}"
            );
            if case["margin"].as_f64().unwrap() > 1e-3 {
                // The golden answers continue past the end token.
                let tokens = case["tokens"].as_array().unwrap().iter();
                let tokens: Vec<&Value> = tokens
                    .take_while(|id| !ENDS.contains(&id.to_string().as_str()))
                    .collect();
                assert_eq!(found["token_ids"], json!(tokens), "{name}");
            }
        }
    }
}

#[test]
fn pruned_answers_and_their_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let drawn = folder.path().join("kept.svg");
    let overlay = format!("--overlay={}", drawn.display());
    for family in ["llava_onevision", "qwen2_vl", "qwen2_5_vl"] {
        let flags = ["--keep=5", "--num-selected-heads=all", &overlay];
        let found = answer(family, "wide", &flags);
        let kept = &expected(family, "wide")["pruned"][0]["kept"];
        assert!(kept.as_array().is_some());
        assert_eq!(
            found["stages"][0]["kept"].as_array().map(Vec::len),
            Some(5),
            "{found}"
        );
        assert!(std::fs::read_to_string(&drawn).unwrap().contains("<svg"));
    }
}

#[test]
fn what_a_family_does_not_have_is_refused_by_name() {
    for family in ["qwen2_vl", "qwen2_5_vl"] {
        refused(
            family,
            &["--keep=5", "--positions=renumber"],
            &["renumber", "keep"],
        );
        refused(family, &["--aspect=pad"], &["--aspect pad", "any size"]);
        refused(family, &["--anyres=unpad"], &["--anyres"]);
        let method = ["--method=fastervlm", "--method-param=keep=5"];
        refused(
            family,
            &method,
            &["vision tower", "several form one image token"],
        );
    }
    refused(
        "llava_onevision",
        &["--anyres=fixed-2880"],
        &["--anyres", "unpad", "llava_onevision"],
    );
}

/// Methods whose authors renumber tokens keep positions on rows and columns.
#[test]
fn published_methods_keep_rows_and_columns() {
    for family in ["qwen2_vl", "qwen2_5_vl"] {
        let method = ["--method=divprune", "--method-param=ratio=0.25"];
        let found = answer(family, "wide", &method);
        assert_eq!(found["method"]["positions"], "keep", "{found}");
        let [columns, rows] = [0, 1].map(|axis| found["grid"][axis].as_u64().unwrap());
        assert!(columns > rows, "{found}");
        let num_system = found["layout"]["num_system"].as_u64().unwrap();
        let stage = &found["stages"][0];
        let kept = stage["kept_tokens"].as_array().unwrap();
        let positions = stage["visual_positions"].as_array().unwrap();
        assert_eq!(kept.len(), positions.len());
        for (token, at) in kept.iter().zip(positions) {
            let token = token.as_u64().unwrap();
            let expected = [0, token / columns, token % columns].map(|at| num_system + at);
            assert_eq!(*at, json!(expected), "{found}");
        }
    }
}

/// One square of a tower without a class token: the methods that don't need one.
#[test]
fn methods_on_one_square_of_llava_onevision() {
    for (method, other) in [("vispruner", "keep=9"), ("hiprune", "object_layer=1")] {
        let flags = [
            "--aspect=pad",
            &format!("--method={method}"),
            "--method-param=keep=9",
            &format!("--method-param={other}"),
        ];
        let flags = if method == "vispruner" {
            &flags[..3]
        } else {
            &flags[..]
        };
        let found = answer("llava_onevision", "wide", flags);
        assert_eq!(found["layout"]["num_image"], 36, "{found}");
        assert_eq!(found["stages"][0]["kept"].as_array().map(Vec::len), Some(9));
    }
    for method in ["fastervlm", "scope", "holov"] {
        refused(
            "llava_onevision",
            &[
                "--aspect=pad",
                &format!("--method={method}"),
                "--method-param=keep=9",
            ],
            &[method, "class token of the vision tower", "Expected"],
        );
    }
}

/// Costs with a model's own layers and image tokens.
#[test]
fn budgets_of_models() {
    let budget = |flags: &[&str]| -> Value {
        let args = [&["budget", "--json"], flags].concat();
        serde_json::from_str(&succeed(&args)).unwrap()
    };
    let folder = golden().join("qwen2_5_vl/b2");
    let model = format!("--model={}", folder.display());
    let found = budget(&[&model, "--num-image-tokens=40", "--keep=10"]);
    let shape = ["num_layers", "num_heads", "num_kv_heads"].map(|key| found["shape"][key].clone());
    assert_eq!(json!(shape), json!([3, 6, 2]));
    assert_eq!(found["layout"]["num_image"], 40);
    fail(
        &["budget", &model],
        &["depends on its size", "--num-image-tokens"],
    );
    let found = budget(&["--model=random:qwen2.5-vl-7b", "--num-image-tokens=1000"]);
    assert_eq!(found["shape"]["num_layers"], 28);
    let found = budget(&["--model=random:llava-1.5-7b"]);
    assert_eq!(found["layout"]["num_image"], 576);
}

#[test]
fn shapes_for_timing() {
    for shape in ["llava-onevision-0.5b", "qwen2.5-vl-3b", "qwen2.5-vl-7b"] {
        let preset: fp_model::Preset = shape.parse().unwrap();
        let config = preset.config();
        assert_eq!(config.path, Path::new(&format!("random:{shape}")));
        let heads = json!([config.text.num_heads, config.text.num_kv_heads]);
        let (tokens, expected) = match shape {
            "llava-onevision-0.5b" => (729, json!([14, 2])),
            "qwen2.5-vl-3b" => (576, json!([16, 2])),
            _ => (576, json!([28, 4])),
        };
        assert_eq!((config.tokens_per_square(), heads), (tokens, expected));
    }
}
