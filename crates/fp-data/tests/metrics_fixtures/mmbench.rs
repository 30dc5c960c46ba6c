//! MMBench: extraction under three sets of rules, real runs, prompts.

use fp_data::metric::mmbench::{
    INSTRUCTION_EN, MmbenchReport, MmbenchRow, lmms_eval, lmms_eval_static, options, question_text,
    vlmevalkit, vlmevalkit_by_letter, vlmevalkit_by_text,
};
use serde_json::Value;

use super::fixture::{Fixture, Outcome, check, text};

fn options_of(value: &Value) -> Vec<(char, &str)> {
    let options = value.as_object().expect("options");
    options
        .iter()
        .map(|(letter, option)| (first(letter), text(option)))
        .collect()
}

fn first(letters: &str) -> char {
    letters.chars().next().expect("a letter")
}

/// Compares a letter; `None` where the case has false or an empty string.
#[track_caller]
fn check_letter(what: &str, got: Option<char>, expected: &Value) {
    let expected = expected
        .as_str()
        .filter(|letter| !letter.is_empty())
        .map(first);
    assert_eq!(got, expected, "{what}");
}

#[test]
fn mmbench_extract() {
    let Some(mut fixture) = Fixture::open("mmbench_extract") else {
        return;
    };
    fixture.run(|case| {
        let (answer, options) = (text(&case["text"]), options_of(&case["choices"]));
        let letters: Vec<char> = options.iter().map(|(letter, _)| *letter).collect();
        let expected = &case["expected"];
        for (what, got) in [
            ("vlmevalkit", vlmevalkit(answer, &options)),
            ("vlmevalkit_option", vlmevalkit_by_letter(answer, &options)),
            ("vlmevalkit_text", vlmevalkit_by_text(answer, &options)),
            ("lmms_can_infer", lmms_eval(answer, &options)),
            ("lmms_static_mcq", lmms_eval_static(answer, &letters)),
        ] {
            check_letter(&format!("{what}: {answer:?}"), got, &expected[what]);
        }
        Outcome::Ran
    });
}

#[test]
fn mmbench_circular() {
    let Some(mut fixture) = Fixture::open("mmbench_circular") else {
        return;
    };
    let root = fixture.root.clone();
    let indices: Vec<u64> = root["index"]
        .as_array()
        .expect("indices")
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    let golds: Vec<char> = text(&root["answer"]).chars().collect();
    fixture.run(|case| {
        let expected = &case["expected"];
        let report = run(case, &root, &indices, &golds, vlmevalkit);
        for (what, score, count) in [
            ("circular", report.circular, "circular_n"),
            ("vanilla_0", report.vanilla_first, "circular_n"),
            ("vanilla_all", report.vanilla_all, "vanilla_all_n"),
        ] {
            check(what, score.mean().expect("rows"), &expected[what]);
            check(what, score.sum, &expected[format!("{what}_hits")]);
            assert_eq!(expected[count], score.count);
        }
        let bits: String = report
            .questions
            .values()
            .map(|hit| if *hit { '1' } else { '0' })
            .collect();
        assert_eq!(bits, text(&case["circular_hit_bits"]));
        if expected["lmms_static_overall"].is_number() {
            let report = run(case, &root, &indices, &golds, |answer, options| {
                let letters: Vec<char> = options.iter().map(|(letter, _)| *letter).collect();
                lmms_eval(answer, options).or_else(|| lmms_eval_static(answer, &letters))
            });
            let overall = report.circular.mean().expect("rows");
            check("lmms", overall, &expected["lmms_static_overall"]);
        }
        Outcome::Ran
    });
}

fn run(
    case: &Value,
    root: &Value,
    indices: &[u64],
    golds: &[char],
    extract: impl Fn(&str, &[(char, &str)]) -> Option<char>,
) -> MmbenchReport {
    let predictions: Vec<char> = text(&case["preds"]).chars().collect();
    assert_eq!(
        (predictions.len(), golds.len()),
        (indices.len(), indices.len())
    );
    let rows: Vec<MmbenchRow<'_>> = indices
        .iter()
        .enumerate()
        .map(|(row, &index)| {
            let other = &case["other_text"][row.to_string()];
            let letter = predictions[row].to_string();
            let (answer, options) = if predictions[row] == '?' {
                (text(&other["text"]), options_of(&other["choices"]))
            } else {
                // The texts of options are not given, and don't matter to a bare letter.
                let count = root["n_options"][row].as_u64().expect("a number") as usize;
                let options = ('A'..='D').take(count).map(|letter| (letter, "an option"));
                (letter.as_str(), options.collect())
            };
            MmbenchRow {
                index,
                is_right: extract(answer, &options) == Some(golds[row]),
                category: "",
                l2_category: "",
            }
        })
        .collect();
    MmbenchReport::new(&rows).expect("complete rows")
}

#[test]
fn mmbench_prompt() {
    let Some(mut fixture) = Fixture::open("mmbench_prompt") else {
        return;
    };
    fixture.run(|case| {
        let cells: Vec<&str> = ["A", "B", "C", "D"]
            .iter()
            .map(|letter| case["options"][letter].as_str().unwrap_or(""))
            .collect();
        let hint = case["hint"].as_str().unwrap_or("");
        let logged = question_text(hint, text(&case["question"]), &options(&cells));
        assert_eq!(logged, text(&case["expected_logged_prompt"]));
        let message = format!("<image>\n{logged}\n{INSTRUCTION_EN}");
        assert_eq!(message, text(&case["expected_user_text"]));
        Outcome::Ran
    });
}
