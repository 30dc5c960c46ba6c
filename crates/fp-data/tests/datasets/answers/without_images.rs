//! Answers are scored without images; everything else must still be valid.

use std::path::Path;

use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, find, open};
use fp_data::rescore::{AnswerFile, Scored, open_questions};
use serde_json::{Value, json};

use crate::datasets::dataset_support::{choices, embedded, expressions};

/// Deletes every picture below a folder; returns their number.
fn delete_images(folder: &Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += delete_images(&path);
        } else if path
            .extension()
            .is_some_and(|ending| ending == "png" || ending == "jpg")
        {
            std::fs::remove_file(&path).unwrap();
            count += 1;
        }
    }
    count
}

fn right(dataset: &fp_data::dataset::Dataset, path: &Path) {
    let line = |sample: &fp_data::Sample| {
        json!({"question_id": sample.id, "prompt": sample.question, "text": sample.answers[0]})
            .to_string()
    };
    let lines: Vec<String> = dataset.samples.iter().map(line).collect();
    std::fs::write(path, lines.join("\n")).unwrap();
}

#[test]
fn every_layout_is_scored_without_its_images() {
    for benchmark in [
        Benchmark::Plain,
        Benchmark::Vqav2,
        Benchmark::Gqa,
        Benchmark::Textvqa,
        Benchmark::Pope,
        Benchmark::Mme,
        Benchmark::Scienceqa,
        Benchmark::Vizwiz,
        Benchmark::Refcoco,
    ] {
        let source = tempfile::tempdir().unwrap();
        let mut dataset = match benchmark {
            Benchmark::Scienceqa => choices(source.path()),
            Benchmark::Refcoco => expressions(),
            _ => embedded(),
        };
        dataset.samples.truncate(200);
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        export(&dataset, benchmark, &out).unwrap();
        let selector = find(&out).unwrap()[0].selector();
        let before = open(&selector).unwrap();
        let answers = folder.path().join("a.jsonl");
        right(&before, &answers);
        let file = AnswerFile::read(&answers).unwrap();
        let figures = Scored::new("a", &file, &before).unwrap().figures;
        assert!(delete_images(&out) > 0, "{benchmark}");
        let after = open_questions(&selector).unwrap();
        assert_eq!(after.samples.len(), before.samples.len(), "{benchmark}");
        let ids = |dataset: &fp_data::dataset::Dataset| -> Vec<String> {
            dataset
                .samples
                .iter()
                .map(|sample| sample.id.clone())
                .collect()
        };
        assert_eq!(ids(&after), ids(&before), "{benchmark}");
        let note = after
            .notes
            .iter()
            .find(|note| note.contains("scoring doesn't need images"));
        assert!(note.is_some(), "{benchmark}: {:?}", after.notes);
        assert_eq!(
            Scored::new("a", &file, &after).unwrap().figures,
            figures,
            "{benchmark}"
        );
        // Functions that need images still report that there are none.
        let error = fp_scoring::error_text(&open(&selector).unwrap_err());
        assert!(
            error.contains("with a missing image"),
            "{benchmark}: {error}"
        );
    }
}

/// Two questions of the plain form; only the first one's image exists.
fn two(folder: &Path, second: &str) -> String {
    let description = r#"{"name": "n", "split": "s", "answer_rule": "exact"}"#;
    std::fs::write(folder.join("benchmark.json"), description).unwrap();
    std::fs::write(folder.join("a.png"), b"").unwrap();
    let first =
        r#"{"id": "1", "image": "a.png", "question": "q", "answers": ["x"], "family": "f"}"#;
    std::fs::write(
        folder.join("questions.jsonl"),
        format!("{second}\n{first}\n"),
    )
    .unwrap();
    folder.display().to_string()
}

#[test]
fn other_faults_are_still_faults() {
    let folder = tempfile::tempdir().unwrap();
    let gone =
        r#"{"id": "2", "image": "gone.png", "question": "q", "answers": ["x"], "family": "f"}"#;
    let dataset = open_questions(&two(folder.path(), gone)).unwrap();
    let ids: Vec<&str> = dataset
        .samples
        .iter()
        .map(|sample| sample.id.as_str())
        .collect();
    assert_eq!(ids, ["2", "1"]);
    assert_eq!(
        dataset.notes,
        ["1 of 2 questions have no image here; scoring doesn't need images"]
    );
    for (from, to, part) in [
        ("gone.png", "../a.png", "not a path inside"),
        ("[\"x\"]", "[]", "without an answer to score by"),
        ("\"id\": \"2\"", "\"id\": \"\"", "the id is empty"),
    ] {
        let selector = two(folder.path(), &gone.replacen(from, to, 1));
        let error = fp_scoring::error_text(&open_questions(&selector).unwrap_err());
        assert!(
            error.contains(part) && error.contains("1 line can't be used"),
            "{error}"
        );
    }
}

