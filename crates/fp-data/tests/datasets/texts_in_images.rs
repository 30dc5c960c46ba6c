//! Documents, charts and text in images: lines beside the authors' files, and only these files.

use Expect::{Problems, Refused, Same};
use ProblemKind::{
    DuplicateId, Encoding, InvalidValue, Malformed, MissingAnswer, MissingImage, WrongType,
};
use fp_data::dataset::{Benchmark, ProblemKind, find, locate, open};
use serde_json::json;

use super::damage::{
    Expect, append, check, first_line_again, half, latin_1, replaced, small, utf_16, with_crlf,
    with_mark,
};

#[test]
fn documents() {
    const QUESTIONS: &str = "llava_docvqa_val.jsonl";
    const ANNOTATIONS: &str = "val_v1.0_withQT.json";
    check(
        &small(),
        Benchmark::Docvqa,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("CR LF", QUESTIONS, with_crlf, Same),
            ("mark", ANNOTATIONS, with_mark, Same),
            ("UTF-16", QUESTIONS, utf_16, Refused(QUESTIONS, "UTF-16")),
            (
                "UTF-16",
                ANNOTATIONS,
                utf_16,
                Refused(ANNOTATIONS, "UTF-16"),
            ),
            (
                "Latin-1",
                QUESTIONS,
                |bytes| latin_1(bytes, "What"),
                Problems(Encoding, 1, "isn't UTF-8"),
            ),
            (
                "cut off",
                ANNOTATIONS,
                half,
                Refused(ANNOTATIONS, "cut off"),
            ),
            (
                "no list of questions",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"data\":", "\"date\":"),
                Refused(ANNOTATIONS, "no key `data`"),
            ),
            (
                "not JSON",
                QUESTIONS,
                |bytes| append(bytes, b"{\"question_id\": 1,"),
                Problems(Malformed, 1, "line 121: not valid JSON: EOF"),
            ),
            (
                "number as text",
                QUESTIONS,
                |bytes| {
                    append(
                        bytes,
                        b"{\"question_id\": 1, \"image\": \"a\", \"text\": 3}",
                    )
                },
                Problems(WrongType, 1, "line 121: invalid type"),
            ),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(DuplicateId, 1, "line 121:"),
            ),
            (
                "other image",
                QUESTIONS,
                |bytes| replaced(bytes, "confirm-00000.png", "gone.png"),
                Problems(MissingImage, 1, "documents/gone.png"),
            ),
            (
                "path out of the folder",
                QUESTIONS,
                |bytes| replaced(bytes, "confirm-00000.png", "../a.png"),
                Problems(InvalidValue, 1, "not a path inside"),
            ),
            (
                "near-miss of an id",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"questionId\":\"", "\"questionId\":\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
            (
                "near-miss of a key",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"questionId\":", "\"questionID\":"),
                Refused(ANNOTATIONS, "missing field `questionId`"),
            ),
            (
                "no answers",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"answers\":", "\"answer\":"),
                Problems(MissingAnswer, 1, "needs at least 1"),
            ),
            (
                "answers of a wrong type",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"answers\":[", "\"answers\":[3,"),
                Refused(ANNOTATIONS, "entry 1: invalid type"),
            ),
            (
                "annotation twice",
                ANNOTATIONS,
                |bytes| {
                    let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    let entries = value["data"].as_array_mut().unwrap();
                    entries.push(entries[0].clone());
                    value.to_string().into_bytes()
                },
                Refused(ANNOTATIONS, "entry 121:"),
            ),
        ],
    );
    const INFOGRAPHICS: &str = "infographicsVQA_val_v1.0_withQT.json";
    check(
        &small(),
        Benchmark::Infovqa,
        &[
            ("mark", INFOGRAPHICS, with_mark, Same),
            (
                "no answers",
                INFOGRAPHICS,
                |bytes| replaced(bytes, "\"answers\":", "\"answer\":"),
                Problems(MissingAnswer, 1, "needs at least 1"),
            ),
            (
                "no image",
                INFOGRAPHICS,
                |bytes| replaced(bytes, "\"image_local_name\":", "\"image_name\":"),
                Refused(INFOGRAPHICS, "missing field `image`"),
            ),
        ],
    );
}

