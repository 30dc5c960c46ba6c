//! Other analyses of the same records: on the same questions, on difficult ones, by answers; and
//! rates.

use serde_json::Value;

use super::naive::{self, Lines};
use super::synthetic::{Size, answer, edit, write_run};

struct Case {
    folder: tempfile::TempDir,
    lines: Lines,
    analysis: Value,
}

fn case(prepare: impl FnOnce(&std::path::Path)) -> Case {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", Size::default(), 1);
    prepare(folder.path());
    fp_report::write(folder.path()).unwrap();
    let text = std::fs::read_to_string(folder.path().join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&text).unwrap();
    Case {
        lines: Lines::read(folder.path()),
        analysis: results["analysis"].clone(),
        folder,
    }
}

#[track_caller]
fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-12, "{found} {expected}");
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

#[test]
fn vanilla_stands_beside_the_oracle_on_the_same_questions() {
    let Case {
        folder,
        lines,
        analysis,
    } = case(|_| {});
    let id = "oracle/R25";
    let with_boxes = || {
        lines
            .samples
            .iter()
            .filter(|s| lines.score(s, id).is_some())
    };
    let n = with_boxes().count();
    assert!(n < lines.samples.len());
    let mean = |cell: &str| {
        let scores = with_boxes().map(|sample| lines.score(sample, cell).unwrap());
        scores.sum::<f64>() / n as f64
    };
    let cells = list(&analysis, "cells");
    let oracle = cells.iter().find(|cell| cell["id"] == id).unwrap();
    let same = &oracle["vanilla_on_same"];
    assert_eq!((&same["n"], &same["is_all"]), (&n.into(), &false.into()));
    close(&same["vanilla"], mean("vanilla"));
    close(&same["difference"], mean(id) - mean("vanilla"));
    for cell in cells {
        let same = &cell["vanilla_on_same"];
        match cell["id"].as_str().unwrap() {
            "vanilla" => assert!(same.is_null()),
            id => assert_eq!(same["is_all"], !id.starts_with("oracle"), "{id}"),
        }
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let vanilla = format!("{:.1}", 100.0 * mean("vanilla"));
    let beside = format!("(vanilla {vanilla} on the same {n}, ");
    assert_eq!(read("summary.md").matches(&beside).count(), 3);
    let table = read("table.tex");
    let row = table
        .lines()
        .find(|line| line.contains("oracle's questions"));
    assert_eq!(row.unwrap().matches(&vanilla).count(), 3, "{table}");
    let csv = read("cells.csv");
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let column = header.iter().position(|name| *name == "vanilla_on_same");
    let line = csv.lines().find(|line| line.starts_with(id)).unwrap();
    let field = line.split(',').nth(column.unwrap()).unwrap();
    assert!((field.parse::<f64>().unwrap() - mean("vanilla")).abs() < 1e-12);
}

#[test]
fn difficult_samples_are_chosen_by_seeds_that_are_not_compared() {
    let Case {
        lines, analysis, ..
    } = case(|_| {});
    let difficult = &analysis["difficult"];
    let budgets = list(difficult, "budgets");
    assert_eq!(budgets.len(), 3);
    for budget in budgets {
        let label = budget["budget"].as_str().unwrap();
        let chosen_by = [1, 2].map(|seed| format!("random/s{seed}/{label}"));
        assert_eq!(budget["chosen_by"], serde_json::json!(chosen_by));
        let score = |sample: &Value, cell: &str| lines.score(sample, cell).unwrap();
        let is_wrong = |sample: &Value| chosen_by.iter().all(|cell| score(sample, cell) < 0.5);
        let chosen: Vec<&Value> = lines.samples.iter().filter(|s| is_wrong(s)).collect();
        assert_eq!(
            (&budget["n"], &budget["of"]),
            (&chosen.len().into(), &120.into())
        );
        let mean = |cell: &str| {
            let scores: Vec<(String, f64)> = chosen
                .iter()
                .filter_map(|s| Some((naive::image(s), lines.score(s, cell)?)))
                .collect();
            naive::mean(&scores)
        };
        let third = format!("random/s3/{label}");
        close(&budget["random"]["mean"], mean(&third));
        // All cells of the budget except the filtering ones, and the three without a budget.
        let cells = list(budget, "cells");
        assert_eq!(cells.len(), 27 + 1 + 1 + 1 + 1 + 3);
        for cell in cells {
            let id = cell["cell"].as_str().unwrap();
            assert!(!chosen_by.iter().any(|chosen| chosen == id));
            close(&cell["mean"], mean(id));
        }
    }
    for (key, number) in [("against_all_heads", 27), ("against_baseline", 24)] {
        let tests = list(difficult, key);
        assert_eq!(tests.len(), number);
        assert!(tests.iter().all(|test| test["family_size"] == number));
    }
    let rule = difficult["rule"].as_str().unwrap();
    assert!(
        rule.ends_with("the other seeds of random are compared."),
        "{rule}"
    );
}

#[test]
fn degenerate_answers_and_gains_by_one_answer_are_flagged() {
    let (degenerate, paying) = ("variance+last_token/h2/R8", "sum+last_token/h2/R8");
    let Case {
        folder, analysis, ..
    } = case(|folder| {
        edit(folder, |grid, record| {
            let is_even = record.index.is_multiple_of(2);
            let gold = if is_even { "unanswerable" } else { "cup" };
            record.answers = vec![gold.to_owned()];
            for (index, cell) in grid.cells.iter().enumerate() {
                if record.run_of(index).is_none() {
                    continue;
                }
                let text = match cell.id.as_str() {
                    id if id == degenerate => "Unanswerable.",
                    // Every question that can't be answered, and two fifths of the others.
                    id if id == paying && (is_even || record.index % 10 < 4) => "unanswerable",
                    // Half of the questions that can't be answered, and all others.
                    _ if record.index.is_multiple_of(4) => "unanswerable",
                    _ => "cup",
                };
                let is_right = text.to_lowercase().trim_end_matches('.') == gold;
                answer(record, index, text, f64::from(u8::from(is_right)));
            }
        });
    });
    let found = list(&analysis, "frequent_answers");
    let of = |cell: &str| {
        let mut of_all = found
            .iter()
            .filter(|answer| answer["by"] == "all questions");
        of_all.find(|answer| answer["cell"] == cell).unwrap()
    };
    let one = of(degenerate);
    assert_eq!(
        (&one["answer"], &one["is_degenerate"]),
        (&"unanswerable".into(), &true.into())
    );
    close(&one["share"], 1.0);
    close(&one["truth_share"], 0.5);
    close(&one["vanilla_share"], 0.25);
    // Vanilla: 0.5 · 0.5 + 0.5; the other: 0.5 + 0.5 · 0.6.
    let gain = of(paying);
    assert_eq!(gain["is_degenerate"], false);
    close(&gain["share"], 0.7);
    close(&gain["gain"]["difference"], 0.8 - 0.75);
    close(&gain["gain"]["elsewhere"], 0.6 - 1.0);
    // The breakdown by answer types shows the same by group.
    let strata = list(&analysis, "strata");
    let types = strata
        .iter()
        .find(|strata| strata["by"] == "answer type")
        .unwrap();
    let names: Vec<&Value> = list(types, "groups").iter().map(|g| &g["name"]).collect();
    assert_eq!(names, ["unanswerable", "other"]);
    let cautions = analysis["verdict"]["cautions"].to_string();
    for part in [
        "One answer to 90 % of a group of questions or more: variance+last_token/h2/R8 answers \
         “unanswerable” to 100.0 % of all 120 questions (ground truth 50.0 %, 25.0 % without \
         pruning)",
        "+5.0 points against no pruning, but −40.0 where that is not the answer",
    ] {
        assert!(cautions.contains(part), "{part}\n{cautions}");
    }
    let summary = std::fs::read_to_string(folder.path().join("summary.md")).unwrap();
    assert!(summary.contains("## Frequent answers"));
}

/// Sets the answers of every cell; the control without an image answers in sentences, as one cell
/// does.
fn say(folder: &std::path::Path, says: impl Fn(&str, usize) -> &'static str) {
    edit(folder, |grid, record| {
        for (index, cell) in grid.cells.iter().enumerate() {
            if record.run_of(index).is_some() {
                let text = says(&cell.id, record.index);
                let is_right = record.answers.iter().any(|gold| gold == text);
                answer(record, index, text, f64::from(u8::from(is_right)));
            }
        }
    });
}

#[test]
fn what_explains_a_score_is_said_of_cells_that_see_the_image() {
    let loud = "variance+last_token/h2/R8";
    let words = ["red", "green", "blue", "yellow"];
    let Case {
        folder, analysis, ..
    } = case(|folder| {
        say(folder, |cell, index| match (cell, index % 2) {
            (id, 0) if id == loud || id == "no_image" => "It is a red circle",
            (id, _) if id == loud || id == "no_image" => "I'm sorry, I can't see it",
            _ => words[index % 4],
        });
    });
    let found = list(&analysis, "answer_health");
    let of = |cell: &str| -> Vec<&str> {
        let of_cell = found.iter().filter(|found| found["cell"] == cell);
        of_cell
            .map(|found| found["name"].as_str().unwrap())
            .collect()
    };
    assert_eq!(of(loud), ["longer than references", "refusals"]);
    assert_eq!(of("no_image"), of(loud));
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(
        (&found[0]["dataset"], &found[0]["level"], &found[0]["of"]),
        (&"made-up all".into(), &"loud".into(), &120.into())
    );
    let caution = "The distribution of answers explains a score: variance+last_token/h2/R8: 120 of 120 \
                   answers have more words than any reference, and 120 of them score 0: \
                   sentences where single words are expected; variance+last_token/h2/R8: 60 of 120 \
                   answers refuse.";
    let cautions = list(&analysis["verdict"], "cautions");
    assert!(
        cautions.iter().any(|found| found == caution),
        "{cautions:?}"
    );
    for name in ["summary.md", "report.html"] {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(text.contains(caution), "{name}");
    }
    let run = fp_report::Run::read(folder.path()).unwrap();
    let brief = fp_report::analyse(&run, None).unwrap().verdict.brief();
    assert!(brief.contains(&format!("note: {caution}")), "{brief}");
}

#[test]
fn one_answer_to_everything_is_noted_once() {
    let words = ["red", "green", "blue", "yellow"];
    let Case { analysis, .. } = case(|folder| {
        say(folder, |cell, index| match cell {
            "sum+last_token/h2/R8" => "purple",
            _ => words[index % 4],
        });
    });
    let found = list(&analysis, "answer_health");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["name"], "one answer");
    let cautions = analysis["verdict"]["cautions"].to_string();
    assert!(
        cautions.contains("answers “purple” to 100.0 %"),
        "{cautions}"
    );
    assert!(!cautions.contains("explains a score"), "{cautions}");
}