/// MMBench's images are in its table: empty cells, or no column.
#[test]
fn a_table_without_its_images() {
    let header = "index\tquestion\tA\tB\tC\tanswer\timage";
    let rows = [
        "1\tWhich?\tup\tdown\tleft\tA",
        "1000001\tWhich?\tdown\tleft\tup\tC",
        "2\tWho?\tme\tyou\t\tB",
        "1000002\tWho?\tyou\tme\t\tA",
    ];
    let empty = format!("{header}\n{}\t\n", rows.join("\t\n"));
    let none = format!("{}\n{}\n", header.replace("\timage", ""), rows.join("\n"));
    for table in [empty, none] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mmbench_dev.tsv"), table).unwrap();
        let selector = folder.path().display().to_string();
        let dataset = open_questions(&selector).unwrap();
        assert_eq!(dataset.samples.len(), 4);
        let incomplete = "1 of 2 questions have fewer rows than options: 1 has 2 of 3; circular scores are over the rows there are";
        assert_eq!(dataset.notes[1], incomplete);
        assert!(open(&selector).is_err());
        let answers = folder.path().join("a.jsonl");
        right(&dataset, &answers);
        let file = AnswerFile::read(&answers).unwrap();
        let scored = Scored::new("a", &file, &dataset).unwrap();
        assert_eq!(scored.figures.headline().unwrap().value, Some(100.0));
    }
}

/// ScienceQA's two accuracies: over questions with an image, and over all questions.
#[test]
fn science_qa_has_two_accuracies() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let entry = |id: usize| {
        let value = format!("Which {id}?\nA. up\nB. down");
        let mut entry = json!({"id": id.to_string(), "conversations": [
            {"from": "human", "value": value}, {"from": "gpt", "value": "A"}]});
        if id <= 3 {
            entry["image"] = json!(format!("{id}/image.png"));
        }
        entry
    };
    let problems: serde_json::Map<String, Value> = (1..=5)
        .map(|id| {
            (
                id.to_string(),
                json!({"choices": ["up", "down"], "answer": 0}),
            )
        })
        .collect();
    std::fs::write(root.join("problems.json"), json!(problems).to_string()).unwrap();
    let write = |name: &str, ids: &[usize]| {
        let entries: Vec<Value> = ids.iter().map(|id| entry(*id)).collect();
        std::fs::write(root.join(name), json!(entries).to_string()).unwrap();
    };
    let of = |answers: &[(usize, &str)]| {
        let lines = answers
            .iter()
            .map(|(id, text)| json!({"question_id": id.to_string(), "text": text}).to_string());
        let path = root.join("a.jsonl");
        std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let dataset = open_questions(&root.display().to_string()).unwrap();
        assert!(
            !dataset.notes.join(" ").contains("skipped"),
            "{:?}",
            dataset.notes
        );
        let scored = Scored::new("a", &AnswerFile::read(&path).unwrap(), &dataset).unwrap();
        let figures = scored.figures.figures[..2].to_vec();
        assert_eq!(figures[0].name, "IMG accuracy (scienceqa)");
        assert_eq!(figures[1].name, "overall accuracy (scienceqa)");
        let values: Vec<Option<f64>> = figures.iter().map(|figure| figure.value).collect();
        (
            values,
            figures[1].undefined.clone().unwrap_or_default(),
            scored.joined.warnings,
        )
    };
    let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 1e-9;
    write("llava_test_CQM-A.json", &[1, 4, 2, 3, 5]);
    let images = [(1, "A"), (2, "A"), (3, "B")];
    let (values, _, warnings) = of(&[&images[..], &[(4, "A"), (5, "B")]].concat());
    assert!(
        near(values[0], 200.0 / 3.0) && near(values[1], 60.0),
        "{values:?}"
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    let (values, undefined, warnings) = of(&images);
    assert!(
        near(values[0], 200.0 / 3.0) && values[1].is_none(),
        "{values:?}"
    );
    assert_eq!(
        undefined,
        "none of the 2 questions without an image is answered"
    );
    assert!(warnings.is_empty(), "{warnings:?}");
    let (values, _, warnings) = of(&[&images[..], &[(5, "A")]].concat());
    assert!(near(values[1], 60.0), "{values:?}");
    assert!(
        warnings[0].starts_with("1 of 2 questions without an image have no answer"),
        "{warnings:?}"
    );

    std::fs::remove_file(root.join("llava_test_CQM-A.json")).unwrap();
    write("llava_test_CQM-I.json", &[1, 2, 3]);
    let (values, undefined, _) = of(&images);
    assert!(near(values[0], 200.0 / 3.0), "{values:?}");
    assert_eq!(undefined, "the dataset has questions with an image only");
    std::fs::remove_file(root.join("llava_test_CQM-I.json")).unwrap();
    write("llava_test_QCM-LEA.json", &[1, 2, 3]);
    let error = open_questions(&root.display().to_string())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("llava_test_QCM-LEA.json holds") && error.contains("llava_test_CQM-A.json"),
        "{error}"
    );
}
