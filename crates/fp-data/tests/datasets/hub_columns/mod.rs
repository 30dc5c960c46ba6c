//! Rows as on the Hub, with null lists, lists of images, and questions that are left out.
#![cfg(feature = "parquet")]

mod file;

use fp_data::dataset::{Benchmark, ProblemKind};

use file::{Columns, Image, Images, Lists, Numbers, Texts, image, read, texts};

const SHORT: &str = "Answer the question using a single word or phrase.";
const LETTER: &str = "Answer with the option's letter from the given choices directly.";

fn documents(answers: Vec<Option<&'static [&'static str]>>) -> Columns {
    vec![
        ("questionId", texts(&["337", "338"])),
        ("question", texts(&["what is the date?", "who?"])),
        (
            "question_types",
            Lists(vec![Some(&["handwritten", "form"]), None]),
        ),
        ("image", Image(vec![Some("one"), Some("one")])),
        ("docId", Numbers(vec![279, 279])),
        ("ucsf_document_id", texts(&["xnbl0037", "xnbl0037"])),
        ("ucsf_document_page_no", texts(&["1", "1"])),
        ("answers", Lists(answers)),
        ("data_split", texts(&["val", "val"])),
    ]
}

#[test]
fn documents_and_their_test_part() {
    let answers: Vec<Option<&[&str]>> = vec![Some(&["1/8/93", "1/8/1993"]), Some(&["A. Smith"])];
    let file = "DocVQA/validation-00000-of-00001.parquet";
    let (_folder, reading) = read(Benchmark::Docvqa, file, &documents(answers));
    let dataset = reading.whole().unwrap();
    assert_eq!(
        (dataset.split.as_str(), dataset.judge.as_deref()),
        ("DocVQA/validation", None)
    );
    let [first, second] = dataset.samples.as_slice() else {
        panic!("two questions")
    };
    assert_eq!(first.question, format!("what is the date?\n{SHORT}"));
    assert_eq!(first.answers, ["1/8/93", "1/8/1993"]);
    assert_eq!(
        (first.id.as_str(), first.image_id.as_str()),
        ("337", "xnbl0037_1")
    );
    assert_eq!(
        (first.family.as_str(), second.family.as_str()),
        ("handwritten+form", "default")
    );
    assert_eq!(first.image, second.image);
    assert_eq!(image(second), "one");

    let file = "DocVQA/test-00000-of-00001.parquet";
    let (_folder, reading) = read(Benchmark::Docvqa, file, &documents(vec![None, None]));
    let dataset = reading.whole().unwrap();
    assert_eq!(dataset.samples.len(), 2);
    let error = dataset.require_answers().unwrap_err().to_string();
    assert!(error.contains("Robust Reading Competition"), "{error}");
    // A question without answers among others with answers is a problem; the split is no test
    // split.
    let some: Vec<Option<&[&str]>> = vec![Some(&["1993"]), None];
    let (_folder, reading) = read(Benchmark::Docvqa, file, &documents(some));
    assert_eq!(reading.problems.counts()[&ProblemKind::MissingAnswer], 1);
}

#[test]
fn infographics() {
    let columns: Columns = vec![
        ("questionId", texts(&["98313"])),
        ("question", texts(&["How many?"])),
        ("answers", Lists(vec![Some(&["8"])])),
        ("answer_type", Lists(vec![Some(&["single span"])])),
        ("image", Image(vec![Some("one")])),
        ("image_url", texts(&["https://example.org/a.png"])),
        (
            "operation/reasoning",
            Lists(vec![Some(&["counting", "comparison"])]),
        ),
        ("ocr", texts(&["{}"])),
        ("data_split", texts(&["val"])),
    ];
    let file = "InfographicVQA/validation-00000-of-00001.parquet";
    let (_folder, reading) = read(Benchmark::Infovqa, file, &columns);
    let sample = &reading.whole().unwrap().samples[0];
    assert_eq!(sample.image_id, "https://example.org/a.png");
    assert_eq!(sample.family, "single span");
    assert_eq!(sample.keys["operation"], "counting+comparison");
}

