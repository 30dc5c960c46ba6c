//! GQA: the official evaluation as shipped, and with its disabled parts.

use std::collections::{BTreeMap, HashMap};

use fp_data::metric::gqa::{GqaAttention, GqaChoices, GqaExtras, GqaQuestion, GqaReport, GqaScene};
use fp_data::metric::{Breakdown, GroupScore};
use serde_json::Value;

use super::fixture::{Fixture, Outcome, check, numbers, text};

fn parsed<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("the official schema")
}

#[test]
fn gqa_eval() {
    let Some(mut fixture) = Fixture::open("gqa_eval") else {
        return;
    };
    fixture.run(|case| {
        let questions: BTreeMap<String, GqaQuestion> = parsed(&case["questions"]);
        let choices: BTreeMap<String, GqaChoices> = parsed(&case["choices"]);
        let scenes: BTreeMap<String, GqaScene> = parsed(&case["scene_graphs"]);
        let predictions: HashMap<String, String> = list(&case["predictions"])
            .map(|entry| (id(entry), text(&entry["prediction"]).to_owned()))
            .collect();
        let attention: BTreeMap<String, Vec<Vec<f64>>> = list(&case["attentions"])
            .map(|entry| (id(entry), list(&entry["attention"]).map(numbers).collect()))
            .collect();

        let shipped = GqaReport::new(&questions, &predictions, &GqaExtras::default());
        let expected = &case["expected"]["as_shipped_in_llava"];
        figures(&shipped.expect("complete predictions"), expected);

        let extras = GqaExtras {
            has_consistency: true,
            choices: Some(&choices),
            attention: Some(GqaAttention {
                scenes: &scenes,
                maps: &attention,
            }),
        };
        let whole = GqaReport::new(&questions, &predictions, &extras).expect("complete files");
        let expected = &case["expected"]["with_official_blocks_reenabled"];
        figures(&whole, expected);
        for (what, got) in [
            ("consistency", whole.consistency),
            ("validity", whole.validity),
            ("plausibility", whole.plausibility),
            ("grounding", whole.grounding),
        ] {
            let got = got.and_then(|score| score.percent()).expect("a figure");
            check(what, got, &expected[what]);
        }
        Outcome::Ran
    });
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn id(entry: &Value) -> String {
    text(&entry["questionId"]).to_owned()
}

fn figures(report: &GqaReport, expected: &Value) {
    for (what, got) in [
        ("accuracy", report.accuracy),
        ("binary", report.binary),
        ("open", report.open),
    ] {
        check(what, got.percent().expect("questions"), &expected[what]);
    }
    check(
        "distribution",
        report.distribution.expect("groups"),
        &expected["distribution"],
    );
    breakdown(
        named(&report.by_structural_type),
        &expected["accuracyPerStructuralType"],
    );
    breakdown(
        named(&report.by_semantic_type),
        &expected["accuracyPerSemanticType"],
    );
    breakdown(numbered(&report.by_steps), &expected["accuracyPerSteps"]);
    breakdown(numbered(&report.by_words), &expected["accuracyPerLength"]);
}

fn named(breakdown: &Breakdown) -> Vec<(String, GroupScore)> {
    breakdown
        .groups
        .iter()
        .map(|(name, score)| (name.clone(), *score))
        .collect()
}

fn numbered(groups: &BTreeMap<usize, GroupScore>) -> Vec<(String, GroupScore)> {
    groups
        .iter()
        .map(|(number, score)| (number.to_string(), *score))
        .collect()
}

/// Percentage and number of questions per group.
fn breakdown(got: Vec<(String, GroupScore)>, expected: &Value) {
    assert_eq!(got.len(), expected.as_object().expect("groups").len());
    for (group, score) in got {
        check(
            &group,
            score.percent().expect("questions"),
            &expected[&group][0],
        );
        assert_eq!(expected[&group][1], score.count, "{group}");
    }
}
