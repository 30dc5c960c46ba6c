//! POPE and MME: parsing of answers, rates, real runs, conversion.

use fp_data::metric::mme::{self, MmeAnswer, MmePairing, MmeReport, MmeTask};
use fp_data::metric::pope::{self, PopeReport, YesNoCounts};
use fp_data::metric::{AnswerRule, YesNo};
use serde_json::Value;

use super::fixture::{Fixture, Outcome, check, text, texts};

fn name(label: YesNo) -> &'static str {
    match label {
        YesNo::Yes => "yes",
        YesNo::No => "no",
        YesNo::Other => "other",
    }
}

/// VLMEvalKit's names of the labels.
fn vlmevalkit_name(label: YesNo) -> &'static str {
    match label {
        YesNo::Yes => "Yes",
        YesNo::No => "No",
        YesNo::Other => "Unknown",
    }
}

fn label(value: &str) -> YesNo {
    YesNo::from_label(value).unwrap_or(YesNo::Other)
}

#[test]
fn pope_parse() {
    let Some(mut fixture) = Fixture::open("pope_parse") else {
        return;
    };
    fixture.run(|case| {
        let (answer, expected) = (text(&case["text"]), &case["expected"]);
        assert_eq!(
            name(pope::parse(answer)),
            text(&expected["llava_official"]),
            "{answer:?}"
        );
        let whole_words = vlmevalkit_name(YesNo::by_whole_words(answer));
        assert_eq!(whole_words, text(&expected["vlmevalkit"]), "{answer:?}");
        // lmms-eval compares this string with the gold.
        let said = text(&expected["lmms_eval_prediction"]);
        assert_eq!(
            pope::parse_lmms_eval(answer),
            label_exactly(said),
            "{answer:?}"
        );
        Outcome::Ran
    });
}

fn label_exactly(said: &str) -> YesNo {
    match said {
        "yes" => YesNo::Yes,
        "no" => YesNo::No,
        _ => YesNo::Other,
    }
}

#[test]
fn pope_eval() {
    let Some(mut fixture) = Fixture::open("pope_eval") else {
        return;
    };
    fixture.run(|case| {
        let expected = &case["expected"];
        if let Some(categories) = case["counts"].as_object() {
            published_counts(categories, expected);
        } else {
            let labels = letters_or_list(case, "label");
            let official = counts(&labels, &answers(case), pope::parse);
            for (what, got) in [
                ("TP", official.true_positive),
                ("FP", official.false_positive),
                ("TN", official.true_negative),
                ("FN", official.false_negative),
            ] {
                assert_eq!(expected[what], got, "{what}");
            }
            rates(&official, expected);
            let by_lmms = &case["lmms_eval"];
            if by_lmms.is_object() {
                let counts = counts(&labels, &answers(case), pope::parse_lmms_eval);
                check(
                    "accuracy",
                    counts.accuracy().expect("answers"),
                    &by_lmms["accuracy"],
                );
                check(
                    "precision",
                    counts.precision().unwrap_or(0.0),
                    &by_lmms["precision"],
                );
                check("recall", counts.recall().unwrap_or(0.0), &by_lmms["recall"]);
                check("f1", counts.f1().unwrap_or(0.0), &by_lmms["f1_score"]);
                check("yes", gold_yes_ratio(&counts), &by_lmms["yes_ratio"]);
            }
        }
        Outcome::Ran
    });
}

/// Share of questions to which the right answer is yes: lmms-eval's `yes_ratio`.
fn gold_yes_ratio(counts: &YesNoCounts) -> f64 {
    let num_yes = counts.true_positive + counts.false_negative + counts.other_positive;
    num_yes as f64 / counts.total() as f64
}

/// Labels as a list of words or as a string of letters y and n.
fn letters_or_list(case: &Value, what: &str) -> Vec<YesNo> {
    if let Some(letters) = case[format!("{what}s")].as_str() {
        return letters
            .chars()
            .map(|c| if c == 'y' { YesNo::Yes } else { YesNo::No })
            .collect();
    }
    texts(&case[format!("{what}_list")])
        .iter()
        .map(|value| label(value))
        .collect()
}

fn answers(case: &Value) -> Vec<String> {
    if let Some(letters) = case["preds"].as_str() {
        let word = |c| if c == 'y' { "Yes" } else { "No" };
        return letters.chars().map(|c| word(c).to_owned()).collect();
    }
    texts(&case["text_list"])
}

fn counts(golds: &[YesNo], answers: &[String], parse: fn(&str) -> YesNo) -> YesNoCounts {
    assert_eq!(golds.len(), answers.len());
    let mut counts = YesNoCounts::default();
    for (gold, answer) in golds.iter().zip(answers) {
        counts.add(parse(answer), *gold).expect("yes or no");
    }
    counts
}

fn rates(counts: &YesNoCounts, expected: &Value) {
    for (what, got) in [
        ("accuracy", counts.accuracy()),
        ("precision", counts.precision()),
        ("recall", counts.recall()),
        ("f1", counts.f1()),
        ("yes_ratio", counts.yes_ratio()),
    ] {
        check(what, got.expect("a value"), &expected[what]);
    }
}

