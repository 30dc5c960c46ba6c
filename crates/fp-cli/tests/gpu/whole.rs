//! Whole commands on a GPU, compared with the CPU.

use std::path::Path;

use crate::{GOLDEN, libraries, sound, started};

/// The JSON that a command prints on such a machine.
fn json(from: &Path, device: &'static str, arguments: &[&str]) -> serde_json::Value {
    let output = started(from, &sound(device), &[arguments, &["--json"]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn generating_gives_the_same_on_both_devices() {
    let Some(from) = libraries() else {
        eprintln!("no emulated libraries, nothing was checked");
        return;
    };
    let model = format!("--model={GOLDEN}/model");
    let image = format!("--image={GOLDEN}/image0.png");
    let [cpu, cuda] = ["cpu", "cuda"].map(|device| {
        let fixed = [
            "generate",
            "--prompt=How many?",
            "--max-new-tokens=4",
            "--dtype=f32",
        ];
        let pruned = ["--average-visual-tokens=64", "--num-selected-heads=2"];
        json(
            &from,
            device,
            &[&fixed[..], &[&model, &image], &pruned].concat(),
        )
    });
    for key in ["token_ids", "kept_tokens", "selected_heads", "text"] {
        assert!(!cpu[key].is_null(), "{key}");
        assert_eq!(cpu[key], cuda[key], "{key}");
    }
}

#[test]
fn a_study_chooses_and_answers_the_same_on_both_devices() {
    studied("embedded");
}

#[test]
fn a_study_of_images_of_any_size_does_too() {
    studied(&format!("{GOLDEN}/families/qwen2_5_vl/b2"));
}

/// A study of a model makes the same selections and answers on both devices.
fn studied(model: &str) {
    let Some(from) = libraries() else {
        eprintln!("no emulated libraries, nothing was checked");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.json");
    let text = serde_json::json!({
        "study": "a",
        "head_selection_strategies": ["variance", "entropy"],
        "query_selection_strategies": ["last_token"],
        "normalization": "l1",
        "prune_layer": 2,
        "budgets": [{"retention": 0.1736}],
        "num_selected_heads": ["1/2"],
        "controls": {"vanilla": true, "random_seeds": [1], "drop_all": true},
        "model": model,
        "datasets": ["embedded:select"],
        "max_new_tokens": 2,
        "dtype": "f32",
    });
    std::fs::write(&config, text.to_string()).unwrap();
    let config = config.display().to_string();
    let [cpu, cuda] = ["cpu", "cuda"].map(|device| {
        let run = dir.path().join(device);
        let output = run.display().to_string();
        let study = ["study", "--config", &config, "--limit", "1", "--no-report"];
        let done = started(
            &from,
            &sound(device),
            &[&study[..], &["--output", &output]].concat(),
        );
        let text = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(0), "{text}");
        let records = fp_eval::study::read_records(&run).unwrap();
        serde_json::to_value(&records[0]).unwrap()
    });
    let of = |sample: &serde_json::Value, list: &str, key: &str| -> Vec<serde_json::Value> {
        let items = sample[list].as_array().unwrap();
        items.iter().map(|item| item[key].clone()).collect()
    };
    for (list, key) in [
        ("cells", "heads"),
        ("cells", "run"),
        ("runs", "seen"),
        ("runs", "token_ids"),
    ] {
        assert!(!of(&cpu, list, key).is_empty());
        assert_eq!(of(&cpu, list, key), of(&cuda, list, key), "{key} of {list}");
    }
}

#[test]
fn efficiency_is_measured_on_a_gpu() {
    let Some(from) = libraries() else {
        eprintln!("no emulated libraries, nothing was checked");
        return;
    };
    let measured = json(
        &from,
        "cuda",
        &[
            "efficiency",
            "--model=random:tiny",
            "--keep=8",
            "--dtype=f32",
            "--repeats=1",
            "--warmup=0",
            "--new-tokens=2",
            "--max-batch=2",
            "--no-peak-memory",
        ],
    );
    assert_eq!(measured["plan"]["device"], "cuda");
    assert_eq!(measured["is_repeatable"], true);
    assert_eq!(measured["schedules"].as_array().unwrap().len(), 2);
}

#[test]
fn every_family_answers_the_same_on_both_devices() {
    let Some(from) = libraries() else {
        eprintln!("no emulated libraries, nothing was checked");
        return;
    };
    for family in ["llava_onevision", "qwen2_vl", "qwen2_5_vl"] {
        let model = format!("--model={GOLDEN}/families/{family}/b2");
        let image = format!("--image={GOLDEN}/families/wide.png");
        for pruned in [vec![], vec!["--keep=5", "--num-selected-heads=all"]] {
            let [cpu, cuda] = ["cpu", "cuda"].map(|device| {
                let fixed = [
                    "generate",
                    "--prompt=What color is it?",
                    "--max-new-tokens=4",
                    "--dtype=f32",
                ];
                let all = [&fixed[..], &[&model, &image], &pruned].concat();
                json(&from, device, &all)
            });
            for key in ["token_ids", "layout", "text"] {
                assert!(!cpu[key].is_null(), "{family}, {key}");
                assert_eq!(cpu[key], cuda[key], "{family}, {key}");
            }
            let kept = |answer: &serde_json::Value| answer["stages"][0]["kept"].clone();
            assert_eq!(kept(&cpu), kept(&cuda), "{family}");
        }
    }
}
