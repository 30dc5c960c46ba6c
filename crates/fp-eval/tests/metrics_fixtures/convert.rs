//! Files for servers and official scripts, prompts, and the cost of a prefill.

use std::collections::HashMap;
use std::path::Path;

use fp_eval::metric::flops::PrefillCost;
use fp_eval::metric::gqa::GqaEntry;
use fp_eval::metric::vizwiz::VizWizEntry;
use fp_eval::metric::{mmvet, vqa};
use fp_model::prompt::PromptTemplate;
use fp_model::tokenizer::{LlavaTokenizer, SpecialTokenIds};
use fp_scoring::{DecoderShape, MlpConvention};
use serde_json::Value;

use crate::fixture::{Fixture, Outcome, check, number, text};

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

/// Names a LLaMA `tokenizer.json`, with which token ids can be checked too.
const TOKENIZER: &str = "FINEPRUNER_LLAMA_TOKENIZER";

#[test]
fn prompt_tokens() {
    let Some(mut fixture) = Fixture::open("prompt_tokens") else {
        return;
    };
    let tokenizer = std::env::var_os(TOKENIZER).map(|path| {
        LlavaTokenizer::from_file(Path::new(&path), SpecialTokenIds::default())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    });
    fixture.run(|case| {
        let expected = &case["expected"];
        let prompt = PromptTemplate::VicunaV1.render_text_only(text(&case["user_text"]));
        assert_eq!(prompt, text(&expected["prompt"]));
        let ids: Vec<i64> = expected["input_ids"]
            .as_array()
            .expect("ids")
            .iter()
            .filter_map(Value::as_i64)
            .collect();
        let image = ids
            .iter()
            .position(|id| *id == -200)
            .expect("an image slot");
        assert_eq!(expected["n_before_image"], image);
        assert_eq!(expected["n_after_image"], ids.len() - image - 1);
        let Some(tokenizer) = &tokenizer else {
            return Outcome::Partly("token ids: FINEPRUNER_LLAMA_TOKENIZER is not set");
        };
        let encoded = tokenizer.encode(&prompt).expect("a prompt with one image");
        let side = |ids: &[u32]| ids.iter().map(|&id| i64::from(id)).collect::<Vec<_>>();
        assert_eq!(side(encoded.system_ids()), ids[..image]);
        assert_eq!(side(encoded.text_ids()), ids[image + 1..]);
        Outcome::Ran
    });
}
