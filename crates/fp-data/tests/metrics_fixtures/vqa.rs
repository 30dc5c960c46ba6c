//! VQA: contractions, four normalisers, accuracy under every route.

use fp_data::metric::vqa::{VqaNormalizer, VqaReport, VqaRule};
use serde_json::Value;

use crate::fixture::{Fixture, Outcome, check, text, texts};

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
            let mut report = VqaReport::default();
            let score = rule.score(answer, &answers);
            report.add(
                score,
                text(&case["answer_type"]),
                text(&case["question_type"]),
            );
            check(
                column,
                report.printed().expect("one question"),
                &expected[column],
            );
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

/// The totals are over more cases than may be given; they hold only if all are.
fn totals_where_every_case_is_given(root: &Value) {
    let mut report = VqaReport::default();
    for case in root["cases"].as_array().expect("cases") {
        let score = VqaRule::Official.score(text(&case["pred"]), &texts(&case["answers"]));
        report.add(
            score,
            text(&case["answer_type"]),
            text(&case["question_type"]),
        );
    }
    if root["part"] != "all" {
        println!("vqa_accuracy: totals are over cases that are not given, not checked");
        return;
    }
    let expected = &root["all_cases_together"]["expected"];
    check(
        "overall",
        report.printed().expect("questions"),
        &expected["overall"],
    );
}
