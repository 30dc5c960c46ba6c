//! The plain form.

use Expect::{Refused, Same};
use ProblemKind::{DuplicateId, Encoding, Malformed, MissingImage, WrongType};
use fp_data::dataset::export::export;
use fp_data::dataset::{Benchmark, ProblemKind};

use super::damage::{
    Damage, Expect, append, check, first_line_again, half, latin_1, read, replaced, small, utf_16,
    with_crlf, with_mark,
};

#[test]
fn the_plain_form() {
    const QUESTIONS: &str = "questions.jsonl";
    const DESCRIPTION: &str = "benchmark.json";
    check(
        &small(),
        Benchmark::Plain,
        &[
            ("mark", DESCRIPTION, with_mark, Same),
            (
                "UTF-16",
                DESCRIPTION,
                utf_16,
                Refused(DESCRIPTION, "UTF-16"),
            ),
            ("UTF-16", QUESTIONS, utf_16, Refused(QUESTIONS, "UTF-16")),
            ("cut off", DESCRIPTION, half, Refused(DESCRIPTION, "EOF")),
            (
                "other questions",
                QUESTIONS,
                first_line_again,
                Refused(QUESTIONS, "its description says"),
            ),
        ],
    );
    // Without a hash in the description, lines are checked one by one.
    let folder = tempfile::tempdir().unwrap();
    export(&small(), Benchmark::Plain, folder.path()).unwrap();
    let description = folder.path().join(DESCRIPTION);
    let mut value: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&description).unwrap()).unwrap();
    value.as_object_mut().unwrap().remove("sha256");
    std::fs::write(&description, value.to_string()).unwrap();
    let questions = folder.path().join(QUESTIONS);
    let bytes = std::fs::read(&questions).unwrap();
    let cases: [(Damage, Option<ProblemKind>); 7] = [
        (with_mark, None),
        (with_crlf, None),
        (first_line_again, Some(DuplicateId)),
        (|bytes| latin_1(bytes, "What"), Some(Encoding)),
        (|bytes| append(bytes, b"{"), Some(Malformed)),
        (|bytes| append(bytes, b"[3]"), Some(WrongType)),
        (
            |bytes| replaced(bytes, "confirm-00000.png", "gone.png"),
            Some(MissingImage),
        ),
    ];
    for (damage, kind) in cases {
        std::fs::write(&questions, damage(&bytes)).unwrap();
        let problems = read(folder.path()).unwrap().problems;
        let kinds: Vec<_> = problems.counts().iter().map(|(k, n)| (*k, *n)).collect();
        assert_eq!(
            kinds,
            Vec::from_iter(kind.map(|kind| (kind, 1))),
            "{problems}"
        );
    }
}

/// `images` and image names stay inside the folder, however they are spelled.
#[test]
fn folders_of_images_lead_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let write = |images: &str| {
        let description = serde_json::json!({
            "name": "n", "split": "s", "answer_rule": "exact", "images": images,
        });
        std::fs::write(
            folder.path().join("benchmark.json"),
            description.to_string(),
        )
        .unwrap();
    };
    let line = r#"{"id": "1", "image": "a.png", "question": "q", "answers": ["x"], "family": "f"}"#;
    std::fs::write(folder.path().join("questions.jsonl"), line).unwrap();
    std::fs::create_dir_all(folder.path().join("images/deep")).unwrap();
    for place in ["a.png", "images/a.png", "images/deep/a.png"] {
        std::fs::write(folder.path().join(place), b"x").unwrap();
    }
    let load = || fp_data::dataset::load(folder.path());
    for images in ["images", "./images", "images/deep", "."] {
        write(images);
        let samples = load().unwrap().samples;
        assert_eq!(samples.len(), 1, "{images}");
    }
    for images in [
        "/etc",
        "..",
        "../other",
        "images/../..",
        "images/../images",
        "/",
    ] {
        write(images);
        let error = fp_scoring::error_text(&load().unwrap_err());
        assert!(error.contains("benchmark.json"), "{error}");
        assert!(
            error.contains("not a path inside the dataset's folder"),
            "{error}"
        );
    }
}
