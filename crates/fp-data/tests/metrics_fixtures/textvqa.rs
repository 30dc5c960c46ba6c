//! TextVQA: recovered questions, real runs.

use fp_data::metric::textvqa::{NUM_GOLDS, question_key};
use fp_data::metric::{AnswerRule, GroupScore};

use super::fixture::{Fixture, Outcome, check, text, texts};

#[test]
fn textvqa_prompt_key() {
    let Some(mut fixture) = Fixture::open("textvqa_prompt_key") else {
        return;
    };
    fixture.run(|case| {
        let got = question_key(text(&case["input"]));
        match case["expected"].as_str() {
            Some(expected) => assert_eq!(got.expect("a known shape"), expected),
            None => assert!(got.is_err(), "{got:?}"),
        }
        Outcome::Ran
    });
}

#[test]
fn textvqa_eval() {
    let Some(mut fixture) = Fixture::open("textvqa_eval") else {
        return;
    };
    fixture.run(|case| {
        let (items, expected) = (case["items"].as_array().expect("items"), &case["expected"]);
        let mut overall = GroupScore::default();
        for (item, expected) in items
            .iter()
            .zip(expected["per_item"].as_array().expect("scores"))
        {
            let golds = texts(&item["answers"]);
            assert_eq!(golds.len(), NUM_GOLDS);
            let score = AnswerRule::VqaM4c.score(text(&item["pred"]), &golds);
            check(text(&item["question_id"]), score, expected);
            overall.add(score);
        }
        check(
            "accuracy",
            overall.mean().expect("items"),
            &expected["accuracy"],
        );
        let percent = overall.percent().expect("items");
        assert_eq!(format!("{percent:.2}%"), text(&expected["printed"]));
        Outcome::Ran
    });
}