#[test]
fn charts_and_texts_share_images_by_content() {
    let columns: Columns = vec![
        (
            "type",
            texts(&["human_test", "human_test", "augmented_test"]),
        ),
        ("question", texts(&["a?", "b?", "c?"])),
        ("answer", texts(&["14", "Yes", "0.08"])),
        ("image", Image(vec![Some("one"), Some("one"), Some("two")])),
    ];
    let file = "data/test-00000-of-00001.parquet";
    let (_folder, reading) = read(Benchmark::Chartqa, file, &columns);
    let samples = reading.whole().unwrap().samples;
    let ids: Vec<&str> = samples.iter().map(|s| s.id.as_str()).collect();
    let families: Vec<&str> = samples.iter().map(|s| s.family.as_str()).collect();
    assert_eq!(
        (ids, families),
        (vec!["0", "1", "2"], vec!["human", "human", "augmented"])
    );
    assert_eq!(samples[0].image_id, samples[1].image_id);
    assert_ne!(samples[0].image_id, samples[2].image_id);
    assert_eq!(samples[2].question, format!("c?\n{SHORT}"));

    let columns: Columns = vec![
        ("dataset", texts(&["IIIT5K", "HME100k"])),
        (
            "question",
            texts(&["what is written in the image?", " Formula? "]),
        ),
        (
            "question_type",
            texts(&["Regular Text Recognition", "Other"]),
        ),
        ("answer", Lists(vec![Some(&["CENTRE"]), Some(&["x ^ 2"])])),
        ("image", Image(vec![Some("one"), Some("two")])),
    ];
    let (_folder, reading) = read(Benchmark::Ocrbench, file, &columns);
    let dataset = reading.whole().unwrap();
    assert_eq!(dataset.samples[1].question, "Formula?");
    let formula = &dataset.samples[1];
    assert_eq!(formula.score(dataset.answer_rule, "$x^2$"), 1.0);
    assert_eq!(formula.score(dataset.answer_rule, "$X^2$"), 0.0);
    assert_eq!(
        dataset.samples[0].score(dataset.answer_rule, "It says centre"),
        1.0
    );
}

#[test]
fn diagrams() {
    let columns = |answer: &'static str| -> Columns {
        vec![
            ("question", texts(&["What is A?"])),
            ("options", Lists(vec![Some(&["ears", "nose"])])),
            ("answer", texts(&[answer])),
            ("image", Image(vec![Some("one")])),
        ]
    };
    let file = "data/test-00000-of-00001.parquet";
    let (_folder, reading) = read(Benchmark::Ai2d, file, &columns("1"));
    let sample = &reading.whole().unwrap().samples[0];
    assert_eq!(
        sample.question,
        format!("What is A?\nA. ears\nB. nose\n{LETTER}")
    );
    assert_eq!((sample.answers[0].as_str(), sample.choices.len()), ("B", 2));
    for (answer, message) in [
        ("2", "the letter of one of its choices"),
        ("B", "not the index"),
    ] {
        let (_folder, reading) = read(Benchmark::Ai2d, file, &columns(answer));
        assert_eq!(
            reading.problems.counts()[&ProblemKind::InvalidValue],
            1,
            "{answer}"
        );
        assert!(
            reading.problems.to_string().contains(message),
            "{}",
            reading.problems
        );
    }
}

#[test]
fn questions_on_videos_are_left_out() {
    let columns: Columns = vec![
        ("answer", texts(&["A", "B", "C"])),
        ("choice_a", texts(&["1", "1", "1"])),
        ("choice_b", texts(&["2", "2", "2"])),
        ("choice_c", texts(&["3", "3", "3"])),
        ("choice_d", texts(&["4", "4", "4"])),
        ("data_id", texts(&["10", "v1.webm", "10"])),
        ("data_type", texts(&["image", "video", "image"])),
        (
            "question",
            texts(&["How many?", "What happens?", "And now?"]),
        ),
        ("question_id", texts(&["101", "v1", "102"])),
        ("question_type_id", Numbers(vec![5, 10, 9])),
        ("image", Images(vec![&["one"], &["two", "three"], &["one"]])),
        ("segment", Lists(vec![None, None, None])),
    ];
    let file = "data/test-00000-of-00001.parquet";
    let (_folder, reading) = read(Benchmark::Seedbench, file, &columns);
    let dataset = reading.whole().unwrap();
    assert_eq!(
        dataset.notes,
        ["1 of 3 questions are on videos and are skipped"]
    );
    let families: Vec<&str> = dataset.samples.iter().map(|s| s.family.as_str()).collect();
    assert_eq!(families, ["Instances Counting", "Text Understanding"]);
    assert_eq!(
        dataset.samples[0].question,
        format!("How many?\nA. 1\nB. 2\nC. 3\nD. 4\n{LETTER}")
    );
    assert_eq!(image(&dataset.samples[1]), "one");
    assert_eq!(dataset.samples[0].image_id, "10");
}