#[test]
fn charts() {
    const QUESTIONS: &str = "llava_chartqa_test.jsonl";
    const HUMAN: &str = "test/test_human.json";
    const AUGMENTED: &str = "test/test_augmented.json";
    let mut dataset = small();
    for sample in dataset.samples.iter_mut().skip(60) {
        sample.family = "augmented".to_owned();
    }
    check(
        &dataset,
        Benchmark::Chartqa,
        &[
            ("mark", HUMAN, with_mark, Same),
            ("CR LF", QUESTIONS, with_crlf, Same),
            (
                "cut off",
                AUGMENTED,
                half,
                Refused("test_augmented.json", "cut off"),
            ),
            (
                "no split",
                QUESTIONS,
                |bytes| replaced(bytes, "\"category\":\"human\"", "\"category\":\"humane\""),
                Problems(InvalidValue, 1, "neither human nor augmented"),
            ),
            (
                "other question",
                HUMAN,
                |bytes| replaced(bytes, "\"query\":\"", "\"query\":\"x"),
                Problems(MissingAnswer, 1, "doesn't ask this of"),
            ),
            (
                "label of a wrong type",
                HUMAN,
                |bytes| replaced(bytes, "\"label\":\"", "\"label\":3,\"was\":\""),
                Refused("test_human.json", "entry 1: invalid type"),
            ),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(DuplicateId, 1, "earlier question"),
            ),
            // An unreadable line affects only its own question: the next one on its image has its
            // own answer.
            (
                "not JSON",
                QUESTIONS,
                |bytes| replaced(bytes, "{", "["),
                Problems(Malformed, 1, "line 1:"),
            ),
        ],
    );
}

#[test]
fn texts() {
    const QUESTIONS: &str = "llava_ocrbench.jsonl";
    const ANNOTATIONS: &str = "OCRBench.json";
    check(
        &small(),
        Benchmark::Ocrbench,
        &[
            ("mark", ANNOTATIONS, with_mark, Same),
            (
                "one answer",
                ANNOTATIONS,
                |bytes| {
                    let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    let answers = &mut value[0]["answers"];
                    *answers = answers[0].clone();
                    value.to_string().into_bytes()
                },
                Same,
            ),
            (
                "empty answer",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"answers\":[", "\"answers\":[\" \","),
                Problems(InvalidValue, 1, "that isn't empty"),
            ),
            (
                "no category",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"type\":", "\"kind\":"),
                Refused(ANNOTATIONS, "missing field `type`"),
            ),
            (
                "cut off",
                ANNOTATIONS,
                half,
                Refused(ANNOTATIONS, "cut off"),
            ),
            (
                "other id",
                QUESTIONS,
                |bytes| replaced(bytes, "\"question_id\":\"", "\"question_id\":\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
        ],
    );
}

