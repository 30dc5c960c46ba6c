//! The embedded benchmark in the layout of every benchmark, and back.

use std::path::PathBuf;

use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, Dataset, locate};

use super::dataset_support::{check_layout, choices, embedded, expressions, read_back};

#[test]
fn whole_benchmark_in_layouts_of_open_questions() {
    let dataset = embedded();
    for benchmark in [
        Benchmark::Plain,
        Benchmark::Vqav2,
        Benchmark::Gqa,
        Benchmark::Vizwiz,
        Benchmark::Mmvet,
        Benchmark::Docvqa,
        Benchmark::Infovqa,
        Benchmark::Chartqa,
        Benchmark::Ocrbench,
        Benchmark::Mmmu,
    ] {
        check_layout(&dataset, benchmark, export);
        let folder = tempfile::tempdir().unwrap();
        let exported = export(&dataset, benchmark, folder.path()).unwrap();
        assert_eq!(exported.num_left_out, 0, "{benchmark}");
        let ids = |dataset: &Dataset| -> Vec<String> {
            dataset
                .samples
                .iter()
                .map(|sample| sample.id.clone())
                .collect()
        };
        if benchmark != Benchmark::Mmvet {
            assert_eq!(ids(&read_back(folder.path())), ids(&dataset), "{benchmark}");
        }
    }
}

#[test]
fn text_vqa_keeps_all_but_what_is_asked_twice() {
    let dataset = embedded();
    check_layout(&dataset, Benchmark::Textvqa, export);
}

#[test]
fn yes_or_no_questions() {
    let dataset = embedded();
    check_layout(&dataset, Benchmark::Pope, export);
    check_layout(&dataset, Benchmark::Mme, export);
}

#[test]
fn choices_in_rotations() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = choices(folder.path());
    check_layout(&dataset, Benchmark::Scienceqa, export);
    check_layout(&dataset, Benchmark::Mmbench, export);
    for benchmark in [
        Benchmark::Ai2d,
        Benchmark::Seedbench,
        Benchmark::Mmstar,
        Benchmark::Mmmu,
    ] {
        check_layout(&dataset, benchmark, export);
        let out = tempfile::tempdir().unwrap();
        export(&dataset, benchmark, out.path()).unwrap();
        let back = read_back(out.path());
        for sample in &back.samples {
            assert_eq!(sample.choices.len(), 4, "{benchmark}");
            let lines = ('A'..='D').zip(&sample.choices);
            let lines: String = lines.map(|(l, text)| format!("\n{l}. {text}")).collect();
            assert!(sample.question.contains(&lines), "{benchmark}: {lines}");
        }
    }
    let out = tempfile::tempdir().unwrap();
    export(&dataset, Benchmark::Mmbench, out.path()).unwrap();
    let back = read_back(out.path());
    // Four rotations of a question differ by a million in their index.
    let indices: Vec<&str> = back.samples[..5].iter().map(|s| s.id.as_str()).collect();
    assert_eq!(indices, ["1", "1000001", "2000001", "3000001", "2"]);
    assert!(
        back.samples[..4]
            .iter()
            .all(|s| s.image == back.samples[0].image)
    );
}

#[test]
fn expressions_and_their_boxes() {
    let dataset = expressions();
    assert!(dataset.samples.len() > 100);
    check_layout(&dataset, Benchmark::Refcoco, export);
    check_layout(&dataset, Benchmark::Plain, export);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = export(&embedded(), Benchmark::Mmbench, folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("a choice of two to four"),
        "{error}"
    );
    std::fs::write(folder.path().join("a"), "").unwrap();
    let error = export(&embedded(), Benchmark::Gqa, folder.path()).unwrap_err();
    assert!(
        error.to_string().contains("choose a new or empty folder"),
        "{error}"
    );
}

fn exported(benchmark: Benchmark) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    export(&embedded(), benchmark, &path).unwrap();
    (folder, path)
}

#[test]
fn parts_are_named() {
    let (_folder, path) = exported(Benchmark::Textvqa);
    let selector = path.display().to_string();
    let error = fp_scoring::error_text(&locate(&selector).unwrap_err());
    assert!(
        error.contains(":ocr") && error.contains(":noocr"),
        "{error}"
    );
    let part = locate(&format!("{selector}:noocr")).unwrap();
    assert_eq!(part.read().unwrap().dataset.name, "textvqa_noocr");
    let error = fp_scoring::error_text(&locate(&format!("{selector}:val")).unwrap_err());
    assert!(
        error.contains("no split `val`; it has ocr, noocr"),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    let error = locate(&empty.path().display().to_string()).unwrap_err();
    assert!(error.to_string().contains("POPE"), "{error}");
}
