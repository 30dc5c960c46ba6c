//! Files that lmms-eval wrote, `tests/fixtures/lmms_eval`: reading, matching, and the same scores.

use std::path::{Path, PathBuf};

use fp_data::Sample;
use fp_data::dataset::{Benchmark, Dataset};
use fp_data::rescore::{AnswerFile, BesideOurs, JoinedBy, Scored};
use serde_json::{Value, json};

const SHORT: &str = "Answer the question using a single word or phrase.";
const LETTER: &str = "Answer with the option's letter from the given choices directly.";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/lmms_eval")
}

fn samples_of(task: &str) -> PathBuf {
    fixtures().join(format!("20260101_000000_samples_{task}.jsonl"))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .map(|item| text(item.get("answer").unwrap_or(item)))
        .collect()
}

/// The rows that were asked, as samples read from the Hub's columns.
fn dataset(task: &str, benchmark: Benchmark) -> Dataset {
    let path = fixtures().join("questions.json");
    let questions: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let rows = questions[task].as_array().unwrap();
    let sample = |(number, row): (usize, &Value)| sample(benchmark, number, row);
    Dataset {
        name: task.to_owned(),
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
        samples: rows.iter().enumerate().map(sample).collect(),
        text_only: Vec::new(),
    }
}

fn sample(benchmark: Benchmark, number: usize, row: &Value) -> Sample {
    let question = text(&row["question"]);
    let short = format!("{question}\n{SHORT}");
    let one = vec![text(&row["answer"])];
    let of = |id: &str, image: &str, question: String, answers: Vec<String>, family: &str| Sample {
        id: id.to_owned(),
        image_id: image.to_owned(),
        question,
        answers,
        family: family.to_owned(),
        ..Sample::default()
    };
    let id = text(&row["question_id"]);
    match benchmark {
        Benchmark::Pope => {
            let category = text(&row["category"]);
            of(
                &text(&row["id"]),
                &text(&row["image_source"]),
                short,
                one,
                &category,
            )
        }
        Benchmark::Mme => {
            let asked = fp_data::metric::mme::question_text(&question);
            of(
                &format!("{id}#row{}", number + 1),
                &id,
                asked,
                one,
                &text(&row["category"]),
            )
        }
        Benchmark::Gqa => of(
            &text(&row["id"]),
            &text(&row["imageId"]),
            short,
            one,
            "query",
        ),
        Benchmark::Textvqa | Benchmark::Vqav2 => of(
            &id,
            &text(&row["image_id"]),
            short,
            texts(&row["answers"]),
            "other",
        ),
        Benchmark::Chartqa => {
            let family = text(&row["type"]).replace("_test", "");
            of(
                &number.to_string(),
                &number.to_string(),
                short,
                one,
                &family,
            )
        }
        Benchmark::Scienceqa => {
            let choices = texts(&row["choices"]);
            let hint = text(&row["hint"]);
            let asked = fp_data::metric::scienceqa::question_text(&hint, &question, &choices);
            let right = row["answer"].as_u64().unwrap() as u8;
            let letter = vec![char::from(b'A' + right).to_string()];
            let number = number.to_string();
            let family = text(&row["subject"]);
            Sample {
                choices,
                ..of(
                    &number,
                    &number,
                    format!("{asked}\n{LETTER}"),
                    letter,
                    &family,
                )
            }
        }
        Benchmark::Mmbench => {
            let options = ["A", "B", "C", "D"].map(|letter| text(&row[letter]));
            let choices: Vec<String> = options.into_iter().filter(|o| o != "nan").collect();
            let lines = ["A", "B", "C", "D"].iter().zip(&choices);
            let lines: Vec<String> = lines.map(|(letter, o)| format!("{letter}. {o}")).collect();
            let asked = format!("{question}\n{}\n{LETTER}", lines.join("\n"));
            let index = text(&row["index"]);
            Sample {
                choices,
                ..of(&index, &index, asked, one, &text(&row["L2-category"]))
            }
        }
        other => panic!("{other:?} has no rows here"),
    }
}

#[track_caller]
fn scored(path: &Path, dataset: &Dataset) -> Scored {
    let file = AnswerFile::read(path).unwrap_or_else(|error| panic!("{error}"));
    Scored::new("file", &file, dataset).unwrap_or_else(|error| panic!("{error}"))
}

