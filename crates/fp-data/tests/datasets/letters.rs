//! Multiple-choice questions: lines beside the authors' files of answers.

use Expect::{Problems, Refused, Same};
use ProblemKind::{InvalidValue, Malformed, MissingAnswer, MissingImage};
use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, Dataset, ProblemKind, open};
use serde_json::{Value, json};

use super::damage::{
    Expect, check, first_line_again, half, latin_1, replaced, utf_16, with_crlf, with_mark,
};
use super::dataset_support::choices;

fn few() -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let mut dataset = choices(folder.path());
    dataset.samples.truncate(24);
    (folder, dataset)
}

#[test]
fn diagrams_have_a_file_each() {
    let (_folder, dataset) = few();
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("set");
    export(&dataset, Benchmark::Ai2d, &path).unwrap();
    let text = std::fs::read_to_string(path.join("llava_ai2d_test.jsonl")).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let image = first["image"].as_str().unwrap();
    let on_image = text.lines().filter(|line| line.contains(image)).count();
    const QUESTIONS: &str = "llava_ai2d_test.jsonl";
    let file = format!("questions/{image}.json");
    let file = file.as_str();
    check(
        &dataset,
        Benchmark::Ai2d,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("CR LF", file, with_crlf, Same),
            // One file affects only the questions on its image.
            (
                "UTF-16",
                file,
                utf_16,
                Problems(MissingAnswer, on_image, "UTF-16"),
            ),
            (
                "cut off",
                file,
                half,
                Problems(MissingAnswer, on_image, "cut off"),
            ),
            (
                "other id",
                file,
                |bytes| replaced(bytes, "\"questionId\":\"", "\"questionId\":\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
            (
                "no such option",
                file,
                |bytes| replaced(bytes, "\"correctAnswer\":", "\"correctAnswer\":9,\"was\":"),
                Problems(InvalidValue, 1, "letter of one of its choices"),
            ),
            (
                "no image",
                QUESTIONS,
                |bytes| replaced(bytes, ".png\"", ".gif\""),
                Problems(MissingAnswer, 1, ".gif.json"),
            ),
        ],
    );
}

#[test]
fn dimensions() {
    let (_folder, dataset) = few();
    const QUESTIONS: &str = "llava-seed-bench.jsonl";
    const ANNOTATIONS: &str = "SEED-Bench.json";
    check(
        &dataset,
        Benchmark::Seedbench,
        &[
            ("mark", ANNOTATIONS, with_mark, Same),
            ("CR LF", QUESTIONS, with_crlf, Same),
            (
                "cut off",
                ANNOTATIONS,
                half,
                Refused(ANNOTATIONS, "cut off"),
            ),
            (
                "no names",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"question_type\":", "\"question_types\":"),
                Refused(ANNOTATIONS, "no key `question_type`"),
            ),
            (
                "no such letter",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"answer\":\"", "\"answer\":\"E"),
                Problems(InvalidValue, 1, "letter of one of its choices"),
            ),
            (
                "other image",
                QUESTIONS,
                |bytes| replaced(bytes, ".png\"", ".gif\""),
                Problems(MissingImage, 1, "SEED-Bench-image/"),
            ),
            (
                "Latin-1",
                ANNOTATIONS,
                |bytes| latin_1(bytes, "image"),
                Refused(ANNOTATIONS, "Latin-1"),
            ),
        ],
    );
}

#[test]
fn capabilities() {
    let (_folder, dataset) = few();
    const QUESTIONS: &str = "llava_mmstar.jsonl";
    const ANNOTATIONS: &str = "mmstar.json";
    check(
        &dataset,
        Benchmark::Mmstar,
        &[
            ("mark", ANNOTATIONS, with_mark, Same),
            (
                "no answer",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"answer\":\"", "\"answer\":\"\",\"was\":\""),
                Problems(MissingAnswer, 1, "no answer"),
            ),
            (
                "other id",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"index\":\"", "\"index\":\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
            (
                "not JSON",
                QUESTIONS,
                |bytes| replaced(bytes, "{", "["),
                Problems(Malformed, 1, "line 1:"),
            ),
            (
                "cut off",
                ANNOTATIONS,
                half,
                Refused(ANNOTATIONS, "cut off"),
            ),
        ],
    );
}

