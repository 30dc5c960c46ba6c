//! `finepruner methods` and `finepruner select`.

use fp_scoring::published_methods;
use serde_json::Value;

use crate::common::{fail, finepruner, succeed, write_dump};

#[test]
fn every_published_method_is_listed() {
    let text = succeed(&["methods"]);
    let json: Value = serde_json::from_str(&succeed(&["methods", "--json"])).unwrap();
    let listed = json["methods"].as_array().unwrap();
    assert_eq!(listed.len(), published_methods().len());
    for (entry, method) in listed.iter().zip(published_methods()) {
        let card = method.card();
        assert_eq!(entry["name"], card.name);
        assert_eq!(entry["params"].as_array().unwrap().len(), card.params.len());
        assert_eq!(entry["licence"], card.licence());
        for part in [card.name, card.site, card.source.split(' ').next().unwrap()] {
            assert!(text.contains(part), "{part}");
        }
        // The presets' settings can be set.
        for preset in card.presets {
            for setting in preset.params.split(' ') {
                let name = setting.split('=').next().unwrap();
                assert!(
                    card.params.iter().any(|param| param.name == name),
                    "{setting}"
                );
            }
        }
        let one = succeed(&["methods", card.name]);
        assert!(one.contains(card.paper) && one.lines().count() < text.lines().count());
    }
    fail(
        &["methods", "visprunner"],
        &["unknown method `visprunner`", "`vispruner`"],
    );
}

#[test]
fn published_methods_choose_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let attention = [0.6, 0.1, 0.2, 0.1, 0.1, 0.3, 0.4, 0.1];
    let hidden: Vec<f32> = (0..10).map(|value| value as f32).collect();
    let keys = [0.0, 0.0, 1.0, 0.0, 1.0, 0.1, 0.0, 1.0, 0.1, 1.0];
    let tensors: [(&str, &[usize], &[f32]); 3] = [
        ("cls_attention", &[2, 4], &attention),
        ("hidden", &[5, 2], &hidden),
        ("keys", &[5, 2], &keys),
    ];
    let path = write_dump(dir.path(), &tensors);
    let input = path.to_str().unwrap();
    let select = ["select", "--input", input, "--method"];
    let with = |rest: &[&'static str]| [&select[..], rest].concat();
    let json = |rest: &[&'static str]| -> Value {
        let args = [with(rest), vec!["--json"]].concat();
        serde_json::from_str(&succeed(&args)).unwrap()
    };
    let chosen = json(&["fastervlm", "--method-param", "keep=3"]);
    assert_eq!(chosen["kept_tokens"], serde_json::json!([0, 1, 2]));
    assert_eq!(chosen["params"], serde_json::json!({"keep": 3}));
    let text = succeed(&with(&["fastervlm", "--method-param", "keep=3"]));
    assert!(text.contains("0, 1, 2"), "{text}");

    // Rows: the class token, patch 0, and patch 1, the only target, merged with the mean of 2 and
    // 3.
    let rows = dir.path().join("rows.safetensors");
    let output = rows.to_str().unwrap().to_owned();
    let args = [
        with(&["visionzip", "--method-param", "dominant=2"]),
        vec![
            "--method-param",
            "contextual=1",
            "--json",
            "--output",
            &output,
        ],
    ]
    .concat();
    let chosen: Value = serde_json::from_str(&succeed(&args)).unwrap();
    assert_eq!(chosen["kept_tokens"], serde_json::json!([0]));
    assert_eq!(chosen["targets"], serde_json::json!([1]));
    assert_eq!(chosen["merged_from"], serde_json::json!([[2, 3]]));
    let bytes = std::fs::read(&rows).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor("tokens").unwrap();
    assert_eq!(view.shape(), [3, 2]);
    let (values, _) = view.data().as_chunks::<4>();
    let values: Vec<f32> = values
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    assert_eq!(values, [0.0, 1.0, 2.0, 3.0, 4.0 + 7.0, 5.0 + 8.0]);

    // Scores from before the softmax, and features that lack a row.
    let (raw, short) = ([0.6, 0.1, 0.2, -0.1], &hidden[..6]);
    let tensors: [(&str, &[usize], &[f32]); 2] = [
        ("cls_attention", &[1, 4], &raw),
        ("hidden", &[5, 2], &hidden),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = write_dump(folder.path(), &tensors);
    let refused = |path: &std::path::Path, parts: &[&str]| {
        let path = path.to_str().unwrap();
        let args = [
            "select",
            "--input",
            path,
            "--method=vispruner",
            "--method-param=keep=2",
        ];
        fail(&args, parts);
    };
    refused(
        &path,
        &[
            "value -0.1",
            "[0, 3]",
            "after a softmax it is finite and not negative",
        ],
    );
    let tensors: [(&str, &[usize], &[f32]); 2] = [
        ("cls_attention", &[2, 4], &attention),
        ("hidden", &[3, 2], short),
    ];
    let path = write_dump(folder.path(), &tensors);
    let tip = "a method's number of tokens is its parameter: --method-param keep=64";
    fail(&with(&["vispruner", "--keep=2"]), &["--keep", tip]);
    let generate = [
        "generate",
        "--model=embedded",
        "--method=vispruner",
        "--keep=2",
    ];
    fail(&generate, &["cannot be used with", tip]);
    refused(&path, &["`hidden` has the shape [3, 2]; expected 5 along"]);

    for (rest, parts) in [
        (&["fastervlm"][..], &["`fastervlm` needs `keep`"][..]),
        (
            &["fastervlm", "--method-param", "keep=9"],
            &["`keep` is `9`", "1 to 4"],
        ),
        (
            &["fastervlm", "--method-param", "kept=3"],
            &["no parameter `kept`; expected one of: keep"],
        ),
        (&["fastervlm", "--method-param", "keep"], &["NAME=VALUE"]),
        (
            &["vscan", "--method-param", "layer=3"],
            &["`layer` is a setting of a whole model"],
        ),
        (
            &["holov", "--method-param", "keep=3"],
            &["no tensor `projected`", "`hidden`"],
        ),
        (
            &["fastervml"],
            &["unknown method `fastervml`", "`fastervlm`"],
        ),
    ] {
        let output = finepruner(&with(rest));
        assert_eq!(output.code, Some(2), "{rest:?}");
        for part in parts {
            assert!(output.stderr.contains(part), "{part}: {}", output.stderr);
        }
    }
}
