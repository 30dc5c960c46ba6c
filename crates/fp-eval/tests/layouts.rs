//! The embedded benchmark in the layout of every benchmark, and back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fp_eval::Sample;
use fp_eval::dataset::export::export;
use fp_eval::dataset::{Benchmark, Dataset, find, load, locate};
use fp_eval::scene::{GenerateOptions, Mixture, Split, write_benchmark};

fn embedded() -> Dataset {
    load(&fp_eval::embedded::benchmark_dir("confirm").unwrap()).unwrap()
}

/// Choices, which the shipped splits don't have, drawn as those were.
fn choices(folder: &Path) -> Dataset {
    let options = GenerateOptions {
        seed: 1,
        split: Split::Confirm,
        num_images: 12,
        questions_per_image: 6,
        mixture: "multiple_choice=1".parse::<Mixture>().unwrap(),
        num_objects: 4..=7,
    };
    write_benchmark(folder, &options, &mut |_| {}).unwrap();
    load(folder).unwrap()
}

/// The first part that a folder holds.
fn read_back(folder: &Path) -> Dataset {
    let part = find(folder).unwrap().into_iter().next().unwrap();
    part.read().unwrap().whole().unwrap()
}

/// What a model may have said: right two times out of three.
fn recorded(number: usize, sample: &Sample, others: &[&str]) -> String {
    let right = &sample.answers[0];
    let wrong = others
        .iter()
        .find(|other| **other != right.as_str())
        .unwrap();
    let said = if number.is_multiple_of(3) {
        wrong
    } else {
        right.as_str()
    };
    let mut letters = said.chars();
    let first = letters.next().unwrap().to_uppercase();
    first.chain(letters).collect()
}

#[track_caller]
fn check_same(original: &[&Sample], back: &Dataset) {
    let pixels = |sample: &Sample| sample.image.read().unwrap();
    assert_eq!(back.samples.len(), original.len());
    let mut images: HashMap<&str, &str> = HashMap::new();
    for (before, after) in original.iter().zip(&back.samples) {
        assert_eq!(after.question, before.question);
        let mut answers = after.answers.clone();
        answers.dedup();
        for answer in &mut answers {
            if back.answer_rule.is_yes_no() {
                *answer = answer.to_lowercase();
            }
        }
        assert_eq!(answers, before.answers);
        assert_eq!(pixels(after), pixels(before));
        // The same questions share an image, whatever it is called.
        let known = images.entry(&after.image_id).or_insert(&before.image_id);
        if !matches!(back.benchmark, Benchmark::Scienceqa | Benchmark::Mmbench) {
            assert_eq!(*known, before.image_id);
        }
        let is_near =
            |a: &[f64; 4], b: &[f64; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        let has = |area: &[f64; 4]| after.boxes.iter().any(|other| is_near(area, other));
        // MMBench has no boxes; TextVQA those of every token that says the answer.
        if back.benchmark != Benchmark::Mmbench {
            assert!(before.boxes.iter().all(has), "{}", after.id);
        }
        if !matches!(back.benchmark, Benchmark::Mmbench | Benchmark::Textvqa) {
            assert_eq!(after.boxes.len(), before.boxes.len(), "{}", after.id);
        }
    }
}

#[track_caller]
fn check_layout(dataset: &Dataset, benchmark: Benchmark, others: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let exported = export(dataset, benchmark, folder.path()).unwrap();
    let back = read_back(folder.path());
    assert_eq!(exported.num_samples, back.samples.len());
    let num_left_out = dataset.samples.len() - back.samples.len();
    assert_eq!(exported.num_left_out, num_left_out);
    assert_eq!(exported.reason.is_some(), num_left_out > 0);
    let original = matching(dataset, &back);
    check_same(&original, &back);
    if back.judge.is_some() {
        return;
    }
    let (mut before, mut after) = (0.0, 0.0);
    for (number, (a, b)) in original.iter().zip(&back.samples).enumerate() {
        let said = recorded(number, a, others);
        before += a.score(dataset.answer_rule, &said);
        after += b.score(back.answer_rule, &said);
    }
    assert!(after > 0.0 && after < back.samples.len() as f64);
    assert_eq!(after, before, "{benchmark}");
}

/// The samples that were written, found again by prompt and image.
fn matching<'a>(dataset: &'a Dataset, back: &Dataset) -> Vec<&'a Sample> {
    let mut known: HashMap<(String, Vec<u8>), Vec<&Sample>> = HashMap::new();
    for sample in dataset.samples.iter().rev() {
        let key = (sample.question.clone(), sample.image.read().unwrap());
        known.entry(key).or_default().push(sample);
    }
    let found = back.samples.iter().map(|sample| {
        let key = (sample.question.clone(), sample.image.read().unwrap());
        known.get_mut(&key).unwrap().pop().unwrap()
    });
    found.collect()
}

