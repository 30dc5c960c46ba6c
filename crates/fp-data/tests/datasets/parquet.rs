//! The embedded benchmark as Parquet with the columns of the Hugging Face Hub.
#![cfg(feature = "parquet")]

use fp_data::dataset::{Benchmark, find, locate, parquet};

use super::dataset_support::{check_layout, choices, embedded, expressions};

#[test]
fn every_benchmark_has_its_columns() {
    let dataset = embedded();
    for benchmark in [
        Benchmark::Vqav2,
        Benchmark::Gqa,
        Benchmark::Textvqa,
        Benchmark::Vizwiz,
        Benchmark::Mmvet,
        Benchmark::Mme,
        Benchmark::Pope,
        Benchmark::Docvqa,
        Benchmark::Infovqa,
        Benchmark::Ocrbench,
        Benchmark::Chartqa,
        Benchmark::Mmmu,
    ] {
        check_layout(&dataset, benchmark, parquet::export);
    }
    let folder = tempfile::tempdir().unwrap();
    let dataset = choices(folder.path());
    for benchmark in [
        Benchmark::Scienceqa,
        Benchmark::Mmbench,
        Benchmark::Ai2d,
        Benchmark::Seedbench,
        Benchmark::Mmstar,
        Benchmark::Mmmu,
    ] {
        check_layout(&dataset, benchmark, parquet::export);
    }
    check_layout(&expressions(), Benchmark::Refcoco, parquet::export);
}

fn exported(benchmark: Benchmark) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = embedded();
    dataset.samples.truncate(250);
    parquet::export(&dataset, benchmark, folder.path()).unwrap();
    folder
}

#[test]
fn images_are_read_in_any_order() {
    let folder = exported(Benchmark::Vqav2);
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
fn parts_are_named_by_split() {
    let folder = exported(Benchmark::Textvqa);
    let selector = folder.path().display().to_string();
    let error = locate(&selector).unwrap_err().to_string();
    assert!(error.contains(":validation-noocr"), "{error}");
    let part = locate(&format!("{selector}:validation-ocr")).unwrap();
    assert_eq!(part.read().unwrap().dataset.name, "textvqa_ocr");
}