#[test]
fn capabilities() {
    let columns: Columns = vec![
        ("index", Numbers(vec![7])),
        ("question", texts(&["Which?\nOptions: A: red, B: blue"])),
        ("image", Texts(vec![Some("one")])),
        ("answer", texts(&["B"])),
        ("category", texts(&["coarse perception"])),
        ("l2_category", texts(&["image emotion"])),
    ];
    // The authors' file has bytes, not a structure.
    let (_folder, reading) = read(Benchmark::Mmstar, "mmstar.parquet", &columns);
    let sample = &reading.whole().unwrap().samples[0];
    let instruction = LETTER.trim_end_matches('.');
    assert_eq!(
        sample.question,
        format!("Which?\nOptions: A: red, B: blue\n{instruction}")
    );
    assert_eq!((sample.id.as_str(), image(sample).as_str()), ("7", "one"));
    assert_eq!(sample.choices, ["red", "blue"]);
    assert_eq!(sample.keys["l2_category"], "image emotion");
}

#[test]
fn questions_on_several_images_are_left_out() {
    let ids = [
        "validation_Accounting_1",
        "validation_Art_Theory_2",
        "validation_Math_3",
        "validation_Math_4",
        "validation_Math_5",
    ];
    let columns = |answers: &[&'static str], options: &'static str| -> Columns {
        vec![
            ("id", texts(&ids)),
            (
                "question",
                texts(&[
                    "<image 1> Which?",
                    "<image 1> or <image 2>?",
                    "<image 1> How many? <image 1>",
                    "<image 2>?",
                    "Which one?",
                ]),
            ),
            (
                "options",
                texts(&[
                    options,
                    "['a', 'b']",
                    "[]",
                    "[]",
                    "['<image 1>', '<image 2>']",
                ]),
            ),
            ("explanation", texts(&[""; 5])),
            (
                "image_1",
                Image(vec![
                    Some("one"),
                    Some("two"),
                    Some("three"),
                    None,
                    Some("five"),
                ]),
            ),
            (
                "image_2",
                Image(vec![None, Some("x"), None, Some("y"), Some("z")]),
            ),
            ("img_type", texts(&["['Tables']"; 5])),
            ("answer", texts(answers)),
            ("topic_difficulty", texts(&["Easy"; 5])),
            (
                "question_type",
                texts(&[
                    "multiple-choice",
                    "multiple-choice",
                    "open",
                    "open",
                    "multiple-choice",
                ]),
            ),
            ("subfield", texts(&["x"; 5])),
        ]
    };
    let file = "data/validation-00000-of-00001.parquet";
    let answers = ["B", "A", "['5', '5.0']", "1", "A"];
    let whole = columns(&answers, "['$6', \"it's $7\"]");
    let (_folder, reading) = read(Benchmark::Mmmu, file, &whole);
    let dataset = reading.whole().unwrap();
    assert_eq!(
        dataset.notes,
        [
            "1 of 5 questions need another image than the first of their row and are skipped",
            "2 of 5 questions need several images and are skipped",
        ]
    );
    let [choice, open] = dataset.samples.as_slice() else {
        panic!("two questions")
    };
    assert_eq!(
        choice.question,
        format!("<image 1> Which?\nA. $6\nB. it's $7\n\n{LETTER}")
    );
    assert_eq!(
        (choice.family.as_str(), image(choice).as_str()),
        ("Accounting", "one")
    );
    assert_eq!(choice.keys["discipline"], "Business");
    assert_eq!(
        open.question,
        format!("<image 1> How many? <image 1>\n\n{SHORT}")
    );
    assert_eq!(
        (open.answers.as_slice(), open.choices.len()),
        (&["5".to_owned(), "5.0".to_owned()][..], 0)
    );
    assert_eq!(open.score(dataset.answer_rule, "There are 5."), 1.0);
    // The test split hides its answers.
    let file = "data/test-00000-of-00001.parquet";
    let (_folder, reading) = read(Benchmark::Mmmu, file, &columns(&["?"; 5], "['a', 'b']"));
    let error = reading
        .whole()
        .unwrap()
        .require_answers()
        .unwrap_err()
        .to_string();
    assert!(error.contains("EvalAI"), "{error}");
    // Options that aren't a Python list are a problem of their row.
    let (_folder, reading) = read(Benchmark::Mmmu, file, &columns(&answers, "a, b"));
    assert_eq!(reading.problems.counts()[&ProblemKind::InvalidValue], 1);
    assert!(
        reading.problems.to_string().contains("not a list of texts"),
        "{}",
        reading.problems
    );
}