fn published_counts(categories: &serde_json::Map<String, Value>, expected: &Value) {
    let mut report = PopeReport::default();
    for (category, given) in categories {
        let count = |what: &str| given[what].as_u64().expect("a count") as usize;
        let counts = YesNoCounts {
            true_positive: count("TP"),
            false_positive: count("FP"),
            true_negative: count("TN"),
            false_negative: count("FN"),
            ..YesNoCounts::default()
        };
        assert_eq!(counts.total(), count("n"));
        rates(&counts, &expected[category]);
        report.categories.insert(category.clone(), counts);
    }
    check(
        "mean",
        report.mean_f1().expect("three"),
        &expected["average_f1"],
    );
}

#[test]
fn mme_parse() {
    let Some(mut fixture) = Fixture::open("mme_parse") else {
        return;
    };
    fixture.run(|case| {
        let (answer, expected) = (text(&case["text"]), &case["expected"]);
        let with_newline = format!("{answer}\n");
        for (column, got) in [
            ("official", name(mme::parse(answer))),
            (
                "official_with_trailing_newline",
                name(mme::parse(&with_newline)),
            ),
            ("lmms_eval", name(mme::parse_lmms_eval(answer))),
            ("vlmevalkit", vlmevalkit_name(YesNo::by_whole_words(answer))),
        ] {
            assert_eq!(got, text(&expected[column]), "{column}: {answer:?}");
        }
        Outcome::Ran
    });
}

#[test]
fn mme_runs() {
    let Some(mut fixture) = Fixture::open("mme_runs") else {
        return;
    };
    fixture.run(|case| {
        let expected = &case["expected"];
        let official = run(case, mme::parse, MmePairing::Consecutive);
        check(
            "perception",
            official.perception().expect("tasks"),
            &expected["perception"],
        );
        check(
            "cognition",
            official.cognition().expect("tasks"),
            &expected["cognition"],
        );
        check(
            "total",
            official.total().expect("tasks"),
            &expected["total"],
        );
        for (task, figures) in &official.tasks {
            check(task, figures.score(), &expected["scores"][task]);
            task_figures(figures, &expected["per_task"][task]);
        }
        let lmms = run(case, mme::parse_lmms_eval, MmePairing::ByImage);
        let by_lmms = &case["lmms_eval"];
        check(
            "lmms",
            lmms.perception().expect("tasks"),
            &by_lmms["mme_perception_score"],
        );
        check(
            "lmms",
            lmms.cognition().expect("tasks"),
            &by_lmms["mme_cognition_score"],
        );
        let words = run(case, YesNo::by_whole_words, MmePairing::ByImage);
        let by_words = &case["vlmevalkit"];
        check(
            "vlmevalkit",
            words.perception().expect("tasks"),
            &by_words["perception"],
        );
        check(
            "vlmevalkit",
            words.cognition().expect("tasks"),
            &by_words["reasoning"],
        );
        Outcome::Ran
    });
}

fn run(case: &Value, parse: fn(&str) -> YesNo, pairing: MmePairing) -> MmeReport {
    let mut report = MmeReport::default();
    for (task, letters) in case["preds"].as_object().expect("tasks") {
        let letters: Vec<char> = text(letters).chars().collect();
        let images: Vec<String> = (0..letters.len())
            .map(|line| (line / 2).to_string())
            .collect();
        let answers: Vec<MmeAnswer<'_>> = letters
            .iter()
            .enumerate()
            .map(|(line, letter)| MmeAnswer {
                image: &images[line],
                gold: if line % 2 == 0 { YesNo::Yes } else { YesNo::No },
                said: parse(match letter {
                    'Y' => "Yes",
                    'N' => "No",
                    _ => text(&case["other_text"][task][line.to_string()]),
                }),
            })
            .collect();
        report.tasks.insert(
            task.clone(),
            MmeTask::count(&answers, pairing).expect("pairs"),
        );
    }
    report
}

fn task_figures(task: &MmeTask, expected: &Value) {
    let neither = task.counts.other_positive + task.counts.other_negative;
    for (what, got) in [
        ("TP", task.counts.true_positive),
        ("FN", task.counts.false_negative),
        ("TN", task.counts.true_negative),
        ("FP", task.counts.false_positive),
        ("other_num", neither),
    ] {
        assert_eq!(expected[what], got, "{what}");
    }
    // The official tool gives 0 where no answer was yes.
    check(
        "precision",
        task.counts.precision().unwrap_or(0.0),
        &expected["precision"],
    );
    check(
        "recall",
        task.counts.recall().unwrap_or(0.0),
        &expected["recall"],
    );
    check("acc", task.accuracy(), &expected["acc"]);
    check("acc_plus", task.accuracy_plus(), &expected["acc_plus"]);
}

#[test]
fn mme_verbose() {
    let Some(mut fixture) = Fixture::open("mme_verbose") else {
        return;
    };
    fixture.run(|case| {
        let rows: Vec<Vec<String>> = case["rows"]
            .as_array()
            .expect("rows")
            .iter()
            .map(texts)
            .collect();
        let answers: Vec<MmeAnswer<'_>> = rows
            .iter()
            .map(|row| MmeAnswer {
                image: &row[0],
                gold: label(&row[1]),
                said: mme::parse(&row[2]),
            })
            .collect();
        let task = MmeTask::count(&answers, MmePairing::Consecutive).expect("pairs");
        check("score", task.score(), &case["expected"]["score"]);
        task_figures(&task, &case["expected"]);
        for (row, answer) in rows.iter().zip(&answers) {
            let is_right = AnswerRule::Mme.score(&row[2], &[&row[1]]) == 1.0;
            assert_eq!(is_right, answer.said == answer.gold, "{row:?}");
        }
        Outcome::Ran
    });
}
