//! Files in VLMEvalKit's formats, with made-up content.

use std::path::{Path, PathBuf};

use fp_data::Sample;
use fp_data::dataset::{Benchmark, Dataset};
use fp_data::rescore::{AnswerFile, JoinedBy, Scored};

const SHORT: &str = "Answer the question using a single word or phrase.";

/// A dataset of questions: id, image, text, answer and family.
fn dataset(benchmark: Benchmark, rows: &[[&str; 5]]) -> Dataset {
    let sample = |[id, image, text, answer, family]: &[&str; 5]| Sample {
        id: (*id).to_owned(),
        image_id: (*image).to_owned(),
        question: format!("{text}\n{SHORT}"),
        answers: vec![(*answer).to_owned()],
        family: (*family).to_owned(),
        ..Sample::default()
    };
    Dataset {
        name: "asked".to_owned(),
        split: "test".to_owned(),
        benchmark,
        answer_rule: benchmark.answer_rule().unwrap(),
        judge: None,
        families: Vec::new(),
        license: None,
        source: None,
        folder: PathBuf::new(),
        files: Vec::new(),
        notes: Vec::new(),
        samples: rows.iter().map(sample).collect(),
        text_only: Vec::new(),
    }
}

fn pope() -> Dataset {
    let cat = "Is there a cat in the image?";
    let dog = "Is there a dog in the image?";
    dataset(
        Benchmark::Pope,
        &[
            ["0", "a.jpg", cat, "yes", "adversarial"],
            ["1", "a.jpg", dog, "no", "adversarial"],
            ["2", "a.jpg", cat, "yes", "popular"],
            ["3", "b.jpg", dog, "no", "popular"],
        ],
    )
}

/// VLMEvalKit's table of these questions: a question of several categories is one row.
const POPE: &str = "\"index\"\t\"image_path\"\t\"question\"\t\"answer\"\t\"category\"\t\"prediction\"
\"0\"\t\"a.jpg\"\t\"Is there a cat in the image?\"\t\"Yes\"\t\"adversarial,popular\"\t\"Yes, there is\"
\"1\"\t\"a.jpg\"\t\"Is there a dog in the image?\"\t\"No\"\t\"adversarial\"\t\"Yes\"
\"2\"\t\"b.jpg\"\t\"Is there a dog in the image?\"\t\"No\"\t\"popular\"\t\"It is not\"
";

fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[track_caller]
fn scored(path: &Path, dataset: &Dataset) -> Scored {
    let file = AnswerFile::read(path).unwrap_or_else(|error| panic!("{error}"));
    Scored::new("file", &file, dataset).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_row_of_pope_counts_in_each_of_its_categories() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "llava_POPE.tsv", POPE);
    // Scores as from VLMEvalKit: of four answers two right, one wrong yes, one unread.
    let scores = "\"split\",\"Overall\",\"acc\",\"precision\",\"recall\"\n\"popular\",\"1\",\"1\",\"1\",\"1\"\n\"Overall\",\"80.0\",\"50.0\",\"66.66666666666666\",\"100.0\"\n";
    write(folder.path(), "llava_POPE_score.csv", scores);
    let scored = scored(&path, &pope());
    assert_eq!(scored.joined.by, JoinedBy::ImageAndQuestion);
    assert_eq!(scored.joined.num_answered, 4);
    let notes = scored.joined.notes.join("\n");
    for part in [
        "answers of VLMEvalKit to POPE",
        "its own number of the row",
        "1 rows stand for the same question",
    ] {
        assert!(notes.contains(part), "{part:?} in {notes}");
    }
    let found: Vec<(&str, &str)> = scored
        .reported
        .iter()
        .map(|beside| (beside.metric.as_str(), beside.because.as_str()))
        .collect();
    let expected = ["Overall", "acc", "precision", "recall"].map(|name| (name, "the same"));
    assert_eq!(found, expected);
}

#[test]
fn records_of_json_and_rows_that_cannot_be_used() {
    let gqa = dataset(
        Benchmark::Gqa,
        &[
            ["201", "n1", "Is the cup red?", "yes", "query"],
            ["202", "n2", "What is it?", "girl", "query"],
            ["203", "n3", "Who is there?", "boy", "query"],
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let records = r#"[
        {"index": 201, "question": "Is the cup red?", "answer": "yes", "prediction": "Yes"},
        {"index": 202, "question": "What is it?", "answer": "girl", "prediction": "Failed to obtain answer via API."},
        {"index": 202, "question": "What is it?", "answer": "girl", "prediction": "girl"},
        {"index": 203, "question": "Who is there?", "answer": "boy", "prediction": null}
    ]"#;
    let path = write(folder.path(), "llava_GQA_TestDev_Balanced.json", records);
    write(
        folder.path(),
        "llava_GQA_TestDev_Balanced_acc.csv",
        "\"Overall\"\n\"66.5\"\n",
    );
    let scored = scored(&path, &gqa);
    assert_eq!(scored.joined.num_answered, 1);
    let warnings = scored.joined.warnings.join("\n");
    for part in [
        "2 entries can't be used",
        "got no answer to index 202",
        "index 202 is already used by an earlier row",
    ] {
        assert!(warnings.contains(part), "{part:?} in {warnings}");
    }
    let beside = &scored.reported[0];
    assert_eq!((beside.theirs, beside.ours), (66.5, Some(100.0)));
    assert!(
        beside.because.contains("2 of their answers can't be used"),
        "{}",
        beside.because
    );
}

#[test]
fn other_datasets_and_files_of_scores_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "llava_MME.tsv", POPE);
    let file = AnswerFile::read(&path).unwrap();
    let error = Scored::new("file", &file, &pope()).unwrap_err().to_string();
    assert!(
        error.contains("VLMEvalKit's answers to MME, which is MME; asked is POPE"),
        "{error}"
    );
    let scores = write(
        folder.path(),
        "llava_MME_score.csv",
        "\"perception\"\n\"1\"\n",
    );
    let error = AnswerFile::read(&scores).unwrap_err().to_string();
    assert!(
        error.contains("without answers: give llava_MME.tsv, beside it"),
        "{error}"
    );
    let alone = write(folder.path(), "llava_GQA_TestDev_Balanced_acc.csv", "");
    let error = AnswerFile::read(&alone).unwrap_err().to_string();
    assert!(
        error.contains("give the predictions, llava_GQA_TestDev_Balanced.xlsx"),
        "{error}"
    );
}