const WORDS: [&str; 3] = ["red", "7", "maybe"];

#[test]
fn whole_benchmark_in_layouts_of_open_questions() {
    let dataset = embedded();
    for benchmark in [
        Benchmark::Plain,
        Benchmark::Vqav2,
        Benchmark::Gqa,
        Benchmark::Vizwiz,
        Benchmark::Mmvet,
    ] {
        check_layout(&dataset, benchmark, &WORDS);
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
    check_layout(&dataset, Benchmark::Textvqa, &WORDS);
}

#[test]
fn yes_or_no_questions() {
    let dataset = embedded();
    check_layout(&dataset, Benchmark::Pope, &["yes", "no"]);
    check_layout(&dataset, Benchmark::Mme, &["yes", "no"]);
}

#[test]
fn choices_in_rotations() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = choices(folder.path());
    check_layout(&dataset, Benchmark::Scienceqa, &["A", "B"]);
    check_layout(&dataset, Benchmark::Mmbench, &["A", "B"]);
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
        error.to_string().contains("nothing is overwritten"),
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
    let error = locate(&selector).unwrap_err().to_string();
    assert!(
        error.contains(":ocr") && error.contains(":noocr"),
        "{error}"
    );
    let part = locate(&format!("{selector}:noocr")).unwrap();
    assert_eq!(part.read().unwrap().dataset.name, "textvqa_noocr");
    let error = locate(&format!("{selector}:val")).unwrap_err().to_string();
    assert!(
        error.contains("no part `val`; it has ocr, noocr"),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    let error = locate(&empty.path().display().to_string()).unwrap_err();
    assert!(error.to_string().contains("POPE"), "{error}");
}

#[test]
fn missing_and_damaged_files_are_named() {
    use fp_eval::dataset::ProblemKind;
    let problems = |path: &Path| {
        let part = find(path).unwrap().into_iter().next().unwrap();
        part.read().map(|reading| reading.problems)
    };
    let (_folder, path) = exported(Benchmark::Pope);
    let questions = path.join("llava_pope_test.jsonl");
    let text = std::fs::read_to_string(&questions).unwrap();
    let mut bytes = text.clone().into_bytes();
    bytes.extend(b"{\"question_id\": 1, \"image\": \"caf\xe9.jpg\"}\n{\n");
    bytes.extend(text.lines().next().unwrap().as_bytes());
    std::fs::write(&questions, bytes).unwrap();
    let counts = problems(&path).unwrap();
    let kinds: Vec<ProblemKind> = counts.counts().keys().copied().collect();
    let expected = [
        ProblemKind::Encoding,
        ProblemKind::Malformed,
        ProblemKind::MissingAnswer,
    ];
    assert_eq!(kinds, expected, "{counts}");

    std::fs::write(&questions, &text).unwrap();
    let label = std::fs::read_dir(path.join("coco"))
        .unwrap()
        .next()
        .unwrap();
    let label = label.unwrap().path();
    let labels = std::fs::read_to_string(&label).unwrap();
    let half: Vec<&str> = labels.lines().skip(1).collect();
    std::fs::write(&label, half.join("\n")).unwrap();
    let message = problems(&path).unwrap().to_string();
    assert!(
        message.contains("without an answer to score by"),
        "{message}"
    );
    std::fs::remove_file(&label).unwrap();
    let error = problems(&path).unwrap_err().to_string();
    assert!(error.contains("file of labels"), "{error}");

    let (_folder, path) = exported(Benchmark::Vqav2);
    let annotations = path.join("v2_mscoco_val2014_annotations.json");
    let text = std::fs::read_to_string(&annotations).unwrap();
    std::fs::write(&annotations, &text[..text.len() / 2]).unwrap();
    let error = problems(&path).unwrap_err().to_string();
    assert!(error.contains("cut off"), "{error}");
    std::fs::write(
        &annotations,
        text.replacen("\"answers\":[", "\"answers\":[3,", 1),
    )
    .unwrap();
    let error = problems(&path).unwrap_err().to_string();
    assert!(error.contains("invalid type"), "{error}");
    std::fs::write(&annotations, text).unwrap();
    std::fs::remove_file(path.join("val2014/confirm-00000.png")).unwrap();
    let counts = problems(&path).unwrap();
    assert!(counts.counts()[&ProblemKind::MissingImage] > 1, "{counts}");
    assert_eq!(counts.len(), counts.counts()[&ProblemKind::MissingImage]);
}
