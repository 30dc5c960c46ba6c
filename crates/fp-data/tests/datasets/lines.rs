//! Files with one JSON object per line, and the files beside them.

use Expect::{Problems, Refused, Same};
use ProblemKind::{
    DuplicateId, Encoding, InvalidValue, Malformed, MissingAnswer, MissingImage, WrongType,
};
use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, ProblemKind};

use super::damage::{
    Expect, append, check, first_line_again, half, latin_1, read, replaced, small, utf_16,
    with_blank_lines, with_crlf, with_mark,
};
use super::dataset_support::expressions;

#[test]
fn lines_of_questions() {
    const QUESTIONS: &str = "llava_vqav2_mscoco_val2014.jsonl";
    const ANNOTATIONS: &str = "v2_mscoco_val2014_annotations.json";
    check(
        &small(),
        Benchmark::Vqav2,
        &[
            ("mark", QUESTIONS, with_mark, Same),
            ("CR LF", QUESTIONS, with_crlf, Same),
            ("blank lines", QUESTIONS, with_blank_lines, Same),
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
                "Latin-1",
                ANNOTATIONS,
                |bytes| latin_1(bytes, "chain"),
                Refused(ANNOTATIONS, "Latin-1"),
            ),
            (
                "not JSON",
                QUESTIONS,
                |bytes| append(bytes, b"{\"question_id\": 1,"),
                Problems(Malformed, 1, "line 121: not valid JSON: EOF"),
            ),
            (
                "no text",
                QUESTIONS,
                |bytes| append(bytes, b"{\"question_id\": 1, \"image\": \"a.png\"}"),
                Problems(Malformed, 1, "missing field `text`"),
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
                Problems(WrongType, 1, "line 121: invalid type: integer `3`"),
            ),
            (
                "line twice",
                QUESTIONS,
                first_line_again,
                Problems(DuplicateId, 1, "line 121: question"),
            ),
            (
                "other image",
                QUESTIONS,
                |bytes| replaced(bytes, "confirm-00000.png", "gone.png"),
                Problems(MissingImage, 1, "val2014/gone.png"),
            ),
            (
                "path out of the folder",
                QUESTIONS,
                |bytes| replaced(bytes, "confirm-00000.png", "../a.png"),
                Problems(InvalidValue, 1, "not a path inside"),
            ),
            (
                "annotation of another question",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"question_id\":\"", "\"question_id\":\"x"),
                Problems(MissingAnswer, 1, "isn't in"),
            ),
            (
                "annotations cut off",
                ANNOTATIONS,
                half,
                Refused(ANNOTATIONS, "cut off"),
            ),
            (
                "annotation of a wrong type",
                ANNOTATIONS,
                |bytes| replaced(bytes, "\"answers\":[", "\"answers\":[3,"),
                Refused(ANNOTATIONS, "entry 1: invalid type"),
            ),
            (
                "annotation twice",
                ANNOTATIONS,
                |bytes| {
                    let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    let entries = value["annotations"].as_array_mut().unwrap();
                    entries.push(entries[0].clone());
                    value.to_string().into_bytes()
                },
                Refused(ANNOTATIONS, "entry 121:"),
            ),
        ],
    );
}

