//! From the tokens that a run kept to a study that compares them as a method.

use std::path::Path;

use crate::common::{fail, succeed};

const CONFIG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../configs/ablation_a_config.json"
);

/// A study of few questions.
const STUDY: [&str; 15] = [
    "study",
    "--config",
    CONFIG,
    "--keep",
    "48",
    "--limit",
    "6",
    "--dataset",
    "embedded:select",
    "--head-selection-strategy",
    "sum",
    "--num-selected-heads",
    "4",
    "--controls",
    "vanilla,all_heads",
];

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_a_limited_run_kept_is_compared_under_the_same_limit() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, third] = ["first", "second", "third"].map(|name| dir.path().join(name));
    let mine = dir.path().join("mine.jsonl");
    succeed(&[&STUDY[..], &["--output", shown(&first)]].concat());
    let cell = ["--cell", "sum+last_token/h4/R48"];
    let export = ["selections", shown(&first), "--output", shown(&mine)];
    succeed(&[&export[..], &cell[..]].concat());
    let lines = std::fs::read_to_string(&mine).unwrap();
    assert_eq!(lines.lines().count(), 6);

    let with = [&STUDY[..], &["--selection", shown(&mine), "--output"]].concat();
    let said = succeed(&[&with[..], &[shown(&second)]].concat());
    let again = succeed(&["report", shown(&second)]);
    for said in [said, again] {
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let at = "At R = 48 (B = 72) against FastV (all_heads), 6 questions on 6 images: ";
        let sentence = flat.split(at).nth(1).unwrap_or_else(|| panic!("{said}"));
        assert!(sentence.contains(": selection:mine ("), "{said}");
    }
    let table = std::fs::read_to_string(second.join("table.tex")).unwrap();
    let row = "selection:mine & & \\multicolumn{1}{r}{";
    let row = table.lines().find(|line| line.starts_with(row));
    assert!(row.unwrap().ends_with(" ($B = 72.0$)} \\\\"), "{table}");

    // Refused before there is a run, whose folder the error therefore doesn't name.
    let rest: Vec<&str> = lines.lines().skip(1).collect();
    std::fs::write(&mine, rest.join("\n")).unwrap();
    let start = format!("error: {}: 1 of 6 questions has no line: `", shown(&mine));
    fail(&[&with[..], &[shown(&third)]].concat(), &[&start]);
    assert!(!third.exists());
}
