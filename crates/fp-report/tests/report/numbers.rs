//! Figures in `results.json` compared with naive computations.

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::naive::{self, Lines};
use super::synthetic::{Size, write_run};

struct Case {
    _folder: tempfile::TempDir,
    lines: Lines,
    results: Value,
}

fn case(study: &str) -> Case {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), study, Size::default(), 1);
    fp_report::write(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("results.json")).unwrap();
    Case {
        lines: Lines::read(folder.path()),
        results: serde_json::from_str(&text).unwrap(),
        _folder: folder,
    }
}

#[track_caller]
fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!(
        (found - expected).abs() < 1e-9,
        "{found} instead of {expected}"
    );
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

#[test]
fn accuracies() {
    let Case { lines, results, .. } = case("a");
    let analysis = &results["analysis"];
    assert_eq!(list(analysis, "cells").len(), lines.cells.len());
    for cell in list(analysis, "cells") {
        let id = cell["id"].as_str().unwrap();
        let scores = lines.scores(id);
        assert_eq!(cell["accuracy"]["n"], scores.len());
        assert_eq!(cell["num_skipped"], lines.samples.len() - scores.len());
        close(&cell["accuracy"]["mean"], naive::mean(&scores));
        let error = naive::standard_error(&scores);
        close(&cell["accuracy"]["standard_error"], error);
        // Wilson's interval with the effective number of samples; Student's t at 97.5 % with 39
        // degrees of freedom, where every image has the same number of samples.
        if scores.len() == lines.samples.len() {
            let (mean, step) = (naive::mean(&scores), naive::step(&scores));
            for (end, sign) in [(0, -1.0), (1, 1.0)] {
                assert_eq!(cell["accuracy"]["interval_method"], "clustered_score");
                let end = cell["accuracy"]["interval"][end].as_f64().unwrap();
                let distance = sign * (end - mean) - step / 2.0;
                let reach = 2.022_691 * (step * end * (1.0 - end)).sqrt();
                let is_bound = (end == 0.0 || end == 1.0) && distance <= 0.0;
                assert!(is_bound || (distance - reach).abs() < 1e-6, "{id} {end}");
            }
        }
        for stratum in list(cell, "strata") {
            if stratum["by"] == "family" {
                let of_family = lines
                    .samples
                    .iter()
                    .filter(|s| s["family"] == stratum["group"]);
                let scores: Vec<(String, f64)> = of_family
                    .filter_map(|sample| Some((naive::image(sample), lines.score(sample, id)?)))
                    .collect();
                assert_eq!(stratum["n"], scores.len());
                close(&stratum["mean"], naive::mean(&scores));
            }
        }
    }
    for random in list(analysis, "random") {
        let budget = random["budget"].as_str().unwrap();
        let means: Vec<f64> = (1..=3)
            .map(|seed| naive::mean(&lines.scores(&format!("random/s{seed}/{budget}"))))
            .collect();
        let mean = means.iter().sum::<f64>() / 3.0;
        close(&random["accuracy"]["mean"], mean);
        let variance = means.iter().map(|m| (m - mean) * (m - mean)).sum::<f64>() / 2.0;
        close(&random["seed_deviation"], variance.sqrt());
    }
}