#[test]
fn lines_with_files_beside_them() {
    const GQA: &str = "llava_gqa_testdev_balanced.jsonl";
    const OFFICIAL: &str = "data/testdev_balanced_questions.json";
    check(
        &small(),
        Benchmark::Gqa,
        &[
            ("mark", OFFICIAL, with_mark, Same),
            ("blank lines", GQA, with_blank_lines, Same),
            (
                "cut off",
                OFFICIAL,
                half,
                Refused("testdev_balanced_questions.json", "cut off"),
            ),
            (
                "wrong type",
                OFFICIAL,
                |bytes| replaced(bytes, "\"answer\":\"", "\"answer\":3,\"was\":\""),
                Refused("testdev_balanced_questions.json", "entry 1: invalid type"),
            ),
            (
                "scenes cut off",
                "data/testdev_sceneGraphs.json",
                half,
                Refused("testdev_sceneGraphs.json", "cut off"),
            ),
            (
                "scenes twice",
                "data/testdev_sceneGraphs.json",
                |bytes| {
                    let text = String::from_utf8(bytes.to_vec()).unwrap();
                    let once = text.trim().trim_matches(['{', '}']);
                    format!("{{{once}}},{once}}}}}").into_bytes()
                },
                Same,
            ),
            (
                "line twice",
                GQA,
                first_line_again,
                Problems(DuplicateId, 1, "is asked twice"),
            ),
            (
                "another image",
                OFFICIAL,
                |bytes| replaced(bytes, "\"imageId\":\"", "\"imageId\":\"x"),
                Problems(InvalidValue, 1, "; expected xconfirm"),
            ),
        ],
    );
    const TEXTVQA: &str = "llava_textvqa_val_v051_ocr.jsonl";
    const GOLDS: &str = "TextVQA_0.5.1_val.json";
    check(
        &small(),
        Benchmark::Textvqa,
        &[
            ("mark", GOLDS, with_mark, Same),
            (
                "line twice",
                TEXTVQA,
                first_line_again,
                Problems(DuplicateId, 1, "is asked twice"),
            ),
            (
                "nine answers",
                GOLDS,
                |bytes| {
                    let mut golds: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    let answers = golds["data"][0]["answers"].as_array_mut().unwrap();
                    answers.pop();
                    golds.to_string().into_bytes()
                },
                Problems(InvalidValue, 1, "9 answers"),
            ),
        ],
    );
    const VIZWIZ: &str = "llava_val.jsonl";
    check(
        &small(),
        Benchmark::Vizwiz,
        &[
            (
                "Latin-1",
                VIZWIZ,
                |bytes| latin_1(bytes, "What"),
                Problems(Encoding, 1, "line 1: byte 0xe9"),
            ),
            (
                "line twice",
                VIZWIZ,
                first_line_again,
                Problems(DuplicateId, 1, "earlier question"),
            ),
            (
                "no annotation",
                "val.json",
                |bytes| {
                    let mut entries: serde_json::Value = serde_json::from_slice(bytes).unwrap();
                    entries.as_array_mut().unwrap().pop();
                    entries.to_string().into_bytes()
                },
                Problems(MissingAnswer, 1, "isn't in"),
            ),
        ],
    );
    const MM_VET: &str = "llava-mm-vet.jsonl";
    check(
        &small(),
        Benchmark::Mmvet,
        &[
            ("CR LF", MM_VET, with_crlf, Same),
            (
                "line twice",
                MM_VET,
                first_line_again,
                Problems(DuplicateId, 1, "is asked twice"),
            ),
            (
                "cut off",
                "mm-vet.json",
                half,
                Refused("mm-vet.json", "cut off"),
            ),
        ],
    );
    const REFCOCO: &str = "refcoco_val.jsonl";
    check(
        &expressions(),
        Benchmark::Refcoco,
        &[
            ("mark", REFCOCO, with_mark, Same),
            (
                "not JSON",
                REFCOCO,
                |bytes| append(bytes, b"{"),
                Problems(Malformed, 1, "EOF"),
            ),
            (
                "an empty box",
                REFCOCO,
                |bytes| {
                    replaced(
                        bytes,
                        "\"bbox\":[",
                        "\"bbox\":[900.0,0.0,1.0,1.0],\"was\":[",
                    )
                },
                Problems(InvalidValue, 1, "is empty"),
            ),
            (
                "three numbers",
                REFCOCO,
                |bytes| replaced(bytes, "\"bbox\":[", "\"bbox\":[0.0,0.0,1.0],\"was\":["),
                Problems(Malformed, 1, "line 1: invalid length 3"),
            ),
        ],
    );
}

/// The official scoring script expects a split's questions under another name, in a file that may
/// also contain the unbalanced ones.
#[test]
fn official_questions_by_either_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    export(&small(), Benchmark::Gqa, &path).unwrap();
    let whole = read(&path).unwrap().dataset.samples;
    let official = path.join("data/testdev_balanced_questions.json");
    let other = path.join("testdev_balanced_all_questions.json");
    std::fs::rename(&official, &other).unwrap();
    assert_eq!(read(&path).unwrap().dataset.samples, whole);
    // Only the official questions, without LLaVA's.
    std::fs::remove_file(path.join("llava_gqa_testdev_balanced.jsonl")).unwrap();
    let images = path.join("data/images");
    let entries: Vec<_> = std::fs::read_dir(&images).unwrap().collect();
    for entry in entries {
        let image = entry.unwrap().path();
        std::fs::rename(&image, image.with_extension("jpg")).unwrap();
    }
    assert_eq!(read(&path).unwrap().dataset.samples.len(), whole.len());
    let text = std::fs::read_to_string(&other).unwrap();
    let unbalanced = text.replacen("\"isBalanced\":true", "\"isBalanced\":false", 1);
    assert_ne!(text, unbalanced);
    std::fs::write(&other, unbalanced).unwrap();
    let found = read(&path).unwrap().dataset;
    assert_eq!(found.samples.len(), whole.len() - 1);
    let note = &found.notes[0];
    let told = format!("1 of the {} questions of ", whole.len());
    assert!(note.starts_with(&told), "{note}");
    std::fs::remove_file(&other).unwrap();
    let error = read(&path).unwrap_err();
    assert!(
        error.contains("GQA needs testdev_balanced_questions.json"),
        "{error}"
    );
}

#[test]
fn missing_official_questions_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set");
    export(&small(), Benchmark::Gqa, &path).unwrap();
    std::fs::remove_file(path.join("data/testdev_balanced_questions.json")).unwrap();
    let error = read(&path).unwrap_err();
    for name in [
        "testdev_balanced_questions.json, testdev_balanced_all_questions.json",
        "each also in data/, questions/",
    ] {
        assert!(error.contains(name), "{error}");
    }
}
