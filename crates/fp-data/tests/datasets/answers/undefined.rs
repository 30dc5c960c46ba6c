//! Undefined figures and comparisons: they state the reason, and the others are unaffected.

use std::path::Path;

use fp_data::dataset::{Benchmark, Dataset};
use fp_data::rescore::{AnswerFile, Comparison, Figure, Scored, compare_all, open_questions};
use fp_stats::CompareOptions;
use serde_json::json;

/// POPE with one category: image, and whether the object is present.
fn pope(folder: &Path, questions: &[(&str, bool)]) -> Dataset {
    let mut lines = [String::new(), String::new()];
    for (number, (image, is_there)) in questions.iter().enumerate() {
        let text = format!("Is there a thing {number} in the image?");
        let label = if *is_there { "yes" } else { "no" };
        let asked =
            json!({"question_id": number, "image": image, "text": text, "category": "random"});
        let known = json!({"question_id": number, "image": image, "text": text, "label": label});
        lines[0] += &format!("{asked}\n");
        lines[1] += &format!("{known}\n");
    }
    std::fs::create_dir_all(folder.join("coco")).unwrap();
    std::fs::write(folder.join("llava_pope_test.jsonl"), &lines[0]).unwrap();
    std::fs::write(folder.join("coco/coco_pope_random.json"), &lines[1]).unwrap();
    open_questions(&folder.display().to_string()).unwrap()
}

fn scored(name: &str, dataset: &Dataset, texts: &[&str]) -> Scored {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let line = |(sample, text): (&fp_data::Sample, &&str)| {
        json!({"question_id": sample.id, "prompt": sample.question, "text": text}).to_string()
    };
    let lines: Vec<String> = dataset.samples.iter().zip(texts).map(line).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    Scored::new(name, &AnswerFile::read(&path).unwrap(), dataset).unwrap()
}

fn figure<'a>(scored: &'a Scored, name: &str) -> &'a Figure {
    let mut figures = scored.figures.figures.iter();
    figures.find(|figure| figure.name == name).unwrap()
}

fn compared(dataset: &Dataset, a: Scored, b: Scored) -> Comparison {
    let options = CompareOptions {
        num_draws: 1000,
        num_permutations: 1000,
        ..CompareOptions::default()
    };
    compare_all(dataset, &[a, b], None, &options)
        .unwrap()
        .remove(0)
}

#[test]
fn one_image_has_a_difference_and_no_test() {
    let folder = tempfile::tempdir().unwrap();
    let dataset = pope(
        folder.path(),
        &[("a.jpg", true), ("a.jpg", false), ("a.jpg", true)],
    );
    let a = scored("a", &dataset, &["Yes", "No", "Yes"]);
    let b = scored("b", &dataset, &["Yes", "Yes", "Yes"]);
    let pair = compared(&dataset, a, b);
    assert!((pair.difference.unwrap() - 1.0 / 3.0).abs() < 1e-15);
    assert_eq!(
        (pair.paired, pair.p_holm, pair.headline),
        (None, None, None)
    );
    let because = pair.no_paired.unwrap();
    assert_eq!(
        because,
        "all 3 questions are on one image, a.jpg, and a test needs two"
    );
    assert_eq!(pair.no_headline.unwrap(), because);
}