#[test]
fn answers_that_explain_nothing_are_not_spoken_of() {
    // Right or wrong answers in ordinary words.
    let Case { analysis, .. } = case(|_| {});
    assert!(
        analysis.get("answer_health").is_none(),
        "{}",
        analysis["answer_health"]
    );
    let cautions = analysis["verdict"]["cautions"].to_string();
    assert!(!cautions.contains("explains a score"), "{cautions}");
}

#[test]
fn rates_by_the_clock_and_by_the_thread_are_told_apart() {
    let Case { folder, lines, .. } = case(|_| {});
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let times: Value = serde_json::from_str(&read("timings.json")).unwrap();
    // 120 lines with 0.05 s each.
    let near = |value: &Value, expected: f64| {
        assert!(
            (value.as_f64().unwrap() / expected - 1.0).abs() < 1e-9,
            "{value} {expected}"
        );
    };
    near(&times["wall_seconds"], 6.0);
    near(&times["samples_per_second"], 20.0);
    let runs: usize = lines.samples.iter().map(|s| list(s, "runs").len()).sum();
    let thread_seconds = 120.0 * (0.004 + 0.006 + 0.003 + 0.004 + 0.001) + 0.0005 * runs as f64;
    near(&times["samples_per_thread_second"], 120.0 / thread_seconds);
    // If a part was recorded without wall time, no wall-clock rate is reported.
    let timings = read("timings.jsonl").replacen("\"wall\":0.05", "\"starting\":0.0", 1);
    std::fs::write(folder.path().join("timings.jsonl"), timings).unwrap();
    fp_report::write(folder.path()).unwrap();
    let times: Value = serde_json::from_str(&read("timings.json")).unwrap();
    assert!(times["samples_per_second"].is_null() && times["wall_seconds"].is_null());
}