#[test]
fn comparisons() {
    let Case { lines, results, .. } = case("a");
    let mut tested = 0;
    for set in list(&results["analysis"], "references") {
        // Means over seeds are no whole numbers; they have a test of their own below.
        if set["reference"] == "random" {
            continue;
        }
        let comparisons = list(set, "comparisons");
        for c in comparisons {
            let (a, b) = (c["a"].as_str().unwrap(), c["b"].as_str().unwrap());
            let differences = lines.differences(a, b);
            let difference = naive::mean(&differences);
            assert_eq!(c["n"], differences.len());
            close(&c["difference"], difference);
            let error = naive::standard_error(&differences);
            close(&c["standard_error"], error);
            let p = naive::sign_flip_p(&differences);
            assert!(
                (c["p"].as_f64().unwrap() - p).abs() < 1e-9,
                "{a} {b}: {} {p}",
                c["p"]
            );
            let count = |sign: f64| differences.iter().filter(|(_, d)| *d == sign).count();
            assert_eq!(c["discordant"]["b"], count(1.0));
            assert_eq!(c["discordant"]["c"], count(-1.0));
            let (step, reach) = (naive::step(&differences), 2.801_585_218_061);
            let square = step * (naive::mean_size(&differences) - difference * difference);
            let detectable = (reach * square.sqrt()).hypot(reach * reach * step);
            close(&c["min_detectable_difference"], detectable.min(1.0));
            // At both ends the score equals Student's quantile, with 39 degrees of freedom where
            // every image has the same number of samples.
            if differences.len() == lines.samples.len() {
                for end in [0, 1] {
                    let end = c["interval"][end].as_f64().unwrap();
                    let score = naive::score(&differences, end);
                    assert!((score - 2.022_691).abs() < 1e-5, "{a} {b} {end}: {score}");
                }
            }
            let images = |is_in: &dyn Fn(f64) -> bool| {
                let found = differences.iter().filter(|(_, d)| is_in(*d));
                let found = found.map(|(image, _)| image);
                found.collect::<std::collections::BTreeSet<_>>().len()
            };
            assert_eq!(c["num_disagreeing_images"], images(&|d| d != 0.0));
            assert_eq!(c["interval_method"], "clustered_score");
            tested += 1;
        }
        let mut families: Vec<&str> = comparisons
            .iter()
            .map(|c| c["family"].as_str().unwrap())
            .collect();
        families.dedup();
        for family in families {
            let of: Vec<&Value> = comparisons
                .iter()
                .filter(|c| c["family"] == family)
                .collect();
            let p: Vec<f64> = of.iter().map(|c| c["p"].as_f64().unwrap()).collect();
            for (c, expected) in of.iter().zip(naive::holm(&p)) {
                close(&c["p_holm"], expected);
                assert_eq!(c["family_size"], of.len());
                let [low, high] = [0, 1].map(|end| c["interval"][end].as_f64().unwrap());
                let outcome = match expected < 0.05 {
                    true if low > 0.0 => "better",
                    true if high < 0.0 => "worse",
                    _ if c["equivalence_p"].as_f64().unwrap() < 0.05 => "equivalent",
                    _ => "undecided",
                };
                assert_eq!(c["outcome"], outcome);
                assert_eq!(c["undecided"].is_object(), outcome == "undecided");
            }
        }
    }
    // 72 against the baseline, 81 against each of three others.
    assert_eq!(tested, 72 + 3 * 81);
}

#[test]
fn comparisons_with_chance() {
    let Case { lines, results, .. } = case("a");
    let sets = list(&results["analysis"], "references");
    let set = sets
        .iter()
        .find(|set| set["reference"] == "random")
        .unwrap();
    for c in list(set, "comparisons") {
        let budget = c["b"].as_str().unwrap().strip_prefix("random/").unwrap();
        let differences: Vec<(String, f64)> = lines
            .samples
            .iter()
            .map(|sample| {
                let of = |cell: &str| lines.score(sample, cell).unwrap();
                let chance: f64 = (1..=3)
                    .map(|seed| of(&format!("random/s{seed}/{budget}")))
                    .sum();
                (
                    naive::image(sample),
                    3.0 * of(c["a"].as_str().unwrap()) - chance,
                )
            })
            .collect();
        close(&c["difference"], naive::mean(&differences) / 3.0);
        // In thirds, the differences are whole numbers again.
        let p = naive::sign_flip_p(&differences);
        assert!(
            (c["p"].as_f64().unwrap() - p).abs() < 1e-9,
            "{}: {} {p}",
            c["a"],
            c["p"]
        );
    }
}

