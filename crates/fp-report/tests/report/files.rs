//! Files that are written, their inputs, and failures.

use std::path::Path;

use fp_eval::study::{FORMAT, OLDEST_FORMAT, RecordsWriter};
use fp_report::{ReportError, Run};

use super::synthetic::{Size, write_run};

fn run(seed: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", Size::default(), seed);
    folder
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let folder = run(1);
    let files = [
        "results.json",
        "cells.csv",
        "summary.md",
        "table.tex",
        "report.html",
    ];
    fp_report::write(folder.path()).unwrap();
    let first = files.map(|name| read(folder.path(), name));
    fp_report::write(folder.path()).unwrap();
    assert!(files.map(|name| read(folder.path(), name)) == first);
    // Other times, another start, another order of lines: only times change.
    let timings = read(folder.path(), "timings.jsonl").replace("0.004", "0.005");
    std::fs::write(folder.path().join("timings.jsonl"), timings).unwrap();
    let spec = read(folder.path(), "run.json").replace("1700000000", "1800000000");
    std::fs::write(folder.path().join("run.json"), spec).unwrap();
    let records = read(folder.path(), "records.jsonl");
    let mut lines: Vec<&str> = records.lines().collect();
    lines.reverse();
    std::fs::write(folder.path().join("records.jsonl"), lines.join("\n") + "\n").unwrap();
    fp_report::write(folder.path()).unwrap();
    for (name, before) in files.iter().zip(&first).take(4) {
        assert!(read(folder.path(), name) == *before, "{name}");
    }
}

/// Moves the records from the lines of made-up runs into blocks.
fn to_blocks(folder: &Path) {
    let records = fp_eval::study::read_records(folder).unwrap();
    let mut writer = RecordsWriter::create(folder).unwrap();
    for record in &records {
        writer.push(record).unwrap();
    }
    writer.finish().unwrap();
    std::fs::remove_file(folder.join("records.jsonl")).unwrap();
}

#[test]
fn reports_of_blocks_and_of_lines_are_the_same() {
    let [lines, blocks] = [run(1), run(1)];
    to_blocks(blocks.path());
    let spec = read(lines.path(), "run.json");
    let old = format!("\"format\": {OLDEST_FORMAT}");
    let old = spec.replacen(&format!("\"format\": {FORMAT}"), &old, 1);
    std::fs::write(lines.path().join("run.json"), old).unwrap();
    for folder in [&lines, &blocks] {
        fp_report::write(folder.path()).unwrap();
    }
    for name in ["cells.csv", "near_ties.csv", "table.tex"] {
        let [of_lines, of_blocks] = [&lines, &blocks].map(|folder| read(folder.path(), name));
        assert!(of_lines == of_blocks, "{name}");
    }
    let [of_lines, of_blocks] = [&lines, &blocks].map(|folder| {
        let results = read(folder.path(), "results.json");
        let results: serde_json::Value = serde_json::from_str(&results).unwrap();
        results["analysis"].clone()
    });
    assert!(of_lines == of_blocks);
    // A damaged block is an error that names it.
    let path = blocks.path().join("records.blocks");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = fp_scoring::error_text(&fp_report::write(blocks.path()).unwrap_err());
    assert!(
        error.contains("records.blocks, block 2 was damaged"),
        "{error}"
    );
    // A truncated block is omitted, as a truncated line is.
    std::fs::write(&path, &bytes[..last]).unwrap();
    let written = fp_report::write(blocks.path()).unwrap();
    assert_eq!(written.analysis.samples.recorded, 64);
}

