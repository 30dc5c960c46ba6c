//! Submission files for servers and official scripts, and the cost of a prefill.

use std::collections::HashMap;

use fp_data::metric::flops::PrefillCost;
use fp_data::metric::gqa::GqaEntry;
use fp_data::metric::vizwiz::VizWizEntry;
use fp_data::metric::{mmvet, vqa};
use fp_scoring::{DecoderShape, MlpConvention};
use serde_json::Value;

use super::fixture::{Fixture, Outcome, check, number, text};

#[test]
fn vqav2_convert() {
    let Some(mut fixture) = Fixture::open("vqav2_convert") else {
        return;
    };
    fixture.run(|case| {
        let id = case["expected"]["question_id"].as_u64().expect("an id");
        let answer = case["text"].as_str();
        let answers: HashMap<u64, String> = answer
            .map(|answer| (id, answer.to_owned()))
            .into_iter()
            .collect();
        let (entries, num_missing) = vqa::upload(&[id], &answers);
        assert_eq!(
            serde_json::to_value(&entries[0]).expect("an entry"),
            case["expected"]
        );
        assert_eq!(num_missing, usize::from(answer.is_none()));
        Outcome::Ran
    });
}

#[test]
fn gqa_convert() {
    let Some(mut fixture) = Fixture::open("gqa_convert") else {
        return;
    };
    fixture.run(|case| {
        let expected = &case["expected"];
        let entry = GqaEntry::new(text(&expected["questionId"]), text(&case["text"]));
        assert_eq!(&serde_json::to_value(entry).expect("an entry"), expected);
        Outcome::Ran
    });
}

#[test]
fn vizwiz_upload() {
    let Some(mut fixture) = Fixture::open("vizwiz_upload") else {
        return;
    };
    fixture.run(|case| {
        let entry = VizWizEntry::new(text(&case["image"]), text(&case["text"]));
        assert_eq!(
            serde_json::to_value(entry).expect("an entry"),
            case["expected"]
        );
        Outcome::Ran
    });
}

#[test]
fn mmvet_export() {
    let Some(mut fixture) = Fixture::open("mmvet_export") else {
        return;
    };
    fixture.run(|case| {
        let id = case["question_id"].as_u64().expect("an id");
        let file = mmvet::export([(id, text(&case["text"]))]);
        let parsed: Value = serde_json::from_str(&file).expect("JSON");
        assert_eq!(parsed, case["expected"]);
        Outcome::Ran
    });
}

#[test]
fn flops() {
    let Some(mut fixture) = Fixture::open("flops") else {
        return;
    };
    fixture.run(|case| {
        let size = |name: &str| case[name].as_u64().expect("a size") as usize;
        let width = size("d");
        let shape = DecoderShape {
            num_layers: size("layers"),
            hidden_size: width,
            intermediate_size: size("m"),
            num_heads: 1,
            num_kv_heads: 1,
            head_dim: width,
        };
        let expected = &case["expected"];
        let (layers, n) = (shape.num_layers as f64, number(&case["n"]));
        if text(&case["kind"]) == "flops" {
            for (what, mlp) in [
                ("fastv_2mat", MlpConvention::TwoMatrices),
                ("swiglu_3mat", MlpConvention::ThreeMatrices),
            ] {
                check(what, layers * shape.layer_macs(n, mlp), &expected[what]);
            }
        } else {
            let mlp = MlpConvention::TwoMatrices;
            let retention = number(&case["keep_ratio"]);
            let (visual, k) = (size("n_visual"), size("K"));
            let cost = PrefillCost::new(&shape, size("n"), visual, retention, k, mlp);
            let cost = cost.expect("a possible budget");
            check("full", cost.full, &expected["full_flops"]);
            check("pruned", cost.pruned / 1e12, &expected["pruned_tflops"]);
            check(
                "percent",
                100.0 * cost.ratio(),
                &expected["percent_of_full"],
            );
        }
        Outcome::Ran
    });
}
