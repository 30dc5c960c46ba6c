//! Text-only questions, and questions whose image is missing.

use std::path::Path;

use fp_data::dataset::export::export;
use fp_data::dataset::{
    Benchmark, Dataset, ImageRef, ProblemKind, find, locate, open_but_for_images,
};
use serde_json::{Value, json};

use super::dataset_support::choices;

/// A dataset of the plain form with these lines, and one image, `a.png`.
fn plain(folder: &Path, lines: &[Value]) {
    let description = r#"{"name": "n", "split": "s", "answer_rule": "exact"}"#;
    std::fs::write(folder.join("benchmark.json"), description).unwrap();
    std::fs::write(folder.join("a.png"), b"").unwrap();
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(folder.join("questions.jsonl"), lines).unwrap();
}

/// A line; with `image` `None` it lacks the key.
fn line(id: &str, image: Option<Value>) -> Value {
    let mut line = json!({"id": id, "question": "q", "answers": ["x"], "family": "f"});
    if let Some(image) = image {
        line["image"] = image;
    }
    line
}

fn ids(dataset: &Dataset) -> [Vec<&str>; 2] {
    [&dataset.samples, &dataset.text_only]
        .map(|samples| samples.iter().map(|sample| sample.id.as_str()).collect())
}

#[test]
fn lines_without_an_image_are_set_apart_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        line("key", None),
        line("a", Some(json!("a.png"))),
        line("empty", Some(json!(""))),
        line("null", Some(Value::Null)),
    ];
    plain(folder.path(), &lines);
    let reading = find(folder.path()).unwrap()[0].read().unwrap();
    assert!(reading.problems.is_empty(), "{}", reading.problems);
    let dataset = reading.whole().unwrap();
    assert_eq!(ids(&dataset), [vec!["a"], vec!["key", "empty", "null"]]);
    assert_eq!(
        dataset.notes,
        ["3 of 4 questions have no image and are skipped"]
    );
    let mut images: Vec<&str> = dataset
        .text_only
        .iter()
        .map(|s| s.image_id.as_str())
        .collect();
    images.dedup();
    assert_eq!(images.len(), 3, "each is a cluster of its own: {images:?}");
    assert!(
        dataset
            .text_only
            .iter()
            .all(|sample| sample.image == ImageRef::None)
    );

    // Written and read back, they are the same.
    let again = tempfile::tempdir().unwrap();
    export(&dataset, Benchmark::Plain, again.path()).unwrap();
    let back = fp_data::dataset::load(again.path()).unwrap();
    assert_eq!(back.text_only, dataset.text_only);
    assert_eq!(back.samples.len(), 1);
}

#[test]
fn what_else_is_wrong_with_a_text_only_line_is_said() {
    for (wrong, kind) in [
        (
            json!({"id": "t", "question": "q", "answers": [], "family": "f"}),
            ProblemKind::MissingAnswer,
        ),
        (
            json!({"id": "a", "question": "q", "answers": ["x"], "family": "f"}),
            ProblemKind::DuplicateId,
        ),
        (
            json!({"id": "t", "question": "<image>", "answers": ["x"], "family": "f"}),
            ProblemKind::InvalidValue,
        ),
        (
            json!({"id": "t", "image": 3, "question": "q", "answers": ["x"], "family": "f"}),
            ProblemKind::WrongType,
        ),
        (
            json!({"id": "t", "image": null, "question": 3, "answers": ["x"], "family": "f"}),
            ProblemKind::WrongType,
        ),
        (
            json!({"id": "t", "imge": "a.png", "question": "q", "answers": ["x"], "family": "f"}),
            ProblemKind::Malformed,
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        plain(
            folder.path(),
            &[line("a", Some(json!("a.png"))), wrong.clone()],
        );
        let reading = find(folder.path()).unwrap()[0].read().unwrap();
        assert_eq!(reading.problems.counts().get(&kind), Some(&1), "{wrong}");
        assert_eq!(reading.problems.len(), 1, "{wrong}: {}", reading.problems);
        let message = reading.problems.to_string();
        assert!(!message.contains("image: null"), "{message}");
    }
}

#[test]
fn scienceqa_without_an_image_is_set_apart() {
    let (made, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dataset = choices(made.path());
    export(&dataset, Benchmark::Scienceqa, folder.path()).unwrap();
    let path = folder.path().join("llava_test_CQM-A.json");
    let mut entries: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    entries[0].as_object_mut().unwrap().remove("image");
    entries[1]["image"] = Value::Null;
    entries[2]["image"] = json!("");
    std::fs::write(&path, entries.to_string()).unwrap();
    let whole = fp_data::dataset::load(folder.path()).unwrap();
    let total = dataset.samples.len();
    assert_eq!((whole.samples.len(), whole.text_only.len()), (total - 3, 3));
    let note = format!("3 of {total} questions have no image and are skipped");
    assert_eq!(whole.notes, [note]);
    let first = &whole.text_only[0];
    assert!(!first.question.contains("<image>") && !first.choices.is_empty());
    assert_eq!(first.answers, dataset.samples[0].answers);
}

#[test]
fn images_that_are_not_there_fail_their_questions_alone() {
    let folder = tempfile::tempdir().unwrap();
    let lines = [
        line("0", Some(json!("gone.png"))),
        line("1", Some(json!("a.png"))),
        line("2", Some(json!("gone.png"))),
        line("3", Some(json!("other.png"))),
        line("4", Some(json!("a.png"))),
        line("5", Some(json!("other.png"))),
    ];
    plain(folder.path(), &lines);
    let selector = folder.path().display().to_string();
    // The data check reports every line.
    let reading = locate(&selector).unwrap().read().unwrap();
    assert_eq!(reading.problems.counts()[&ProblemKind::MissingImage], 4);
    assert!(reading.whole().is_err());
    let (dataset, absent) = open_but_for_images(&selector).unwrap();
    assert_eq!(ids(&dataset)[0], ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(absent, ["0", "2", "3", "5"]);
    assert_eq!(
        dataset.samples[0].image,
        folder.path().join("gone.png").into()
    );

    // Anything else that is wrong is an error, and so is a folder without any image.
    let mut wrong = lines.to_vec();
    wrong[3]["answers"] = json!([]);
    plain(folder.path(), &wrong);
    let error = open_but_for_images(&selector).unwrap_err().to_string();
    assert!(error.contains("without an answer"), "{error}");
    plain(folder.path(), &[lines[0].clone(), lines[3].clone()]);
    let error = open_but_for_images(&selector).unwrap_err().to_string();
    assert!(error.contains("2 with a missing image"), "{error}");
}