#[test]
fn best_of_many() {
    let Case { lines, results, .. } = case("a");
    let best = &results["analysis"]["best"];
    assert_eq!(best["halves"], "by_image_hash");
    let is_select = |sample: &Value| {
        let hash = Sha256::digest(naive::image(sample).as_bytes());
        let digit = char::from_digit(u32::from(hash[0] >> 4), 16).unwrap();
        u32::from(digit) % 2 == 0
    };
    let select: Vec<&Value> = lines.samples.iter().filter(|s| is_select(s)).collect();
    assert_eq!(best["num_select"], select.len());
    assert_eq!(best["num_confirm"], lines.samples.len() - select.len());
    let confirm: Vec<&Value> = lines.samples.iter().filter(|s| !is_select(s)).collect();
    let mean = |samples: &[&Value], cell: &str| {
        let total: f64 = samples.iter().map(|s| lines.score(s, cell).unwrap()).sum();
        total / samples.len() as f64
    };
    // The number of heads with the largest mean at each budget; the first of equal ones.
    let chosen = |strategy: &str| {
        ["R42", "R25", "R8"].map(|budget| {
            let cells = [6, 4, 2].map(|h| format!("{strategy}+last_token/h{h}/{budget}"));
            let means = cells.each_ref().map(|cell| mean(&select, cell));
            let most = means.iter().copied().fold(0.0, f64::max);
            let first = means.iter().position(|mean| *mean == most).unwrap();
            cells[first].clone()
        })
    };
    let over_budgets = |samples: &[&Value], strategy: &str| {
        let cells = chosen(strategy);
        cells.iter().map(|cell| mean(samples, cell)).sum::<f64>() / 3.0
    };
    let ranking = list(best, "ranking");
    assert_eq!(ranking.len(), 9);
    for entry in ranking {
        close(&entry[1], over_budgets(&select, entry[0].as_str().unwrap()));
    }
    assert!(
        ranking
            .windows(2)
            .all(|pair| pair[0][1].as_f64() >= pair[1][1].as_f64())
    );
    assert_eq!(best["candidate"], "entropy");
    assert_eq!(best["recommended"], "entropy");
    let test = list(best, "confirmation")
        .iter()
        .find(|c| c["b"] == "sum")
        .unwrap();
    let [entropy, sum] = ["entropy", "sum"].map(|name| over_budgets(&confirm, name));
    close(&test["difference"], entropy - sum);
    let strategies = list(best, "strategies");
    assert_eq!(strategies.len(), 27);
    for entry in strategies {
        let [strategy, budget] = ["strategy", "budget"].map(|key| entry[key].as_str().unwrap());
        let at = ["R42", "R25", "R8"]
            .iter()
            .position(|b| *b == budget)
            .unwrap();
        let cell = &chosen(strategy)[at];
        assert_eq!(entry["cell"], **cell);
        let to_all_heads = &entry["against_all_heads"];
        let all_heads = format!("all_heads+last_token/{budget}");
        close(
            &to_all_heads["difference"],
            mean(&confirm, cell) - mean(&confirm, &all_heads),
        );
        assert_eq!(to_all_heads["family_size"], 27);
        assert_eq!(entry["is_baseline"], strategy == "sum");
        if strategy != "sum" {
            let test = &entry["against_baseline"];
            let sum = &chosen("sum")[at];
            assert_eq!(
                (&test["b"], &test["family_size"]),
                (&sum.as_str().into(), &24.into())
            );
            close(
                &test["difference"],
                mean(&confirm, cell) - mean(&confirm, sum),
            );
        }
    }
}

#[test]
fn tokens() {
    let Case { lines, results, .. } = case("a");
    let analysis = &results["analysis"];
    for cell in ["entropy+last_token/h4/R8", "random/s2/R42", "oracle/R8"] {
        let quality = list(analysis, "token_quality");
        let quality = quality.iter().find(|q| q["cell"] == cell).unwrap();
        let recalls: Vec<(String, f64)> = lines
            .samples
            .iter()
            .filter_map(|s| Some((naive::image(s), lines.area_recall(s, cell, 12)?)))
            .collect();
        let kept = cell.rsplit('R').next().unwrap().parse::<f64>().unwrap();
        assert_eq!(quality["overlap"]["n"], recalls.len());
        close(&quality["overlap"]["area_recall"], naive::mean(&recalls));
        close(
            &quality["overlap"]["lift"],
            naive::mean(&recalls) / (kept / 144.0),
        );
        let retention = list(analysis, "retention");
        let counts = &retention.iter().find(|r| r["cell"] == cell).unwrap()["counts"];
        for token in 0..144 {
            let kept = lines
                .samples
                .iter()
                .filter_map(|sample| lines.kept(sample, cell));
            let expected = kept.filter(|kept| kept.contains(&token)).count();
            assert_eq!(counts[token as usize], expected);
        }
    }
    let matrices = list(analysis, "agreement");
    let matrix = matrices
        .iter()
        .find(|m| m["budget"] == "R25" && m["num_selected_heads"] == 4)
        .unwrap();
    let labels = list(matrix, "labels");
    let cell = |label: &Value| match label.as_str().unwrap() {
        "all_heads" => "all_heads+last_token/R25".to_owned(),
        name => format!("{name}+last_token/h4/R25"),
    };
    for (i, a) in labels.iter().enumerate() {
        for (j, b) in labels.iter().enumerate() {
            let (mut jaccard, mut same) = (0.0, 0.0);
            for sample in &lines.samples {
                let a = lines.kept(sample, &cell(a)).unwrap();
                let b = lines.kept(sample, &cell(b)).unwrap();
                jaccard += a.intersection(&b).count() as f64 / a.union(&b).count() as f64;
                same += f64::from(u8::from(a == b));
            }
            let n = lines.samples.len() as f64;
            close(&matrix["mean_jaccard"][i][j], jaccard / n);
            close(&matrix["identical_share"][i][j], same / n);
        }
    }
}