/// Writes files below a folder, images too.
fn folder(files: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

#[test]
fn authors_files_alone() {
    let document = |id: u32, answers: serde_json::Value| {
        json!({
            "questionId": id, "question": "what is it?", "image": "documents/a_1.png",
            "docId": 1, "ucsf_document_id": "a", "ucsf_document_page_no": "1",
            "question_types": ["form", "table/list"], "answers": answers,
        })
    };
    let val = json!({"dataset_name": "SP-DocVQA", "data": [document(7, json!(["it"]))]});
    let mut hidden = document(8, json!(null));
    hidden.as_object_mut().unwrap().remove("answers");
    let test = json!({"dataset_name": "SP-DocVQA", "data": [hidden]});
    let folder_ = folder(&[
        ("spdocvqa_qas/val_v1.0_withQT.json", val.to_string()),
        ("spdocvqa_qas/test_v1.0.json", test.to_string()),
        ("spdocvqa_images/a_1.png", String::new()),
    ]);
    let selector = |part: &str| format!("{}:{part}", folder_.path().display());
    let names: Vec<String> = find(folder_.path())
        .unwrap()
        .into_iter()
        .map(|p| p.name)
        .collect();
    assert_eq!(names, ["val", "test"]);
    let val = open(&selector("val")).unwrap();
    let sample = &val.samples[0];
    assert_eq!(
        sample.question,
        "what is it?\nAnswer the question using a single word or phrase."
    );
    assert_eq!(
        (sample.id.as_str(), sample.image_id.as_str()),
        ("7", "a_1.png")
    );
    assert_eq!(sample.family, "form+table/list");
    let test = open(&selector("test")).unwrap();
    assert!(test.require_answers().is_err() && test.samples[0].answers.is_empty());
    let error = fp_scoring::error_text(&locate(&selector("vale")).unwrap_err());
    assert!(error.contains("did you mean `val`"), "{error}");

    let entry = |image: &str, query: &str, label: &str| json!({"imgname": image, "query": query, "label": label});
    let human = json!([
        entry("1.png", "How many?", "14"),
        entry("1.png", "How?", "x")
    ]);
    let augmented = json!([entry("2.png", "How many?", "0.08")]);
    let folder_ = folder(&[
        ("test/test_human.json", human.to_string()),
        ("test/test_augmented.json", augmented.to_string()),
        ("test/png/1.png", String::new()),
        ("test/png/2.png", String::new()),
    ]);
    let charts = open(&folder_.path().display().to_string()).unwrap();
    let ids: Vec<&str> = charts.samples.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["human-0", "human-1", "augmented-0"]);
    assert_eq!(charts.samples[2].family, "augmented");
    // Half of the benchmark is not accepted as a smaller one.
    std::fs::remove_file(folder_.path().join("test/test_augmented.json")).unwrap();
    let error = open(&folder_.path().display().to_string())
        .unwrap_err()
        .to_string();
    assert!(error.contains("test_augmented.json"), "{error}");

    let entry = json!({
        "dataset_name": "IIIT5K", "type": "Regular Text Recognition", "image_path": "a/1.png",
        "question": "what is written in the image?", "answers": "CENTRE",
    });
    let folder_ = folder(&[
        ("OCRBench.json", json!([entry]).to_string()),
        ("OCRBench_Images/a/1.png", String::new()),
    ]);
    let texts = open(&folder_.path().display().to_string()).unwrap();
    assert_eq!(texts.samples[0].question, "what is written in the image?");
    assert_eq!(
        (texts.samples[0].id.as_str(), texts.samples[0].answers.len()),
        ("0", 1)
    );
}

#[test]
fn lines_of_a_test_part_have_no_answers() {
    let line = json!({"question_id": 8, "image": "a.png", "text": "Q?", "category": "default"});
    for (questions, images) in [
        ("llava_docvqa_test.jsonl", "documents"),
        ("llava_infovqa_test.jsonl", "infographicsvqa_images"),
    ] {
        let folder = folder(&[
            (questions, line.to_string()),
            (&format!("{images}/a.png"), String::new()),
        ]);
        let dataset = open(&folder.path().display().to_string()).unwrap();
        assert_eq!(dataset.samples[0].question, "Q?");
        let error = dataset.require_answers().unwrap_err().to_string();
        assert!(error.contains("rescore --upload"), "{error}");
    }
}

/// If one of two questions on a chart begins with the other, each gets its own answer, in any
/// order.
#[test]
fn the_longest_question_is_meant() {
    let entry =
        |query: &str, label: &str| json!({"imgname": "1.png", "query": query, "label": label});
    let human = json!([entry("How", "1"), entry("How many", "2"), entry("How", "3")]);
    let line = |id: u32, text: &str| {
        json!({"question_id": id, "image": "1.png", "text": text, "category": "human"}).to_string()
    };
    let lines = [
        line(1, "How many\nAnswer."),
        line(2, "How\nAnswer."),
        line(3, "How\nAnswer."),
    ];
    let folder = folder(&[
        ("llava_chartqa_test.jsonl", lines.join("\n")),
        ("test/test_human.json", human.to_string()),
        ("test/test_augmented.json", "[]".to_owned()),
        ("test/png/1.png", String::new()),
    ]);
    let dataset = open(&folder.path().display().to_string()).unwrap();
    let answers: Vec<&str> = dataset
        .samples
        .iter()
        .map(|s| s.answers[0].as_str())
        .collect();
    assert_eq!(answers, ["2", "1", "3"]);
}
