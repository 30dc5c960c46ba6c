//! The embedded benchmark as Parquet with the columns of the Hugging Face Hub.
#![cfg(feature = "parquet")]

use std::path::{Path, PathBuf};

use fp_eval::Sample;
use fp_eval::dataset::{Benchmark, Dataset, Form, find, load, locate, parquet};
use fp_eval::scene::{GenerateOptions, Mixture, Split, write_benchmark};

fn embedded() -> Dataset {
    load(&fp_eval::embedded::benchmark_dir("confirm").unwrap()).unwrap()
}

fn choices(folder: &Path) -> Dataset {
    let options = GenerateOptions {
        seed: 1,
        split: Split::Confirm,
        num_images: 6,
        questions_per_image: 6,
        mixture: "multiple_choice=1".parse::<Mixture>().unwrap(),
        num_objects: 4..=7,
    };
    write_benchmark(folder, &options, &mut |_| {}).unwrap();
    load(folder).unwrap()
}

/// Prompts, answers, images and boxes are those of the samples that were written.
#[track_caller]
fn check(dataset: &Dataset, benchmark: Benchmark, is_accurate: impl Fn(&Sample) -> String) {
    let folder = tempfile::tempdir().unwrap();
    let exported = parquet::export(dataset, benchmark, folder.path()).unwrap();
    let part = find(folder.path()).unwrap().remove(0);
    assert_eq!((part.benchmark, part.form), (benchmark, Form::Parquet));
    let back = part.read().unwrap().whole().unwrap();
    assert_eq!(back.samples.len(), exported.num_samples, "{benchmark}");
    let mut candidates = dataset.samples.iter().peekable();
    let mut score = [0.0; 2];
    for after in &back.samples {
        let pixels = after.image.read().unwrap();
        let mut same = dataset
            .samples
            .iter()
            .filter(|before| before.question == after.question);
        let before = same
            .find(|before| before.image.read().unwrap() == pixels)
            .unwrap();
        assert!(candidates.peek().is_some());
        assert_eq!(after.boxes, before.boxes);
        assert_eq!(
            after.answers[0].to_lowercase(),
            before.answers[0].to_lowercase()
        );
        let said = is_accurate(before);
        score[0] += before.score(dataset.answer_rule, &said);
        score[1] += after.score(back.answer_rule, &said);
    }
    if back.judge.is_none() {
        assert!(score[0] > 0.0);
        assert_eq!(score[0], score[1], "{benchmark}");
    }
}

#[test]
fn every_benchmark_has_its_columns() {
    let mut dataset = embedded();
    dataset.samples.truncate(150);
    let answer = |sample: &Sample| match sample.id.ends_with('1') {
        true => "maybe".to_owned(),
        false => sample.answers[0].clone(),
    };
    for benchmark in [
        Benchmark::Vqav2,
        Benchmark::Gqa,
        Benchmark::Textvqa,
        Benchmark::Vizwiz,
        Benchmark::Mmvet,
        Benchmark::Mme,
    ] {
        check(&dataset, benchmark, answer);
    }
    check(&dataset, Benchmark::Pope, |sample| {
        sample.answers[0].clone()
    });
    let folder = tempfile::tempdir().unwrap();
    let dataset = choices(folder.path());
    for benchmark in [Benchmark::Scienceqa, Benchmark::Mmbench] {
        check(&dataset, benchmark, |sample| {
            match sample.id.ends_with('1') {
                true => "?".to_owned(),
                false => sample.answers[0].clone(),
            }
        });
    }
}

fn exported(benchmark: Benchmark) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = embedded();
    dataset.samples.truncate(250);
    parquet::export(&dataset, benchmark, folder.path()).unwrap();
    let path = match benchmark {
        Benchmark::Pope => "data/test-00000-of-00001.parquet",
        _ => "data/validation-00000-of-00001.parquet",
    };
    let path = folder.path().join(path);
    (folder, path)
}

#[test]
fn images_are_read_in_any_order() {
    let (folder, _) = exported(Benchmark::Vqav2);
    let part = find(folder.path()).unwrap().remove(0);
    let back = part.read().unwrap().whole().unwrap();
    let in_order: Vec<Vec<u8>> = back
        .samples
        .iter()
        .map(|s| s.image.read().unwrap())
        .collect();
    for (sample, bytes) in back.samples.iter().zip(&in_order).rev() {
        assert_eq!(&sample.image.read().unwrap(), bytes);
    }
    // Questions on one image share the row of the first.
    let images: std::collections::HashSet<_> = back.samples.iter().map(|s| &s.image).collect();
    let ids: std::collections::HashSet<_> = back.samples.iter().map(|s| &s.image_id).collect();
    assert_eq!(images.len(), ids.len());
    let name = back.samples[0].image.name(folder.path());
    assert_eq!(name, "data/validation-00000-of-00001.parquet#row=0");
}

#[test]
fn a_file_that_is_cut_off_says_so() {
    let (folder, path) = exported(Benchmark::Pope);
    let bytes = std::fs::read(&path).unwrap();
    for len in [0, 7, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..len]).unwrap();
        let error = find(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("cut off") && error.contains("test-00000"),
            "{len}: {error}"
        );
    }
}

#[test]
fn parts_are_named_by_split() {
    let (folder, _) = exported(Benchmark::Textvqa);
    let selector = folder.path().display().to_string();
    let error = locate(&selector).unwrap_err().to_string();
    assert!(error.contains(":validation-noocr"), "{error}");
    let part = locate(&format!("{selector}:validation-ocr")).unwrap();
    assert_eq!(part.read().unwrap().dataset.name, "textvqa_ocr");
}
