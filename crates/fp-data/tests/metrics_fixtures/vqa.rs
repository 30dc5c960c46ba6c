//! VQA: contractions, four normalisers, accuracy under every rule.

use fp_data::metric::GroupScore;
use fp_data::metric::vqa::{VqaNormalizer, VqaRule};
use serde_json::Value;

use super::fixture::{Fixture, Outcome, check, text, texts};

#[test]
fn vqa_contractions() {
    let Some(mut fixture) = Fixture::open("vqa_contractions") else {
        return;
    };
    fixture.run(|case| {
        let normalized = VqaNormalizer::Official.normalize(text(&case["input"]));
        assert_eq!(normalized, text(&case["official"]));
        Outcome::Ran
    });
}

#[test]
fn vqa_normalize() {
    let Some(mut fixture) = Fixture::open("vqa_normalize") else {
        return;
    };
    fixture.run(|case| {
        let input = text(&case["input"]);
        for (column, normalizer) in [
            ("official", VqaNormalizer::Official),
            ("m4c", VqaNormalizer::M4c),
            ("lmms_vqav2", VqaNormalizer::LmmsEval),
            ("vlmevalkit", VqaNormalizer::VlmEvalKit),
        ] {
            assert_eq!(
                normalizer.normalize(input),
                text(&case[column]),
                "{column}: {input:?}"
            );
        }
        let official = VqaNormalizer::Official;
        let punctuation = official.punctuation(&official.prepare(input));
        assert_eq!(punctuation, text(&case["official_punct"]), "{input:?}");
        Outcome::Ran
    });
}

#[test]
fn vqa_accuracy() {
    let Some(mut fixture) = Fixture::open("vqa_accuracy") else {
        return;
    };
    fixture.run(|case| {
        let (answers, answer) = (texts(&case["answers"]), text(&case["pred"]));
        let expected = &case["expected"];
        for (column, rule) in [
            ("official_pct", VqaRule::Official),
            ("official_after_m4c_pct", VqaRule::OfficialAfterM4c),
        ] {
            let percent = round_percent(100.0 * rule.score(answer, &answers));
            check(column, percent, &expected[column]);
        }
        for (column, rule) in [
            ("m4c", VqaRule::M4c),
            ("lmms_vqav2", VqaRule::LmmsEval),
            ("lmms_textvqa", VqaRule::M4c),
            ("vlmevalkit", VqaRule::VlmEvalKit),
        ] {
            check(column, rule.score(answer, &answers), &expected[column]);
        }
        Outcome::Ran
    });
    totals_where_every_case_is_given(&fixture.root);
}

/// The totals cover more cases than may be distributed; they are checked only if all are given.
fn totals_where_every_case_is_given(root: &Value) {
    let mut overall = GroupScore::default();
    for case in root["cases"].as_array().expect("cases") {
        overall.add(VqaRule::Official.score(text(&case["pred"]), &texts(&case["answers"])));
    }
    if root["part"] != "all" {
        println!("vqa_accuracy: totals are over cases that are not given, not checked");
        return;
    }
    let expected = &root["all_cases_together"]["expected"];
    let percent = round_percent(overall.percent().expect("questions"));
    check("overall", percent, &expected["overall"]);
}

/// A percentage to two decimals as Python 2 rounds it: halves away from zero.
fn round_percent(percent: f64) -> f64 {
    // Two decimals tie only where the number of eighths is odd.
    let eighths = percent * 8.0;
    if eighths.fract() == 0.0 && eighths % 2.0 != 0.0 {
        return (percent.abs() * 100.0 + 0.5).floor().copysign(percent) / 100.0;
    }
    // Formatting rounds the exact decimal value; multiplying by 100 first would not.
    format!("{percent:.2}").parse().unwrap_or(percent)
}

#[test]
fn rounding_is_of_the_exact_value() {
    assert_eq!(round_percent(12.125), 12.13);
    assert_eq!(round_percent(-12.125), -12.13);
    assert_eq!(round_percent(12.25), 12.25);
    // Just below the half in binary.
    assert_eq!(round_percent(1.005), 1.0);
    assert_eq!(round_percent(100.0 / 3.0), 33.33);
    assert_eq!(round_percent(0.0), 0.0);
}