fn of<'a>(scored: &'a Scored, metric: &str) -> &'a BesideOurs {
    let mut all = scored.reported.iter();
    let found = all.find(|beside| beside.metric == metric);
    found.unwrap_or_else(|| panic!("no {metric} in {:?}", scored.reported))
}

#[test]
fn scores_are_theirs_where_the_metric_is_the_same() {
    for (task, benchmark, metrics) in [
        (
            "pope",
            Benchmark::Pope,
            &[
                "pope_accuracy",
                "pope_f1_score",
                "pope_precision",
                "pope_recall",
            ][..],
        ),
        (
            "mme",
            Benchmark::Mme,
            &["mme_perception_score", "mme_cognition_score"],
        ),
        ("gqa", Benchmark::Gqa, &["exact_match"]),
        ("textvqa_val", Benchmark::Textvqa, &["exact_match"]),
        ("vqav2_val", Benchmark::Vqav2, &["exact_match"]),
        ("scienceqa_img", Benchmark::Scienceqa, &["exact_match"]),
        (
            "mmbench_en_dev_static",
            Benchmark::Mmbench,
            &["gpt_eval_score"],
        ),
        (
            "chartqa",
            Benchmark::Chartqa,
            &[
                "relaxed_overall",
                "relaxed_human_split",
                "relaxed_augmented_split",
            ],
        ),
    ] {
        let dataset = dataset(task, benchmark);
        let scored = scored(&samples_of(task), &dataset);
        let joined = &scored.joined;
        assert_eq!(joined.by, JoinedBy::Row, "{task}");
        assert_eq!(
            (joined.num_answered, joined.num_unknown),
            (dataset.samples.len(), 0)
        );
        let note = &joined.notes[0];
        assert!(
            note.contains("lmms-eval") && note.contains("every prompt agrees"),
            "{note}"
        );
        for metric in metrics {
            let beside = of(&scored, metric);
            assert_eq!(beside.because, "the same", "{task}: {beside:?}");
            assert!((beside.ours.unwrap() - beside.theirs).abs() < 1e-6);
        }
    }
}

#[test]
fn what_has_no_counterpart_says_why() {
    let scored = scored(&samples_of("pope"), &dataset("pope", Benchmark::Pope));
    let ratio = of(&scored, "pope_yes_ratio");
    assert_eq!(ratio.ours, None);
    assert!(
        ratio.because.contains("whatever the model said"),
        "{}",
        ratio.because
    );
    // LLaVA reads sentences that are neither yes nor no to lmms-eval; mean F1 per category also
    // differs from pooled F1.
    let headline = scored.figures.headline().unwrap();
    assert_eq!(headline.name, "mean F1");
    assert!((headline.value.unwrap() - 75.0).abs() > 1.0);
}

/// A folder with a changed copy of a task's files.
fn changed(task: &str, lines: impl Fn(Vec<Value>) -> Vec<Value>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        format!("20260101_000000_samples_{task}.jsonl"),
        "20260101_000000_results.json".to_owned(),
    ] {
        std::fs::copy(fixtures().join(&name), folder.path().join(name)).unwrap();
    }
    let path = folder
        .path()
        .join(format!("20260101_000000_samples_{task}.jsonl"));
    let content = std::fs::read_to_string(&path).unwrap();
    let parsed = content
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let changed: Vec<String> = lines(parsed.collect())
        .iter()
        .map(Value::to_string)
        .collect();
    std::fs::write(&path, changed.join("\n")).unwrap();
    (folder, path)
}

#[test]
fn differences_are_explained() {
    let dataset = dataset("gqa", Benchmark::Gqa);
    let (_folder, path) = changed("gqa", |mut lines| {
        lines.truncate(4);
        lines[0]["filtered_resps"] = json!("no");
        lines
    });
    let scored = scored(&path, &dataset);
    let because = &of(&scored, "exact_match").because;
    for part in [
        "theirs is over 5 questions, ours over the 4",
        "1 of 4 answers have another score in their file than by gqa_lmms_eval: 201 (\"no\")",
    ] {
        assert!(because.contains(part), "{part:?} in {because}");
    }
    assert!(scored.joined.warnings[0].contains("1 of 5 questions have no answer"));
}

