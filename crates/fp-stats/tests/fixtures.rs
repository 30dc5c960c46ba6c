//! McNemar, multiplicity, standard errors, and two real pairs of runs.

#[allow(dead_code)] // used by other tests
#[path = "../../fp-data/tests/metrics_fixtures/fixture.rs"]
mod fixture;

use fp_stats::{
    BootstrapOptions, Clusters, CompareOptions, Discordant, bootstrap_mean,
    clustered_paired_t_test, clustered_standard_error, compare_paired, holm,
};
use serde_json::Value;

use fixture::{Fixture, Outcome, check, check_absolute, number, numbers, read, text};

#[test]
fn statistics() {
    let Some(mut fixture) = Fixture::open("statistics") else {
        return;
    };
    let runs = read("mme_runs").expect("statistics draw on mme_runs");
    fixture.run(|case| {
        let expected = &case["expected"];
        match text(&case["kind"]) {
            "mcnemar" => mcnemar(discordant(case), expected),
            "holm" => families(&numbers(&case["p"]), expected),
            "paired_real" => return real_pair(&runs, case),
            "clustered_se" => clustered(case),
            "paired_ttest" => t_test(&numbers(&case["x"]), &numbers(&case["y"]), expected),
            "power" => return Outcome::Partly("plans before a study: nothing here makes them"),
            kind => panic!("unknown kind {kind}"),
        }
        Outcome::Ran
    });
}

fn discordant(value: &Value) -> Discordant {
    Discordant {
        b: value["b"].as_u64().expect("b"),
        c: value["c"].as_u64().expect("c"),
    }
}

fn mcnemar(counts: Discordant, expected: &Value) {
    for (what, got) in [("exact_p", counts.exact_p()), ("midp", counts.mid_p())] {
        check(what, got, &expected[what]);
    }
}

fn families(p: &[f64], expected: &Value) {
    let adjusted = holm(p).expect("probabilities");
    let expected_p = expected["holm"].as_array().expect("a list");
    assert_eq!(adjusted.len(), expected_p.len());
    for (got, expected) in adjusted.iter().zip(expected_p) {
        check("holm", *got, expected);
    }
    let rejected: Vec<bool> = adjusted.iter().map(|p| *p <= 0.05).collect();
    assert_eq!(Value::from(rejected), expected["reject_05"]);
}

fn clustered(case: &Value) {
    let scores = numbers(&case["scores"]);
    let names: Vec<String> = case["clusters"]
        .as_array()
        .expect("clusters")
        .iter()
        .map(Value::to_string)
        .collect();
    let labels: Vec<usize> = names
        .iter()
        .map(|name| {
            names
                .iter()
                .position(|other| other == name)
                .expect("itself")
        })
        .collect();
    let got = clustered_standard_error(&scores, &Clusters::new(&labels).expect("samples"));
    if case["expected"] == "nan" {
        // An unknown spread is an error here, not a number.
        assert!(got.is_err(), "{got:?}");
    } else {
        check("standard error", got.expect("clusters"), &case["expected"]);
    }
}

fn t_test(x: &[f64], y: &[f64], expected: &Value) {
    let alone = Clusters::new(&(0..x.len()).collect::<Vec<_>>()).expect("samples");
    let got = clustered_paired_t_test(x, y, &alone, 0.95).expect("pairs");
    for (what, got) in [
        ("mean_diff", got.difference),
        ("se_diff", got.standard_error),
        ("ci_lower", got.low),
        ("ci_upper", got.high),
        ("t_stat", got.t),
        ("n", got.n as f64),
    ] {
        check(what, got, &expected[what]);
    }
    // The reference computes small tails by subtraction from 1, which loses digits.
    check_absolute("p_value", got.p, &expected["p_value"]);
}

fn real_pair(runs: &Value, case: &Value) -> Outcome {
    let expected = &case["expected"];
    mcnemar(discordant(expected), expected);
    let (Some((x, clusters)), Some((y, _))) = (
        correctness(runs, text(&case["x"])),
        correctness(runs, text(&case["y"])),
    ) else {
        let (x, y) = with_the_same_counts(expected);
        t_test(&x, &y, &expected["paired_ttest"]);
        return Outcome::Partly("clustered figures: the runs are not given");
    };
    let result = compare_paired(&x, &y, &clusters, &CompareOptions::default()).expect("runs");
    assert_eq!(expected["n"], result.n);
    check("acc_x", result.mean_a, &expected["acc_x"]);
    check("acc_y", result.mean_b, &expected["acc_y"]);
    assert_eq!(result.discordant, Some(discordant(expected)));
    check(
        "exact_p",
        result.mcnemar_p.expect("0/1 scores"),
        &expected["exact_p"],
    );
    check(
        "midp",
        result.mcnemar_mid_p.expect("0/1 scores"),
        &expected["midp"],
    );
    t_test(&x, &y, &expected["paired_ttest"]);
    check(
        "clustered se",
        result.standard_error,
        &expected["clustered_se_diff"],
    );
    let clusters = Clusters::new(&clusters).expect("samples");
    let of_x = clustered_standard_error(&x, &clusters).expect("clusters");
    check("clustered se of x", of_x, &expected["clustered_se_x"]);
    let interval = &expected["cluster_bootstrap_ci95"];
    let tolerance = number(&interval["tolerance"]);
    let differences: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x - y).collect();
    let drawn = bootstrap_mean(&differences, &clusters, &BootstrapOptions::default());
    let drawn = drawn.expect("runs").interval.expect("answers differ");
    for (end, got) in [("low", drawn.low), ("high", drawn.high)] {
        let expected = number(&interval[end]);
        assert!(
            (got - expected).abs() <= tolerance,
            "{end}: {got} instead of {expected}"
        );
    }
    Outcome::Ran
}

/// 0/1 scores and the image of every question; the gold answers alternate Yes, No within an
/// image.
fn correctness(runs: &Value, id: &str) -> Option<(Vec<f64>, Vec<usize>)> {
    let cases = runs["cases"].as_array().expect("cases");
    let run = cases.iter().find(|case| case["id"] == id)?;
    let (mut scores, mut images) = (Vec::new(), Vec::new());
    for predictions in run["preds"].as_object().expect("tasks").values() {
        let offset = images.last().map_or(0, |last| last + 1);
        for (line, letter) in text(predictions).chars().enumerate() {
            let gold = if line % 2 == 0 { 'Y' } else { 'N' };
            scores.push(f64::from(u8::from(letter == gold)));
            images.push(offset + line / 2);
        }
    }
    Some((scores, images))
}

/// 0/1 scores with the given b, c and n, all that an unclustered test depends on.
fn with_the_same_counts(expected: &Value) -> (Vec<f64>, Vec<f64>) {
    let counts = discordant(expected);
    let mut pairs = vec![(1.0, 0.0); counts.b as usize];
    pairs.resize((counts.b + counts.c) as usize, (0.0, 1.0));
    pairs.resize(expected["n"].as_u64().expect("n") as usize, (1.0, 1.0));
    pairs.into_iter().unzip()
}