#[test]
fn files_are_well_formed() {
    let folder = run(1);
    let written = fp_report::write(folder.path()).unwrap();
    assert_eq!(written.files.len(), 7);
    let csv = read(folder.path(), "cells.csv");
    let fields: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(fields.len(), 1 + written.analysis.cells.len());
    assert!(fields.iter().all(|count| *count == fields[0]), "{fields:?}");
    let summary = read(folder.path(), "summary.md");
    assert!(summary.contains(&written.analysis.verdict.headline));
    for table in summary.split("\n\n").filter(|part| part.starts_with('|')) {
        let bars: Vec<usize> = table
            .lines()
            .map(|line| line.matches('|').count())
            .collect();
        assert!(bars.iter().all(|count| *count == bars[0]), "{table}");
    }
    let table = read(folder.path(), "table.tex");
    assert_eq!(
        table.matches("\\begin").count(),
        table.matches("\\end").count()
    );
    assert!(table.contains("gini\\_coefficient") && table.contains("$^\\dagger$"));
    let page = read(folder.path(), "report.html");
    assert!(page.len() < 6_000_000, "{}", page.len());
    for outside in [
        "src=\"http",
        "href=\"http",
        "url(http",
        "@import",
        "src=\"//",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_repetition_is_the_noise_floor() {
    let [folder, same, other] = [run(1), run(1), run(2)];
    let floor = |repetition: &Path| {
        let repetition = Run::read(repetition).unwrap();
        let run = Run::read(folder.path()).unwrap();
        fp_report::analyse(&run, Some(&repetition))
            .unwrap()
            .noise_floor
            .unwrap()
    };
    let none = floor(same.path());
    assert_eq!(
        (none.texts_differ, none.kept_differ, none.unexplained),
        (0, 0, 0)
    );
    assert_eq!(none.num_samples, 120);
    let some = floor(other.path());
    assert!(some.scores_differ > 0 && some.largest_cell_difference > 0.0);
    assert_eq!(some.kept_differ, 0);
}

#[test]
fn two_runs_are_compared_by_sample() {
    let [first, same, other] = [run(1), run(1), run(2)];
    let none = fp_report::compare(first.path(), same.path()).unwrap();
    assert_eq!(
        (none.num_shared, none.only_first, none.cells.len()),
        (120, 0, 102)
    );
    assert!(none.changes.is_empty(), "{:?}", none.changes);
    assert!(none.cells.iter().all(|cell| {
        let comparison = cell.comparison.as_ref().unwrap();
        cell.texts_differ == 0 && comparison.is_identical
    }));
    let some = fp_report::compare(first.path(), other.path()).unwrap();
    let vanilla = &some.cells[0];
    let means = [first.path(), other.path()]
        .map(|folder| super::naive::mean(&super::naive::Lines::read(folder).scores("vanilla")));
    let difference = vanilla.comparison.as_ref().unwrap().difference;
    assert!((difference - (means[1] - means[0])).abs() < 1e-12);
    assert!(vanilla.texts_differ > 0 && vanilla.kept_differ == 0);
}

#[test]
fn what_cannot_be_reported_is_an_error() {
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(
        fp_report::write(empty.path()),
        Err(ReportError::Study(_))
    ));
    let folder = run(1);
    let records = folder.path().join("records.jsonl");
    let text = read(folder.path(), "records.jsonl");
    std::fs::write(&records, text.replacen("red", "rad", 1)).unwrap();
    let error = fp_scoring::error_text(&fp_report::write(folder.path()).unwrap_err());
    assert!(
        error.contains("line") && error.contains("checksum"),
        "{error}"
    );
    std::fs::write(&records, "").unwrap();
    assert!(matches!(
        fp_report::write(folder.path()),
        Err(ReportError::NoSamples { .. })
    ));
    let first = text.lines().next().unwrap();
    std::fs::write(&records, format!("{first}\n{first}\n")).unwrap();
    let error = fp_scoring::error_text(&fp_report::write(folder.path()).unwrap_err());
    assert!(error.contains("recorded twice"), "{error}");
}

#[test]
fn one_sample_is_enough_for_a_page() {
    let folder = run(1);
    let text = read(folder.path(), "records.jsonl");
    let first = text.lines().next().unwrap();
    std::fs::write(folder.path().join("records.jsonl"), format!("{first}\n")).unwrap();
    let written = fp_report::write(folder.path()).unwrap();
    let cautions = written.analysis.verdict.cautions.join(" ");
    assert!(
        cautions.contains("1 of 120 samples are recorded"),
        "{cautions}"
    );
    assert!(written.analysis.references.is_empty());
}
