//! Whole methods against FastV and against chance, and their costs, compared with naive loops.

use fp_eval::format::{interval_points, signed_points};
use serde_json::Value;

use super::naive::{Lines, mean};
use super::synthetic::{Size, write_run};

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

#[test]
fn methods_are_tested_against_fastv_and_chance() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "methods", Size::default(), 7);
    fp_report::write(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let lines = Lines::read(folder.path());
    let results: Value = serde_json::from_str(&read("results.json")).unwrap();
    let analysis = &results["analysis"];
    let budgets = list(analysis, "methods");
    assert_eq!(budgets.len(), 3);
    let mut words = Vec::new();
    for budget in budgets {
        let label = budget["budget"].as_str().unwrap();
        let fastv = format!("all_heads+last_token/{label}");
        assert_eq!(budget["reference"], fastv.as_str());
        assert_eq!(budget["reference_name"], "FastV (all_heads)");
        let seeds: Vec<&String> = lines
            .cells
            .iter()
            .filter(|id| id.starts_with("random/") && id.ends_with(&format!("/{label}")))
            .collect();
        assert!(seeds.len() > 1 && budget["num_random_seeds"] == seeds.len());
        let entries = list(budget, "methods");
        let names: Vec<&str> = entries
            .iter()
            .map(|e| e["method"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["all_heads+last_token", "uniform_grid", "pool", "downsample"]
        );
        for entry in entries {
            let cell = entry["cell"].as_str().unwrap();
            let test = &entry["against_reference"];
            if cell == fastv {
                assert!(test.is_null());
            } else {
                let differences = lines.differences(cell, &fastv);
                assert_eq!(test["n"], differences.len());
                assert!((test["difference"].as_f64().unwrap() - mean(&differences)).abs() < 1e-12);
                // The three others are one family.
                assert_eq!(test["family_size"], 3);
                words.push(test["outcome"].as_str().unwrap().to_owned());
            }
            let chance = lines.samples.iter().filter_map(|sample| {
                let scores: Option<Vec<f64>> =
                    seeds.iter().map(|seed| lines.score(sample, seed)).collect();
                let scores = scores?;
                let of_seeds = scores.iter().sum::<f64>() / scores.len() as f64;
                Some((String::new(), lines.score(sample, cell)? - of_seeds))
            });
            let differences: Vec<(String, f64)> = chance.collect();
            let test = &entry["against_random"];
            assert_eq!(
                (&test["n"], &test["family_size"]),
                (&differences.len().into(), &4.into())
            );
            assert!((test["difference"].as_f64().unwrap() - mean(&differences)).abs() < 1e-12);
        }
    }
    assert!(words.iter().any(|word| word == "better"), "{words:?}");
    let summary = read("summary.md");
    let heading = "against FastV (all_heads) and chance";
    assert_eq!(summary.matches(heading).count(), 3, "{summary}");
    assert!(summary.contains("| pool | "), "{summary}");
    assert!(summary.contains("random (mean of 3 seeds)"), "{summary}");
    // Two of eight layers process 144 tokens, the others 42, 25 or 8.
    let table = read("table.tex");
    let row = table.lines().find(|line| line.starts_with("pool & & "));
    for b in ["67.5", "54.8", "42.0"] {
        assert!(row.unwrap().contains(&format!("($B = {b}$)")), "{table}");
    }
    assert!(table.contains("downsample & & "), "{table}");
    assert_eq!(table.matches("$B$: mean number of visual").count(), 1);
    let page = read("report.html");
    assert!(page.contains("id=\"methods\"") && page.contains("method minus FastV (all_heads)"));
}

#[test]
fn schedules_and_costs_of_all_cells_are_in_all_files() {
    let folder = tempfile::tempdir().unwrap();
    let size = Size::default();
    write_run(folder.path(), "methods", size, 7);
    fp_report::write(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let results: Value = serde_json::from_str(&read("results.json")).unwrap();
    let csv = read("cells.csv");
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|field| *field == name).unwrap();
    // Two of eight layers process all 144 tokens.
    let n = (size.side * size.side) as f64;
    for cost in list(&results["analysis"], "costs") {
        let id = cost["cell"].as_str().unwrap();
        let row = rows.iter().find(|row| row[0] == id).unwrap();
        let number = |name: &str| row[column(name)].parse::<f64>().unwrap();
        assert_eq!(row[column("schedule")], cost["schedule"]["text"]);
        let Some(kept) = id
            .rsplit_once("/R")
            .map(|(_, kept)| kept.parse::<f64>().unwrap())
        else {
            continue;
        };
        assert_eq!(cost["schedule"]["text"], format!("144→{kept}@2"));
        assert_eq!(
            number("average_visual_tokens"),
            (2.0 * n + 6.0 * kept) / 8.0
        );
        assert_eq!(number("average_by_output"), (n + 7.0 * kept) / 8.0);
        assert_eq!(number("kept_in_last_layer"), kept);
        let share = number("macs_sequence_of_vanilla");
        assert!(share > kept / n && share < 1.0, "{id}: {share}");
    }
    let summary = read("summary.md");
    assert!(
        summary.contains("## Tokens and cost of every method"),
        "{summary}"
    );
    // 27 strategies have the same cost, and so do the seeds of chance.
    let strategies = "head strategies+last_token/R42 (27 cells) | 144→42@2";
    assert!(summary.contains(strategies), "{summary}");
    assert!(
        summary.contains("random/R42 (3 seeds) | 144→42@2"),
        "{summary}"
    );
    assert!(
        summary.contains("| vanilla | 144 | 144.0 | 144.0 | 144 |"),
        "{summary}"
    );
}

#[test]
fn runs_without_whole_methods_have_no_such_tests() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", Size::default(), 7);
    fp_report::write(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&text).unwrap();
    assert!(results["analysis"].get("methods").is_none());
    assert!(results["analysis"].get("published").is_none());
    let table = std::fs::read_to_string(folder.path().join("table.tex")).unwrap();
    assert!(!table.contains("$B"), "{table}");
    assert_eq!(table.matches("\\midrule").count(), 2);
}