#[test]
fn subjects() {
    let (_folder, dataset) = few();
    const QUESTIONS: &str = "llava_mmmu_val.jsonl";
    const ANNOTATIONS: &str = "answer_dict_val.json";
    check(
        &dataset,
        Benchmark::Mmmu,
        &[
            ("mark", ANNOTATIONS, with_mark, Same),
            (
                "several answers",
                ANNOTATIONS,
                |bytes| {
                    let mut value: Value = serde_json::from_slice(bytes).unwrap();
                    for entry in value.as_object_mut().unwrap().values_mut() {
                        entry["ground_truth"] = json!([entry["ground_truth"]]);
                    }
                    value.to_string().into_bytes()
                },
                Same,
            ),
            (
                "no such letter",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"ground_truth\":\"", "\"ground_truth\":\"X"),
                Problems(InvalidValue, 1, "letter of one of its choices"),
            ),
            (
                "other id",
                ANNOTATIONS,
                |bytes| replaced(bytes, "{\"", "{\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(ProblemKind::DuplicateId, 1, "earlier question"),
            ),
            (
                "cut off",
                ANNOTATIONS,
                half,
                Refused(ANNOTATIONS, "cut off"),
            ),
        ],
    );
}

#[test]
fn what_one_image_does_not_tell_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let write = |name: &str, lines: &[Value]| {
        let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
        std::fs::write(root.join(name), lines.join("\n")).unwrap();
    };
    let line = |id: &str, image: &str, text: &str| json!({"question_id": id, "image": image, "text": text, "category": "c"});
    std::fs::create_dir(root.join("images")).unwrap();
    std::fs::write(root.join("images/a.png"), "").unwrap();
    write(
        "llava_mmmu_val.jsonl",
        &[
            line("validation_Math_1", "a.png", "<image 1> How many?"),
            line(
                "validation_Math_2",
                "a.png",
                "<image 1> or <image 2>?\nA. x\nB. y",
            ),
        ],
    );
    let answers = json!({
        "validation_Math_1": {"question_type": "short-answer", "ground_truth": "5"},
        "validation_Math_2": {"question_type": "multiple-choice", "ground_truth": "A"},
    });
    write("answer_dict_val.json", &[answers]);
    let dataset = open(&root.display().to_string()).unwrap();
    assert_eq!(
        dataset.notes,
        ["1 of 2 questions need several images and are skipped"]
    );
    assert_eq!(
        (dataset.samples.len(), dataset.samples[0].family.as_str()),
        (1, "Math")
    );
    assert_eq!(dataset.samples[0].keys["discipline"], "Science");

    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("SEED-Bench-image")).unwrap();
    std::fs::write(root.join("SEED-Bench-image/a"), "").unwrap();
    let lines = [
        line("1", "SEED-Bench-image/a", "Q?\nA. 1\nB. 2\nC. 3\nD. 4"),
        line("v1", "SEED-Bench-video-image/b.png", "Q?"),
    ];
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(root.join("llava-seed-bench.jsonl"), lines.join("\n")).unwrap();
    let entry = |id: &str, kind: &str, number: u32| {
        json!({
            "question_id": id, "data_type": kind, "question_type_id": number, "answer": "A",
            "choice_a": "1", "choice_b": "2", "choice_c": "3", "choice_d": "4",
        })
    };
    let annotations = json!({
        "question_type": {"Scene Understanding": 1, "Action Recognition": 10},
        "questions": [entry("1", "image", 1), entry("v1", "video", 10)],
    });
    std::fs::write(root.join("SEED-Bench.json"), annotations.to_string()).unwrap();
    let dataset = open(&root.display().to_string()).unwrap();
    assert_eq!(
        dataset.notes,
        ["1 of 2 questions are on videos and are skipped"]
    );
    assert_eq!(dataset.samples[0].family, "Scene Understanding");
}