/// Undefined F1: by the official parsing, and by lmms-eval's, which gives 0.
#[test]
fn f1_without_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let questions: Vec<(String, bool)> = (0..6)
        .map(|number| (format!("{}.jpg", number / 2), number % 2 == 0))
        .collect();
    let questions: Vec<(&str, bool)> = questions.iter().map(|(i, is)| (i.as_str(), *is)).collect();
    let dataset = pope(folder.path(), &questions);
    let no = "no answer is yes";
    let never = "no answer is yes or no where yes is right";
    let both = "precision and recall are both 0";
    for (what, texts, official, lmms_eval) in [
        ("no yes", ["No"; 6], Some(no), Some(no)),
        (
            "all wrong",
            ["No", "Yes", "No", "Yes", "No", "Yes"],
            Some(both),
            Some(both),
        ),
        // LLaVA's script reads sentences as yes, lmms-eval as neither.
        ("sentences", ["There is one"; 6], None, Some(no)),
        (
            "neither where yes is right",
            ["A thing", "Yes", "A thing", "Yes", "A thing", "Yes"],
            None,
            Some(never),
        ),
        ("right", ["Yes", "No", "Yes", "No", "Yes", "No"], None, None),
    ] {
        let all = scored("x", &dataset, &texts);
        let f1 = figure(&all, "random: F1");
        assert_eq!(f1.undefined.as_deref(), official, "{what}");
        assert_eq!(f1.value.is_none(), official.is_some(), "{what}");
        let pooled = figure(&all, "pooled F1 (pope_lmms_eval)");
        let expected = if lmms_eval.is_some() { 0.0 } else { 100.0 };
        assert_eq!(
            (pooled.value, &pooled.undefined),
            (Some(expected), &None),
            "{what}"
        );
        let note =
            lmms_eval.map(|because| format!("lmms-eval gives 0 where F1 is undefined: {because}"));
        assert_eq!(pooled.note, note, "{what}");
        let right = scored("right", &dataset, &["Yes", "No", "Yes", "No", "Yes", "No"]);
        let pair = compared(&dataset, right, all);
        assert!(pair.paired.is_some() && pair.difference.is_some(), "{what}");
        let because = official
            .map(|because| format!("x has no mean F1: F1 is undefined in random ({because})"));
        assert_eq!(pair.no_headline, because, "{what}");
    }
}

/// MMBench with one question has no second question to compare by.
#[test]
fn one_question_of_mmbench() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tsv");
    let table = "index\tquestion\tA\tB\tprediction\tanswer\n1\tWhich?\tup\tdown\tA\tA\n1000001\tWhich?\tdown\tup\tA\tB\n";
    std::fs::write(&path, table).unwrap();
    let file = AnswerFile::read(&path).unwrap();
    let dataset = file.questions.clone().unwrap().whole().unwrap();
    assert_eq!(dataset.benchmark, Benchmark::Mmbench);
    let of = |name: &str| Scored::new(name, &file, &dataset).unwrap();
    let pair = compared(&dataset, of("a"), of("b"));
    assert_eq!(pair.difference, Some(0.0));
    assert_eq!(
        pair.no_paired.unwrap(),
        "all rows are of one question, and a test needs two"
    );
}

/// All 14 tasks, all but some, and only unknown ones.
#[test]
fn totals_of_mme_need_every_task() {
    use fp_data::metric::mme::{COGNITION, PERCEPTION};
    let all: Vec<&str> = PERCEPTION.into_iter().chain(COGNITION).collect();
    let of = |tasks: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        for task in tasks {
            let lines = "1.jpg\tIs it?\tYes\tYes\n1.jpg\tIs it not?\tNo\tNo\n";
            std::fs::write(folder.path().join(format!("{task}.txt")), lines).unwrap();
        }
        let file = AnswerFile::read(folder.path()).unwrap();
        let dataset = file.questions.clone().unwrap().whole().unwrap();
        Scored::new("a", &file, &dataset).unwrap()
    };
    let whole = of(&all);
    let headline = whole.figures.headline().unwrap();
    assert_eq!(
        (headline.name.as_str(), headline.value),
        ("perception + cognition", Some(2800.0))
    );
    for (tasks, name, sum, num_missing, absent) in [
        (
            &["count", "existence", "position"][..],
            "sum of the 3 tasks there are, no total",
            600.0,
            11,
            "color, posters",
        ),
        (
            &all[..13],
            "sum of the 13 tasks there are, no total",
            2600.0,
            1,
            "code_reasoning",
        ),
        (
            &["OCR"][..],
            "the only task there is, no total",
            200.0,
            13,
            "existence, count",
        ),
        (
            &["mine", "yours"][..],
            "sum of the 2 tasks there are, no total",
            400.0,
            14,
            "existence, count",
        ),
    ] {
        let part = of(tasks);
        let headline = part.figures.headline().unwrap();
        assert_eq!((headline.name.as_str(), headline.value), (name, Some(sum)));
        let total = figure(&part, "perception + cognition");
        let because = total.undefined.as_deref().unwrap();
        assert!(
            because.starts_with(&format!("{num_missing} of MME's 14 tasks")),
            "{because}"
        );
        let parts = ["perception", "cognition"].map(|name| figure(&part, name).undefined.clone());
        let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        assert!(parts.contains(absent), "{parts}");
    }
}
