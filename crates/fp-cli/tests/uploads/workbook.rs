//! The submission workbook of MMBench.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{answer, fixture, lines, upload};
use crate::common::succeed;

/// An MMBench table of rows with two to four options, and their answers.
fn mmbench(rows: &[(u64, Vec<&str>, char, &str)], folder: &Path) -> PathBuf {
    let header = "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\tsource\tl2-category\tcomment\tsplit\timage\n";
    let mut table = header.to_owned();
    let mut answers = Vec::new();
    let image = "iVBORw0KGgo".repeat(12);
    for (index, options, gold, text) in rows {
        let option = |place: usize| options.get(place).copied().unwrap_or_default();
        table += &format!(
            "{index}\tWhich?\tnan\t{}\t{}\t{}\t{}\t{gold}\tc\ts\tl\tnan\tdev\t{image}\n",
            option(0),
            option(1),
            option(2),
            option(3)
        );
        answers.push(answer(&json!(index), "Which?", text));
    }
    let path = folder.join("answers.jsonl");
    lines(&path, answers);
    std::fs::write(folder.join("mmbench_dev_20230712.tsv"), table).unwrap();
    path
}

#[test]
fn mmbench_is_a_workbook_with_a_column_of_answers() {
    let folder = tempfile::tempdir().unwrap();
    let two = || vec!["up", "down"];
    let rows = [
        (1, two(), 'A', "A"),
        (1_000_001, two(), 'B', "B. down"),
        (2, vec!["1", "2.50", "", "x"], 'B', "A"),
    ];
    let answers = mmbench(&rows, folder.path());
    let dataset = folder.path().display().to_string();
    let (content, _) = upload(&dataset, &answers, "xlsx");
    let book = folder.path().join("book.xlsx");
    std::fs::write(&book, content).unwrap();
    let of = |path: &Path, dataset: &[&str]| {
        let path = path.display().to_string();
        let text = succeed(&[&["rescore", &path, "--json"], dataset].concat());
        let value: Value = serde_json::from_str(&text).unwrap();
        value["files"][0]["figures"].clone()
    };
    // The workbook includes its questions, and gives the same results as answers and dataset.
    let figures = of(&book, &[]);
    assert_eq!(figures, of(&answers, &["--dataset", &dataset]));
    assert_eq!(figures[0]["value"], 50.0);
}

#[test]
fn mmbench_golden() {
    let Some(root) = fixture("mmbench_circular") else {
        return;
    };
    let golds: Vec<char> = root["answer"].as_str().unwrap().chars().collect();
    for case in root["cases"].as_array().unwrap() {
        let preds: Vec<char> = case["preds"].as_str().unwrap().chars().collect();
        let texts: Vec<String> = preds
            .iter()
            .enumerate()
            .map(|(row, letter)| match letter {
                '?' => case["other_text"][row.to_string()]["text"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
                letter => letter.to_string(),
            })
            .collect();
        let rows: Vec<(u64, Vec<&str>, char, &str)> = (0..golds.len())
            .map(|row| {
                let index = root["index"][row].as_u64().unwrap();
                let num_options = root["n_options"][row].as_u64().unwrap() as usize;
                // The texts of options matter only to a few answers, for which they are given.
                let given = &case["other_text"][row.to_string()]["choices"];
                let option = |letter: char| given[letter.to_string()].as_str();
                let options = ('A'..='D').take(num_options);
                let options = options.map(|letter| option(letter).unwrap_or("an option"));
                (index, options.collect(), golds[row], texts[row].as_str())
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let answers = mmbench(&rows, folder.path());
        let (content, _) = upload(&folder.path().display().to_string(), &answers, "xlsx");
        let book = folder.path().join("book.xlsx");
        std::fs::write(&book, content).unwrap();
        let text = succeed(&["rescore", &book.display().to_string(), "--json"]);
        let value: Value = serde_json::from_str(&text).unwrap();
        let figures = value["files"][0]["figures"].as_array().unwrap();
        for (name, key) in [
            ("circular (mmbench)", "circular"),
            ("vanilla, first rotation (mmbench)", "vanilla_0"),
            ("vanilla, all rows (mmbench)", "vanilla_all"),
        ] {
            let found = figures
                .iter()
                .find(|figure| figure["name"] == name)
                .unwrap();
            let expected = 100.0 * case["expected"][key].as_f64().unwrap();
            let found = found["value"].as_f64().unwrap();
            assert!(
                (found - expected).abs() < 1e-9,
                "{}: {name}: {found} {expected}",
                case["id"]
            );
        }
    }
}
