//! Matching answers to questions: by id, as long as the prompts don't contradict the ids.

use std::path::PathBuf;

use fp_data::Sample;
use fp_data::dataset::{Benchmark, Dataset};
use fp_data::metric::AnswerRule;
use fp_data::rescore::{AnswerFile, JoinedBy, Scored, upload};
use serde_json::{Value, json};

const INSTRUCTION: &str = "Answer the question using a single word or phrase.";

/// A dataset of questions: id, image, text, answer and family.
fn dataset(benchmark: Benchmark, rule: AnswerRule, rows: &[[&str; 5]]) -> Dataset {
    let sample = |[id, image, text, answer, family]: &[&str; 5]| Sample {
        id: (*id).to_owned(),
        image_id: (*image).to_owned(),
        question: format!("{text}\n{INSTRUCTION}"),
        answers: vec![(*answer).to_owned()],
        family: (*family).to_owned(),
        ..Sample::default()
    };
    Dataset {
        name: "asked".to_owned(),
        split: "test".to_owned(),
        benchmark,
        answer_rule: rule,
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

/// POPE with two objects on two images in each category, with LLaVA's ids or row numbers.
fn pope(with_llavas_ids: bool) -> Dataset {
    let mut rows = Vec::new();
    for (category, first) in [
        ("adversarial", 1),
        ("popular", 20_000_001),
        ("random", 10_000_001),
    ] {
        for (place, (image, object, answer)) in [
            ("a.jpg", "cat", "yes"),
            ("a.jpg", "dog", "no"),
            ("b.jpg", "cat", "no"),
            ("b.jpg", "dog", "yes"),
        ]
        .into_iter()
        .enumerate()
        {
            let id = if with_llavas_ids {
                first + place
            } else {
                rows.len()
            };
            let text = format!("Is there a {object} in the image?");
            rows.push([
                id.to_string(),
                image.to_owned(),
                text,
                answer.to_owned(),
                category.to_owned(),
            ]);
        }
    }
    let rows: Vec<[&str; 5]> = rows
        .iter()
        .map(|row| row.each_ref().map(String::as_str))
        .collect();
    dataset(Benchmark::Pope, AnswerRule::Pope, &rows)
}

/// Right answers to every question, as LLaVA logs them.
fn perfect(dataset: &Dataset) -> Vec<Value> {
    let line = |sample: &Sample| {
        json!({
            "question_id": sample.id, "prompt": sample.question, "text": sample.answers[0],
            "image": sample.image_id,
        })
    };
    dataset.samples.iter().map(line).collect()
}

fn without(mut lines: Vec<Value>, keys: &[&str]) -> Vec<Value> {
    for line in &mut lines {
        for key in keys {
            line.as_object_mut().unwrap().remove(*key);
        }
    }
    lines
}

fn score(lines: &[Value], dataset: &Dataset) -> Result<Scored, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let file = AnswerFile::read(&path).unwrap();
    Scored::new("file", &file, dataset).map_err(|error| fp_scoring::error_text(&error))
}

/// The headline in percent, how the answers were matched, and the warnings.
#[track_caller]
fn joined(lines: &[Value], dataset: &Dataset) -> (Option<f64>, JoinedBy, Vec<String>) {
    let Scored {
        figures, joined, ..
    } = score(lines, dataset).unwrap();
    (
        figures.headline().unwrap().value,
        joined.by,
        joined.warnings,
    )
}

#[track_caller]
fn refused(lines: &[Value], dataset: &Dataset, parts: &[&str]) {
    let error = score(lines, dataset).unwrap_err();
    for part in parts {
        assert!(error.contains(part), "{part:?} in {error}");
    }
}

/// LLaVA's ids on rows with consecutive ids: some ids equal those of other rows by chance.
#[test]
fn ids_of_another_numbering_are_never_taken_at_their_word() {
    let rows = pope(false);
    let llavas = perfect(&pope(true));
    let no_image = without(llavas.clone(), &["image"]);
    let (value, by, warnings) = joined(&no_image, &rows);
    assert_eq!((value, by), (Some(100.0), JoinedBy::CategoryAndPlace));
    assert!(
        warnings[0].contains("joined by category and position"),
        "{warnings:?}"
    );

    let untold = without(llavas.clone(), &["image", "prompt"]);
    refused(
        &untold,
        &rows,
        &[
            "8 of the 12 answers",
            "\"20000001\"",
            "\"0\", \"1\"",
            "no prompt identifies",
        ],
    );
    // Only one category: no id is known, and every prompt occurs in three.
    refused(
        &untold[4..8],
        &rows,
        &[
            "none of the 4 answers",
            "\"20000001\", \"20000002\"",
            "\"0\", \"1\"",
        ],
    );
    // Another release of a category: one question fewer, the others at other positions.
    let mut other = no_image.clone();
    other.remove(5);
    for (place, line) in other[4..7].iter_mut().enumerate() {
        line["question_id"] = json!(20_000_001 + place);
    }
    refused(
        &other,
        &rows,
        &["were given to other questions", "question_id"],
    );
}

#[test]
fn renumbered_answers_are_joined_by_image_and_question_or_refused() {
    let asked = pope(true);
    let mut lines = perfect(&asked);
    let asked = {
        let mut one = asked.clone();
        one.samples.retain(|sample| sample.family == "random");
        one
    };
    lines.drain(..8);
    // The second one is dropped, and the following ones are renumbered.
    lines.remove(1);
    for (place, line) in lines.iter_mut().enumerate() {
        line["question_id"] = json!(10_000_001 + place);
    }
    let (value, by, warnings) = joined(&lines, &asked);
    assert_eq!(by, JoinedBy::ImageAndQuestion);
    // TP 2, TN 1; the missing answer counts as yes: precision 2/3, recall 1.
    assert!((value.unwrap() - 80.0).abs() < 1e-9, "{value:?}");
    assert!(
        warnings[0].starts_with("2 answers have ids of other questions")
            && warnings[1].starts_with("1 of 4 questions have no answer"),
        "{warnings:?}"
    );
    // Without images the same text occurs twice.
    refused(
        &without(lines.clone(), &["image"]),
        &asked,
        &[
            "2 of the 3 answers",
            "was asked \"Is there a cat in the image?\"",
            "the dataset asks \"Is there a dog in the image?\"",
        ],
    );
    // Nothing contradicts the ids: they are used, with a note.
    let scored = score(&without(lines, &["image", "prompt"]), &asked).unwrap();
    assert!(
        scored.joined.notes[0].contains("question_id alone"),
        "{:?}",
        scored.joined
    );
}

#[test]
fn texts_that_only_one_question_has_need_no_id() {
    let rows = [
        ["1", "a.jpg", "What is it?", "cup", "f"],
        ["2", "b.jpg", "Who is it?", "cook", "f"],
        ["3", "c.jpg", "Where is it?", "sea", "f"],
    ];
    let asked = dataset(Benchmark::Plain, AnswerRule::Exact, &rows);
    let lines = without(perfect(&asked), &["image"]);
    let with_ids = |ids: [&str; 3]| {
        let mut lines = lines.clone();
        for (line, id) in lines.iter_mut().zip(ids) {
            line["question_id"] = json!(id);
        }
        lines
    };
    for ids in [
        ["2", "3", "1"],
        ["x", "y", "z"],
        ["3", "2", "1"],
        ["0", "1", "2"],
    ] {
        let (value, by, warnings) = joined(&with_ids(ids), &asked);
        assert_eq!((value, by), (Some(100.0), JoinedBy::Question), "{ids:?}");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
    }
    // The same prompt twice: which question either answers is ambiguous.
    let mut twice = with_ids(["1", "2", "3"]);
    twice[2]["prompt"] = twice[1]["prompt"].clone();
    refused(
        &twice,
        &asked,
        &[
            "1 of the 3 answers",
            "question_id 3 was asked \"Who is it?\"",
        ],
    );
    // Prompts of another dataset under the same ids.
    let mut others = lines.clone();
    for (line, text) in others
        .iter_mut()
        .zip(["Is it day?", "How many?", "What colour?"])
    {
        line["prompt"] = json!(format!("{text}\n{INSTRUCTION}"));
    }
    refused(
        &others,
        &asked,
        &["3 of the 3 answers", "has no such question"],
    );
    // The same question with another instruction is another wording.
    let mut reworded = lines;
    reworded[0]["prompt"] = json!("What is it? Reply in one word.");
    let (value, by, warnings) = joined(&reworded, &asked);
    assert_eq!((value, by), (Some(100.0), JoinedBy::QuestionId));
    assert!(
        warnings[0].contains("another wording of the question: 1"),
        "{warnings:?}"
    );
}

/// The two questions of MME on an image share an id.
#[test]
fn ids_that_questions_share_are_told_by_prompts_or_taken_in_order() {
    let rows = [
        [
            "count/1.jpg#0",
            "count/1.jpg",
            "Are there two?",
            "Yes",
            "count",
        ],
        [
            "count/1.jpg#1",
            "count/1.jpg",
            "Are there three?",
            "No",
            "count",
        ],
        [
            "count/2.jpg#0",
            "count/2.jpg",
            "Are there two?",
            "Yes",
            "count",
        ],
        [
            "count/2.jpg#1",
            "count/2.jpg",
            "Are there four?",
            "No",
            "count",
        ],
    ];
    let asked = dataset(Benchmark::Mme, AnswerRule::Mme, &rows);
    let mut lines = without(perfect(&asked), &["image"]);
    for line in &mut lines {
        let id = line["question_id"].as_str().unwrap();
        line["question_id"] = json!(id.split('#').next().unwrap());
    }
    lines.swap(0, 1);
    assert_eq!(
        joined(&lines, &asked),
        (Some(200.0), JoinedBy::QuestionId, Vec::new())
    );
    let (value, _, warnings) = joined(&without(lines.clone(), &["prompt"]), &asked);
    assert_eq!(value, Some(50.0 + 50.0));
    assert!(
        warnings[0].starts_with("4 answers have an id that several questions share"),
        "{warnings:?}"
    );
    // Files that number an image's questions in another order.
    let mut numbered = lines.clone();
    for (place, line) in numbered.iter_mut().enumerate() {
        let id = line["question_id"].as_str().unwrap();
        line["question_id"] = json!(format!("{id}#{}", place % 2));
    }
    let expected = (Some(200.0), JoinedBy::QuestionId, Vec::new());
    assert_eq!(joined(&numbered, &asked), expected);
    // The same question twice is no answer to the other one.
    lines[1] = lines[0].clone();
    let (_, _, warnings) = joined(&lines, &asked);
    assert!(
        warnings[0].starts_with("1 of 4 questions have no answer")
            && warnings[1].starts_with("1 answers are to a question answered earlier"),
        "{warnings:?}"
    );
    // A prompt about the other image.
    lines[1]["prompt"] = json!(format!("Are there four?\n{INSTRUCTION}"));
    refused(
        &lines,
        &asked,
        &["question_id count/1.jpg was asked \"Are there four?\""],
    );
}

/// TextVQA's test split is scored elsewhere, its other splits here.
#[test]
fn text_vqa_is_handed_in_where_nobody_has_the_answers() {
    let rows = [
        ["34", "a", "What brand?", "x", "f"],
        ["35", "a", "What year?", "x", "f"],
        ["36", "b", "What brand?", "x", "f"],
    ];
    let mut asked = dataset(Benchmark::Textvqa, AnswerRule::VqaM4c, &rows);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let lines = [
        ("b", "What brand?", "The Coca, Cola"),
        ("a", "What year?", "1,999"),
    ];
    let lines = lines.map(|(image, text, said)| {
        let prompt = format!("{text}\n{INSTRUCTION}");
        json!({"question_id": image, "prompt": prompt, "text": said}).to_string()
    });
    std::fs::write(&path, lines.join("\n")).unwrap();
    let file = AnswerFile::read(&path).unwrap();
    let error = upload(&file, &asked).unwrap_err().to_string();
    assert!(error.contains("it is scored locally"), "{error}");
    asked.judge = Some("a server".to_owned());
    let made = upload(&file, &asked).unwrap();
    assert_eq!(
        String::from_utf8(made.content).unwrap(),
        r#"[{"question_id":34,"answer":""},{"question_id":35,"answer":"1999"},{"question_id":36,"answer":"coca cola"}]"#
    );
    assert_eq!(
        made.warnings,
        ["1 of 3 questions have no answer and stand empty: 34"]
    );
}

#[test]
fn order_counts_where_every_prompt_agrees() {
    let rows = [
        ["0", "0", "Which way?", "up", "f"],
        ["1", "1", "Which way?", "down", "f"],
        ["2", "2", "Which one?", "left", "f"],
        ["3", "3", "Which way?", "right", "f"],
    ];
    let asked = dataset(Benchmark::Plain, AnswerRule::Exact, &rows);
    let mut lines = without(perfect(&asked), &["image"]);
    for (line, id) in lines.iter_mut().zip(["3", "17", "1", "40"]) {
        line["question_id"] = json!(id);
    }
    let (value, by, _) = joined(&lines, &asked);
    assert_eq!((value, by), (Some(100.0), JoinedBy::Place));
    lines.swap(1, 2);
    refused(&lines, &asked, &["were given to other questions"]);
}