#[test]
fn what_cannot_be_used_is_counted_with_the_reason() {
    let dataset = dataset("gqa", Benchmark::Gqa);
    let (_folder, path) = changed("gqa", |mut lines| {
        lines.push(lines[0].clone());
        lines[1]["filtered_resps"] = json!([["-1.5", "False"], ["-0.5", "True"]]);
        lines[2].as_object_mut().unwrap().remove("filtered_resps");
        lines[3]["filtered_resps"] = json!(["girl", "boy"]);
        lines[4]["doc_id"] = json!("x");
        lines
    });
    let scored = scored(&path, &dataset);
    let warnings = scored.joined.warnings.join("\n");
    for part in [
        "4 lines can't be used",
        "log-likelihoods of options",
        "no `filtered_resps`",
        "earlier line",
        "`doc_id` is no",
    ] {
        assert!(warnings.contains(part), "{part:?} in {warnings}");
    }
    let notes = scored.joined.notes.join("\n");
    assert!(
        notes.contains("1 of 2 questions have several responses"),
        "{notes}"
    );
}

#[test]
fn rows_in_another_order_and_categories_of_pope_are_found() {
    let whole = dataset("pope", Benchmark::Pope);
    // In the order that several GPUs produce.
    let (_folder, path) = changed("pope", |mut lines| {
        lines.reverse();
        lines
    });
    let reversed = scored(&path, &whole);
    assert_eq!(of(&reversed, "pope_f1_score").because, "the same");
    // Only one category, whose rows are counted from its first.
    let (folder, path) = changed("pope", |mut lines| {
        lines.drain(..4);
        lines.truncate(4);
        for (row, line) in lines.iter_mut().enumerate() {
            line["doc_id"] = json!(row);
        }
        lines
    });
    let popular = folder.path().join("20260101_000000_samples_pope_pop.jsonl");
    std::fs::rename(path, &popular).unwrap();
    let one = scored(&popular, &whole);
    assert_eq!((one.joined.by, one.joined.num_answered), (JoinedBy::Row, 4));
    assert_eq!(&one.joined.missing[4], "8");
    let notes = one.joined.notes.join("\n");
    assert!(notes.contains("has no results of pope_pop"), "{notes}");
}

#[test]
fn older_versions_are_read() {
    let dataset = dataset("gqa", Benchmark::Gqa);
    let old = |line: &Value| {
        json!({
            "doc_id": line["doc_id"], "target": line["target"], "doc": {"id": "20"},
            "arguments": [[line["input"], 0]], "resps": [[line["filtered_resps"]]],
            "filtered_resps": [line["filtered_resps"]], "exact_match": line["exact_match"],
        })
    };
    let content = std::fs::read_to_string(samples_of("gqa")).unwrap();
    let logs: Vec<Value> = content
        .lines()
        .map(|line| old(&serde_json::from_str(line).unwrap()))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gqa.json");
    let whole = json!({"args": {}, "model_configs": {}, "logs": logs});
    std::fs::write(&path, whole.to_string()).unwrap();
    let scored = scored(&path, &dataset);
    assert_eq!(
        (scored.joined.by, scored.joined.num_answered),
        (JoinedBy::Row, 5)
    );
}

#[test]
fn near_misses_say_what_would_be_right() {
    let gqa = dataset("gqa", Benchmark::Gqa);
    let file = AnswerFile::read(&samples_of("pope")).unwrap();
    let error = Scored::new("file", &file, &gqa).unwrap_err().to_string();
    for part in [
        "lmms-eval's answers to pope, which is POPE",
        "gqa is GQA",
        "--dataset",
    ] {
        assert!(error.contains(part), "{part:?} in {error}");
    }
    let read = |path: &Path| AnswerFile::read(path).unwrap_err().to_string();
    let error = read(&fixtures().join("20260101_000000_results.json"));
    for part in [
        "scores of whole tasks (",
        "20260101_000000_samples_pope.jsonl",
        "beside it",
    ] {
        assert!(error.contains(part), "{part:?} in {error}");
    }
    let error = read(&fixtures());
    assert!(error.contains("8 tasks; name the file of one"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("results.json");
    std::fs::copy(fixtures().join("20260101_000000_results.json"), &alone).unwrap();
    let error = read(&alone);
    assert!(
        error.contains("run lmms-eval with --log_samples"),
        "{error}"
    );
    // A single file in a folder needs no name.
    std::fs::remove_file(&alone).unwrap();
    let name = "20260101_000000_samples_gqa.jsonl";
    std::fs::copy(samples_of("gqa"), folder.path().join(name)).unwrap();
    assert_eq!(scored(folder.path(), &gqa).joined.num_answered, 5);
}
