//! Datasets with known answers, written in a layout and read back.

use std::collections::HashMap;
use std::path::Path;

use fp_data::Sample;
use fp_data::dataset::export::Exported;
use fp_data::dataset::{Benchmark, Dataset, DatasetError, find, load};
use fp_data::metric::{AnswerRule, refcoco};
use fp_data::scene::{GenerateOptions, Mixture, Split, write_benchmark};

pub(crate) fn embedded() -> Dataset {
    load(&fp_data::embedded::benchmark_dir("confirm").unwrap()).unwrap()
}

/// Multiple-choice questions, which the shipped splits lack, generated in the same way.
pub(crate) fn choices(folder: &Path) -> Dataset {
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

/// The embedded questions that one box decides, turned into expressions.
pub(crate) fn expressions() -> Dataset {
    let mut dataset = embedded();
    dataset.answer_rule = AnswerRule::Refcoco;
    dataset.samples.retain(|sample| sample.boxes.len() == 1);
    for sample in &mut dataset.samples {
        let size = sample.image.size().unwrap();
        let text = sample.question.lines().next().unwrap();
        sample.question = refcoco::question_text(text);
        sample.answers = vec![refcoco::answer(sample.boxes[0], size)];
    }
    dataset
}

/// Wrong answers to give, by benchmark.
pub(crate) fn wrong(benchmark: Benchmark) -> &'static [&'static str] {
    match benchmark {
        Benchmark::Pope | Benchmark::Mme => &["yes", "no"],
        Benchmark::Scienceqa
        | Benchmark::Mmbench
        | Benchmark::Ai2d
        | Benchmark::Seedbench
        | Benchmark::Mmstar => &["A", "B"],
        // Answers that are neither similar nor contained.
        Benchmark::Docvqa | Benchmark::Infovqa => &["qqqqqqqqqq"],
        Benchmark::Ocrbench => &["?!"],
        Benchmark::Refcoco => &["[0, 0, 0.01, 0.01]"],
        _ => &["red", "7", "maybe"],
    }
}

/// A model's answer: wrong every third time.
pub(crate) fn recorded(number: usize, sample: &Sample, others: &[&str]) -> String {
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

/// Reads the first dataset in a folder.
pub(crate) fn read_back(folder: &Path) -> Dataset {
    let part = find(folder).unwrap().into_iter().next().unwrap();
    part.read().unwrap().whole().unwrap()
}

type Write = fn(&Dataset, Benchmark, &Path) -> Result<Exported, DatasetError>;

/// Writes a dataset and reads it back: prompts, answers, images and boxes are the same, and so is
/// the accuracy of the same recorded answers.
#[track_caller]
pub(crate) fn check_layout(dataset: &Dataset, benchmark: Benchmark, write: Write) {
    let folder = tempfile::tempdir().unwrap();
    let exported = write(dataset, benchmark, folder.path()).unwrap();
    let back = read_back(folder.path());
    assert_eq!(back.benchmark, benchmark);
    assert_eq!(exported.num_samples, back.samples.len());
    let num_left_out = dataset.samples.len() - back.samples.len();
    assert_eq!(exported.num_left_out, num_left_out);
    assert_eq!(exported.reason.is_some(), num_left_out > 0);
    let original = matching(dataset, &back);
    check_same(&original, &back);
    if back.judge.is_some() {
        return;
    }
    let (mut before, mut after, mut expected) = (0.0, 0.0, 0.0);
    for (number, (a, b)) in original.iter().zip(&back.samples).enumerate() {
        let said = recorded(number, a, wrong(benchmark));
        before += a.score(dataset.answer_rule, &said);
        after += b.score(back.answer_rule, &said);
        expected += f64::from(u8::from(!number.is_multiple_of(3)));
    }
    assert_eq!((before, after), (expected, expected), "{benchmark}");
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
        // The same questions share an image, whatever its name.
        let known = images.entry(&after.image_id).or_insert(&before.image_id);
        if !matches!(back.benchmark, Benchmark::Scienceqa | Benchmark::Mmbench) {
            assert_eq!(*known, before.image_id);
        }
        let is_near =
            |a: &[f64; 4], b: &[f64; 4]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        let has = |area: &[f64; 4]| after.boxes.iter().any(|other| is_near(area, other));
        // MMBench has no boxes; TextVQA has those of every token that equals the answer.
        if back.benchmark != Benchmark::Mmbench {
            assert!(before.boxes.iter().all(has), "{}", after.id);
        }
        if !matches!(back.benchmark, Benchmark::Mmbench | Benchmark::Textvqa) {
            assert_eq!(after.boxes.len(), before.boxes.len(), "{}", after.id);
        }
    }
}

/// The samples that were written, found by prompt and image.
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