#[test]
fn a_terminal_reads_the_tests_of_the_methods_that_were_asked_for() {
    let [with, without] = ["methods", "a"].map(|study| {
        let folder = tempfile::tempdir().unwrap();
        write_run(folder.path(), study, Size::default(), 7);
        fp_report::write(folder.path()).unwrap().analysis
    });
    let brief = with.verdict.brief();
    let lines = brief
        .lines()
        .filter(|line| line.contains(" against FastV (all_heads), "));
    let lines: Vec<&str> = lines.collect();
    assert_eq!(lines.len(), 3, "{brief}");
    for (line, tests) in lines.iter().zip(&with.methods) {
        assert!(line.starts_with("At R = "), "{line}");
        let asked = ["pool", "downsample"];
        for entry in &tests.methods {
            let test = entry.against_reference.as_ref();
            let is_said = line.contains(&format!(" {} (", entry.method));
            assert_eq!(is_said, asked.contains(&entry.method.as_str()), "{line}");
            if let (Some(test), true) = (test, is_said) {
                let interval = interval_points(test.interval, test.confidence);
                let difference = signed_points(test.difference);
                let said = format!(" {} ({difference} points, {interval})", entry.method);
                assert!(line.contains(&said), "{said}: {line}");
                assert!(line.contains(&format!("{}: ", test.outcome.of_method())));
            }
        }
    }
    // The sentences of files are as before, and a study without methods has none.
    let results = serde_json::to_value(&with.verdict).unwrap();
    assert!(results.get("methods").is_none());
    let brief = without.verdict.brief();
    assert!(!brief.contains(" against FastV (all_heads), "), "{brief}");
}

/// A made-up run of LLaVA-1.5-7B's shape on GQA.
fn of_published_shape(folder: &std::path::Path, layers: usize) {
    let size = Size {
        images: 12,
        side: 24,
        ..Size::default()
    };
    write_run(folder, "methods", size, 7);
    let path = folder.join("run.json");
    let mut run: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    run["model"]["shape"]["decoder"] = serde_json::json!({
        "num_layers": layers, "hidden_size": 4096, "intermediate_size": 11008, "num_heads": 32,
        "num_kv_heads": 32, "head_dim": 128,
    });
    run["datasets"][0]["name"] = "gqa".into();
    run["datasets"][0]["answer_rule"] = "gqa".into();
    run["datasets"][0]["split"] = "testdev_balanced".into();
    std::fs::write(&path, run.to_string()).unwrap();
}

#[test]
fn published_figures_stand_beside_those_of_their_model() {
    let folder = tempfile::tempdir().unwrap();
    of_published_shape(folder.path(), 32);
    fp_report::write(folder.path()).unwrap();
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let results: Value = serde_json::from_str(&read("results.json")).unwrap();
    let published = &results["analysis"]["published"];
    assert_eq!(published["model"], "LLaVA-1.5-7B");
    let figures = list(published, "figures");
    let found: Vec<(&str, Vec<f64>)> = figures
        .iter()
        .map(|own| {
            let values = list(own, "published").iter();
            let values = values.map(|row| row["value"].as_f64().unwrap());
            (own["cell"].as_str().unwrap(), values.collect())
        })
        .collect();
    // 168 and 97 after layer 2 have averages of 193.5 and 126.9; 32 has one of 66, which no row
    // has.
    let fastv = |kept: usize| format!("all_heads+last_token/R{kept}");
    let expected = [
        ("vanilla".to_owned(), vec![61.9]),
        ("no_image".to_owned(), vec![37.38]),
        (fastv(168), vec![57.1, 52.7]),
        (fastv(97), vec![54.1]),
    ];
    let expected: Vec<(&str, Vec<f64>)> = expected
        .iter()
        .map(|(cell, values)| (cell.as_str(), values.clone()))
        .collect();
    assert_eq!(found, expected);
    let lines = Lines::read(folder.path());
    for own in figures {
        let scores = lines.scores(own["cell"].as_str().unwrap());
        let measured = own["measured"].as_f64().unwrap();
        assert!((measured - 100.0 * mean(&scores)).abs() < 1e-9);
        assert_eq!(
            (&own["n"], &own["column"]),
            (&scores.len().into(), &"gqa".into())
        );
    }
    let summary = read("summary.md");
    let row = "| 57.1 | 192 | re-run by others | RESTORE (ICML 2026), Table 1";
    assert!(summary.contains(row), "{summary}");
    assert!(read("report.html").contains("id=\"published\""));
}

#[test]
fn other_shapes_have_no_published_figure() {
    let folder = tempfile::tempdir().unwrap();
    of_published_shape(folder.path(), 31);
    fp_report::write(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&text).unwrap();
    // No method of the run except controls was published, so the results don't mention it.
    assert!(results["analysis"].get("published").is_none());
}