#[test]
fn flips_heads_and_audit() {
    let Case { lines, results, .. } = case("a");
    let analysis = &results["analysis"];
    for flips in list(analysis, "flips") {
        let id = flips["cell"].as_str().unwrap();
        let differences = lines.differences(id, "vanilla");
        let count = |sign: f64| differences.iter().filter(|(_, d)| *d == sign).count();
        assert_eq!(
            (&flips["won"], &flips["lost"]),
            (&count(1.0).into(), &count(-1.0).into())
        );
        let n: u64 = ["both_right", "lost", "won", "both_wrong"]
            .iter()
            .map(|key| flips[key].as_u64().unwrap())
            .sum();
        assert_eq!(n as usize, differences.len());
    }
    for usage in list(analysis, "head_usage") {
        let (strategy, h) = (
            usage["strategy"].as_str().unwrap(),
            &usage["num_selected_heads"],
        );
        let cell = format!("{strategy}+last_token/h{h}/R42");
        let index = lines.cells.iter().position(|id| *id == cell).unwrap();
        for head in 0..8 {
            let selected = lines
                .samples
                .iter()
                .filter(|sample| list(&sample["cells"][index], "heads").contains(&head.into()));
            let share = selected.count() as f64 / lines.samples.len() as f64;
            close(&usage["shares"][head], share);
        }
    }
    // Every seventh sample of sparsity has a tie.
    for audit in list(analysis, "audit") {
        let is_sparsity = audit["cell"].as_str().unwrap().starts_with("sparsity");
        let expected = if is_sparsity {
            120_usize.div_ceil(7)
        } else {
            0
        };
        assert_eq!(audit["head_ties"], expected, "{audit}");
    }
    let cautions = results["analysis"]["verdict"]["cautions"].to_string();
    assert!(
        cautions.contains("decided the heads of sparsity"),
        "{cautions}"
    );
    let sentences = results["analysis"]["verdict"]["sentences"].to_string();
    assert!(
        sentences.contains("max_attention and attention_range (same tokens"),
        "{sentences}"
    );
}

#[test]
fn hypotheses_of_both_studies() {
    let answers = |study: &str| -> Vec<(String, String)> {
        let results = case(study).results;
        let hypotheses = list(&results["analysis"], "hypotheses").clone();
        let text = |value: &Value| value.as_str().unwrap_or("several").to_owned();
        hypotheses
            .iter()
            .map(|h| (text(&h["strategy"]), text(&h["answer"])))
            .collect()
    };
    let of = |answers: &[(String, String)], name: &str| {
        let found = answers.iter().find(|(strategy, _)| strategy == name);
        found.map(|(_, answer)| answer.clone()).unwrap()
    };
    let a = answers("a");
    // Eight of the strategies' own, and two that the study expects.
    assert_eq!(a.len(), 10);
    assert_eq!(of(&a, "entropy"), "supported");
    assert_eq!(of(&a, "several"), "refuted");
    let b = answers("b");
    assert_eq!(b.len(), 8 + 3);
    assert_eq!(of(&b, "text_tokens_only"), "supported");
    assert!(b.iter().all(|(_, answer)| answer != "not_tested"), "{b:?}");
}
