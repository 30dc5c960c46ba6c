//! Datasets and answers on the command line: check, convert, export, rescore.

mod files;
mod images;

use std::path::Path;

use fp_data::dataset::Benchmark;
use serde_json::Value;

use crate::common::{fail, finepruner, succeed};

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&succeed(args)).unwrap()
}

fn export(layout: &str, folder: &Path) -> String {
    let path = folder.join(layout).display().to_string();
    succeed(&[
        "data",
        "export",
        "embedded:select",
        "--layout",
        layout,
        "--output",
        &path,
    ]);
    path
}

#[test]
fn what_is_exported_is_recognised_and_converted() {
    let folder = tempfile::tempdir().unwrap();
    let pope = export("pope", folder.path());
    export("textvqa", folder.path());
    let root = folder.path().display().to_string();
    let checked = json(&["data", "check", &root, "--json"]);
    let sets = checked["datasets"].as_array().unwrap();
    assert_eq!(sets.len(), 3);
    assert!(sets.iter().all(|set| set["is_complete"] == true));
    let text = succeed(&["data", "check", &root]);
    assert!(text.contains("textvqa:noocr") && fits(&text), "{text}");
    let plain = folder.path().join("plain").display().to_string();
    let converted = json(&["data", "convert", &pope, "--output", &plain, "--json"]);
    assert_eq!(converted["num_left_out"], 0);
    let number = |selector: &str| {
        json(&["data", "check", selector, "--json"])["datasets"][0]["num_questions"].clone()
    };
    assert_eq!(number(&plain), number(&pope));
    fail(
        &["data", "convert", &pope, "--output", &plain],
        &["isn't empty"],
    );
    fail(
        &[
            "data",
            "export",
            "embedded:select",
            "--layout",
            "mmbench",
            "--output",
            "x",
        ],
        &["choice of two to four"],
    );
}

#[test]
fn every_layout_is_listed_and_found_again() {
    let output = finepruner(&["data", "export", "--help"]);
    for benchmark in Benchmark::ALL {
        assert!(
            output.stdout.contains(benchmark.name()),
            "{benchmark}: {}",
            output.stdout
        );
    }
    let folder = tempfile::tempdir().unwrap();
    for (layout, rule) in [
        ("docvqa", "anls"),
        ("infovqa", "anls"),
        ("chartqa", "chartqa"),
        ("ocrbench", "ocrbench"),
        ("mmmu", "mmmu"),
    ] {
        let path = export(layout, folder.path());
        let found = &json(&["data", "check", &path, "--json"])["datasets"][0];
        let benchmark: Benchmark = layout.parse().unwrap();
        assert_eq!(found["benchmark"], benchmark.title());
        assert_eq!(found["answer_rule"], rule);
        assert_eq!(found["is_complete"], true, "{found}");
    }
    fail(
        &[
            "data",
            "export",
            "embedded:select",
            "--layout",
            "docvqu",
            "--output",
            "x",
        ],
        &["docvqu", "docvqa"],
    );
}

#[test]
fn problems_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().display().to_string();
    fail(&["data", "check", &empty], &["no dataset in", &empty]);
    let expected = "no folder `data/absent`; expected the folder of a dataset, FOLDER:SPLIT, \
                    embedded:select or embedded:confirm";
    for absent in ["data/absent", "data/absent:test"] {
        let text = wrong(&[absent]);
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(expected), "{text}");
        let answers = folder.path().join("a.jsonl");
        std::fs::write(&answers, "{\"question_id\": 1, \"text\": \"a\"}\n").unwrap();
        let answers = answers.display().to_string();
        fail(&["rescore", &answers, "--dataset", absent], &[expected]);
    }
    let gqa = export("gqa", folder.path());
    let questions = Path::new(&gqa).join("llava_gqa_testdev_balanced.jsonl");
    let text = std::fs::read_to_string(&questions).unwrap();
    let first = text.lines().next().unwrap();
    let count = text.lines().count();
    std::fs::write(&questions, format!("{text}{first}\n{{\n")).unwrap();
    let checked = checked(&[&gqa]);
    let set = &checked["datasets"][0];
    assert_eq!(set["is_complete"], false);
    assert_eq!(set["problems"]["counts"]["duplicate_id"], 1);
    assert_eq!(set["problems"]["counts"]["malformed"], 1);
    let text = wrong(&[&gqa]);
    let name = "llava_gqa_testdev_balanced.jsonl";
    for part in [
        format!("{name}: 2 lines with problems (1 malformed, 1 with a duplicate id)"),
        format!("{name}:{}: ", count + 1),
        format!("{name}:{}: ", count + 2),
    ] {
        assert!(unwrapped(&text).contains(&part), "{part}: {text}");
    }
}

/// Wrapped lines joined again with single spaces.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether every line fits into the terminal's width, except for longer words.
fn fits(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    lines.all(|line| line.chars().count() <= 80 || !line.contains(' '))
}

/// Output of `data check` for folders with problems.
#[track_caller]
fn wrong(args: &[&str]) -> String {
    let output = finepruner(&[&["data", "check"], args].concat());
    assert_eq!(output.code, Some(2), "{}{}", output.stdout, output.stderr);
    assert_eq!(output.stderr, "");
    let is_json = args.contains(&"--json");
    assert!(is_json || fits(&output.stdout), "{}", output.stdout);
    output.stdout
}

#[track_caller]
fn checked(args: &[&str]) -> Value {
    serde_json::from_str(&wrong(&[args, &["--json"]].concat())).unwrap()
}

/// A dataset in the plain form whose images are copies of one of the embedded ones.
fn plain(folder: &Path, lines: &[String], images: &[(&str, &[u8])]) -> String {
    std::fs::create_dir_all(folder).unwrap();
    let description = r#"{"name": "mine", "split": "test", "answer_rule": "exact"}"#;
    std::fs::write(folder.join("benchmark.json"), description).unwrap();
    std::fs::write(folder.join("questions.jsonl"), lines.join("\n")).unwrap();
    for (name, bytes) in images {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    folder.display().to_string()
}

/// A PNG of the embedded benchmark, 168 by 168 pixels.
fn png() -> Vec<u8> {
    let folder = fp_data::embedded::benchmark_dir("select").unwrap();
    let dataset = fp_data::dataset::load(&folder).unwrap();
    let image = &dataset.samples[0].image;
    assert_eq!(image.size().unwrap(), [168, 168]);
    image.read().unwrap()
}

fn line(id: usize, image: &str, rest: &str) -> String {
    format!(
        r#"{{"id":"{id}","image":"{image}","question":"Is it?","answers":["yes"],"family":"f"{rest}}}"#
    )
}

#[test]
fn everything_wrong_with_a_folder_is_found_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let whole = png();
    let lines = [
        line(1, "whole.png", r#","boxes":[[0,0,168,168]]"#),
        line(1, "whole.png", ""),
        line(2, "none.png", ""),
        line(3, "cut.png", ""),
        line(4, "page.jpg", ""),
        line(5, "pointer.png", ""),
        line(6, "empty.png", ""),
        line(7, "page.jpg", ""),
        line(8, "whole.png", r#","boxes":[[0,0,200,40],[9,9,9,20]]"#),
        line(
            9,
            "whole.png",
            r#","boxes":[[170,0,180,40]],"image_size":[100,100]"#,
        ),
        line(10, "whole.png", r#","famly":"f","boxs":[]"#),
        line(11, "whole.png", "").replace(r#"["yes"]"#, "[]"),
        "{".to_owned(),
        line(12, "none.png", "").replace(r#"["yes"]"#, "[]"),
    ];
    let path = plain(
        folder.path(),
        &lines,
        &[
            ("whole.png", &whole),
            ("cut.png", &whole[..whole.len() / 2]),
            ("page.jpg", b"<!DOCTYPE html><html>404</html>"),
            (
                "pointer.png",
                b"version https://git-lfs.github.com/spec/v1\n",
            ),
            ("empty.png", b""),
        ],
    );
    let text = wrong(&[&path]);
    let flat = unwrapped(&text);
    for part in [
        "questions.jsonl: 8 lines with problems (2 malformed, 1 with a duplicate id, 2 with a missing image, 2 without an answer to score by, 1 with an invalid value",
        "questions.jsonl:2: id \"1\" is already used by an earlier question",
        "questions.jsonl:3: no image",
        "questions.jsonl:9: box [9.0, 9.0, 9.0, 20.0] is empty or not finite",
        "questions.jsonl:10: question \"9\": box [170.0, 0.0, 180.0, 40.0] lies outside the image of 168×168",
        "questions.jsonl:10: question \"9\": the image is 168×168, image_size says 100×100",
        "questions.jsonl:11: boxs: unknown key (did you mean `boxes`?); famly: unknown key (did you mean `family`?)",
        "questions.jsonl:12:",
        "questions.jsonl:13: not valid JSON: EOF",
        "questions.jsonl:14: no image",
        "4 images can't be used (1 empty, 2 not an image, 1 damaged or truncated)",
        "cut.png: damaged PNG image",
        "page.jpg: a web page (HTML), not an image: the download failed (question \"4\" and 1 more)",
        "pointer.png: a pointer of Git LFS",
        "empty.png: the file is empty (0 bytes) (question \"6\")",
    ] {
        assert!(flat.contains(part), "{part}: {text}");
    }
    let set = &checked(&[&path])["datasets"][0];
    assert_eq!(set["is_complete"], false);
    let counts = &set["problems"]["counts"];
    let expected = serde_json::json!({
        "malformed": 2, "duplicate_id": 1, "missing_image": 2, "missing_answer": 2,
        "invalid_value": 1, "box_outside": 1, "image_size": 1,
    });
    assert_eq!(*counts, expected);
    let images = serde_json::json!({"empty": 1, "not_an_image": 2, "damaged": 1});
    assert_eq!(set["image_problems"]["counts"], images);
}

#[test]
fn the_first_twenty_problems_or_all() {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> = (0..30).map(|id| line(id, "none.png", "")).collect();
    let path = plain(folder.path(), &lines, &[]);
    let text = wrong(&[&path]);
    assert!(text.contains("questions.jsonl:20: ") && !text.contains("questions.jsonl:21: "));
    assert!(text.contains("and 10 more (--all lists all)"), "{text}");
    let text = wrong(&[&path, "--all"]);
    assert!(
        text.contains("questions.jsonl:30: ") && !text.contains("more"),
        "{text}"
    );
    assert_eq!(
        checked(&[&path])["datasets"][0]["problems"]["first"][29]["line"],
        30
    );
}

#[test]
fn one_bad_dataset_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let sub = |name: &str| folder.path().join(name);
    plain(&sub("good"), &[line(1, "a.png", "")], &[("a.png", &png())]);
    // Questions without their description, a description with invalid values, and a folder that is
    // no dataset.
    plain(&sub("lost"), &[line(1, "a.png", "")], &[("a.png", &png())]);
    std::fs::remove_file(sub("lost").join("benchmark.json")).unwrap();
    plain(&sub("named"), &["{".to_owned()], &[]);
    let description = "{\"name\": \"n\",\n\"answer_rule\": \"exct\",\n\"licence\": 1}";
    std::fs::write(sub("named").join("benchmark.json"), description).unwrap();
    std::fs::create_dir(sub("other")).unwrap();
    std::fs::create_dir(sub("table")).unwrap();
    std::fs::write(sub("table").join("test.parquet"), b"PAR1 no").unwrap();
    let root = folder.path().display().to_string();
    let found = checked(&[&root]);
    let is_complete = |name: &str| {
        let sets = found["datasets"].as_array().unwrap();
        let ends = |set: &&Value| set["selector"].as_str().unwrap().ends_with(name);
        sets.iter().find(ends).unwrap()["is_complete"].clone()
    };
    assert_eq!(is_complete("good"), true);
    assert_eq!(is_complete("lost"), false);
    assert_eq!(is_complete("named"), false);
    if cfg!(feature = "parquet") {
        assert_eq!(is_complete("table"), false);
    }
    let text = wrong(&[&root]);
    let flat = unwrapped(&text);
    for part in [
        "benchmark.json: line 1: key `split` is missing; expected a text",
        "line 2: answer_rule: `exct` (did you mean `exact`?); expected one of: exact,",
        "line 3: licence: unknown key (did you mean `license`?)",
        "questions.jsonl:1: not valid JSON: EOF",
        "not recognised as datasets:",
    ] {
        assert!(flat.contains(part), "{part}: {text}");
    }
    // Several folders, and names of single splits.
    let good = sub("good").display().to_string();
    let named = checked(&[&good, "embedded:selct", "no/such"]);
    let complete = |index: usize| named["datasets"][index]["is_complete"].clone();
    assert_eq!(
        (complete(0), complete(1), complete(2)),
        (true.into(), false.into(), false.into())
    );
    let error = named["datasets"][1]["errors"][0].as_str().unwrap();
    assert!(error.contains("did you mean `select`?"), "{error}");
    succeed(&["data", "check", &good, "embedded:select"]);
}

/// Answers in LLaVA's form: every `wrong`-th is wrong.
fn answers(dataset: &str, path: &Path, wrong: usize, leave_out: usize) {
    let answered = pope_answers(dataset, wrong).into_iter().skip(leave_out);
    let lines = answered.map(|(question, _, said)| {
        serde_json::json!({
            "question_id": question["question_id"],
            "prompt": question["text"],
            "text": said,
        })
    });
    write_lines(path, lines);
}

fn write_lines(path: &Path, lines: impl Iterator<Item = Value>) {
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(path, lines).unwrap();
}

/// The questions, their right answers, and given answers of which every `wrong`-th is wrong.
fn pope_answers(dataset: &str, wrong: usize) -> Vec<(Value, String, &'static str)> {
    let questions = Path::new(dataset).join("llava_pope_test.jsonl");
    let questions = std::fs::read_to_string(questions).unwrap();
    let mut labels = std::collections::HashMap::new();
    for entry in std::fs::read_dir(Path::new(dataset).join("coco")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let category = name.trim_start_matches("coco_pope_").to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let list: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        labels.insert(category, list.into_iter());
    }
    let answered = questions.lines().enumerate().map(|(number, line)| {
        let question: Value = serde_json::from_str(line).unwrap();
        let category = question["category"].as_str().unwrap();
        let label = labels.get_mut(category).unwrap().next().unwrap();
        let label = label["label"].as_str().unwrap().to_owned();
        let is_yes = (label == "yes") != (number + 1).is_multiple_of(wrong);
        (question, label, if is_yes { "Yes" } else { "No" })
    });
    answered.collect()
}

/// `compare` accepts logs of lmms-eval and files of VLMEvalKit, and gives the results of `rescore`
/// as second minus first.
#[test]
fn files_of_other_evaluators_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let pope = export("pope", folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (log, sheet) = (path("a_samples_pope.jsonl"), path("b_POPE.tsv"));
    let logged = pope_answers(&pope, 1_000_000).into_iter().enumerate();
    let logged = logged.map(|(row, (question, label, said))| {
        serde_json::json!({
            "doc_id": row,
            "target": label,
            "filtered_resps": said,
            "pope_accuracy": {
                "question_id": question["question_id"],
                "score": 1.0,
                "prediction": said.to_lowercase(),
                "ground_truth": label,
            },
            "input": question["text"],
        })
    });
    write_lines(Path::new(&log), logged);
    let mut rows = "index\tquestion\tanswer\tcategory\tprediction\n".to_owned();
    for (row, (question, label, said)) in pope_answers(&pope, 4).iter().enumerate() {
        let [text, category] = ["text", "category"].map(|key| question[key].as_str().unwrap());
        rows += &format!("{row}\t{text}\t{label}\t{category}\t{said}\n");
    }
    std::fs::write(&sheet, rows).unwrap();
    let [first, second] = [format!("all={log}"), format!("192={sheet}")];
    let compared = ["compare", &first, &second, "--dataset", &pope];
    let said = json(&[&compared[..], &["--json"]].concat());
    let pair = &said["comparisons"][0];
    assert_eq!((&pair["a"], &pair["b"]), (&"192".into(), &"all".into()));
    assert_eq!(pair["difference"], -0.25);
    assert_eq!(pair["paired"]["discordant"]["b"], 0);
    let rescored = ["rescore", &second, &first, "--dataset", &pope, "--json"];
    assert_eq!(said, json(&rescored));
    let text = succeed(&compared);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "192 − all score −25.00",
        "Differences a − b (the second file minus the first) in percentage points",
    ] {
        assert!(words.contains(part), "{text}");
    }
    let baseline = ["rescore", &first, &second, "--dataset", &pope];
    let text = succeed(&[&baseline[..], &["--baseline", "all"]].concat());
    assert!(text.contains("(each file minus the baseline)"), "{text}");
    // Answer files can't be compared with runs.
    let run = folder.path().join("run");
    std::fs::create_dir(&run).unwrap();
    std::fs::write(run.join("run.json"), "{}").unwrap();
    fail(
        &[
            "compare",
            &log,
            &run.display().to_string(),
            "--dataset",
            &pope,
        ],
        &["is a run, the other one an answer file"],
    );
}

#[test]
fn answers_are_scored_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let pope = export("pope", folder.path());
    let file = |name: &str| folder.path().join(name);
    answers(&pope, &file("good.jsonl"), 1_000_000, 0);
    answers(&pope, &file("worse.jsonl"), 4, 0);
    answers(&pope, &file("short.jsonl"), 1_000_000, 10);
    let path = |name: &str| file(name).display().to_string();
    let args = [
        "rescore",
        "--dataset",
        &pope,
        &path("good.jsonl"),
        &path("worse.jsonl"),
        "--json",
    ];
    let result = json(&args);
    let headline = |place: usize| {
        let figure = &result["files"][place]["figures"][0];
        assert_eq!(figure["name"], "mean F1");
        figure["value"].as_f64().unwrap()
    };
    assert_eq!(headline(0), 100.0);
    assert!(headline(1) < 90.0);
    let pair = &result["comparisons"][0];
    assert!(pair["paired"]["p"].as_f64().unwrap() < 0.01, "{pair}");
    assert_eq!(pair["paired"]["discordant"]["c"], 0);
    let f1 = pair["headline"]["difference"].as_f64().unwrap();
    assert!((f1 - (headline(0) - headline(1))).abs() < 1e-9);

    // Without any yes F1 is undefined: a note on the figure and on the pair, not an error.
    let questions = std::fs::read_to_string(Path::new(&pope).join("llava_pope_test.jsonl"));
    let never: String = questions
        .unwrap()
        .lines()
        .map(|line| {
            let question: Value = serde_json::from_str(line).unwrap();
            let id = &question["question_id"];
            serde_json::json!({"question_id": id, "text": "No"}).to_string() + "\n"
        })
        .collect();
    std::fs::write(file("never.jsonl"), never).unwrap();
    let [good, never] = ["good.jsonl", "never.jsonl"].map(path);
    let without = ["rescore", "--dataset", &pope, &good, &never];
    let pair = json(&[&without[..], &["--json"]].concat())["comparisons"][0].clone();
    assert!(pair["headline"].is_null(), "{pair}");
    let because = pair["no_headline"].as_str().unwrap();
    assert!(
        because.starts_with("never has no mean F1: F1 is undefined in "),
        "{because}"
    );
    let text = succeed(&without);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        words.contains(": precision of never: no answer is yes")
            && words.contains(&format!("– headline of good − never: {because}")),
        "{text}"
    );

    let short = path("short.jsonl");
    let output = finepruner(&["rescore", "--dataset", &pope, &short, "--json"]);
    assert!(output.stderr.contains("10 of"), "{}", output.stderr);
    let result: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        result["files"][0]["joined"]["missing"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
    assert!(result["files"][0]["figures"][0]["value"].as_f64().unwrap() < 100.0);
    fail(
        &["rescore", "--dataset", &pope, &short, "--strict"],
        &["have no answer"],
    );
    fail(&["rescore", &short], &["--dataset"]);
    let text = succeed(&args[..5]);
    assert!(
        text.contains("the file named earlier minus the one named later"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn mme_folders_and_mmbench_tables_need_no_data_set() {
    let folder = tempfile::tempdir().unwrap();
    for (name, second) in [("a", "No"), ("b", "Yes")] {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let lines: String = (0..6)
            .map(|image| {
                format!("{image}.jpg\tIs it?\tYes\tYes\n{image}.jpg\tIs it not?\tNo\t{second}\n")
            })
            .collect();
        std::fs::write(path.join("existence.txt"), lines).unwrap();
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    let result = json(&["rescore", &path("a"), &path("b"), "--json"]);
    let value = |place: usize| result["files"][place]["figures"][0]["value"].as_f64();
    assert_eq!((value(0), value(1)), (Some(200.0), Some(50.0)));
    assert_eq!(result["comparisons"][0]["headline"]["difference"], 150.0);
    let text = succeed(&["rescore", &path("a"), &path("b")]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for reason in [
        "– cognition: there is no question of commonsense_reasoning, numerical_calculation, \
         text_translation, code_reasoning",
        "– headline of a − b: no interval: the two differ on 6 images, a bootstrap needs 20",
    ] {
        assert!(words.contains(reason), "{text}");
    }

    let table = "index\tquestion\tA\tB\tprediction\tanswer\n1\tWhich?\tup\tdown\tA\tA\n1000001\tWhich?\tdown\tup\tA. down\tB\n2\tWhich?\tin\tout\tout\tB\n";
    std::fs::write(folder.path().join("m.tsv"), table).unwrap();
    let result = json(&["rescore", &path("m.tsv"), "--json"]);
    assert_eq!(result["files"][0]["figures"][0]["value"], 50.0);
    assert_eq!(result["files"][0]["figures"][1]["value"], 100.0);
}

/// The answers of one task: `n` images with two questions each.
fn task(folder: &Path, n: usize, says: impl Fn(usize) -> &'static str) -> String {
    std::fs::create_dir_all(folder).unwrap();
    let line = |at: usize| {
        let gold = if at.is_multiple_of(2) { "Yes" } else { "No" };
        format!("{}.jpg\tIs it {at}?\t{gold}\t{}\n", at / 2, says(at))
    };
    let lines: String = (0..2 * n).map(line).collect();
    std::fs::write(folder.join("existence.txt"), lines).unwrap();
    folder.display().to_string()
}

#[test]
fn what_answers_are_like_stands_below_their_figures() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let fine = task(&path("fine"), 20, |at| ["Yes", "No"][at % 2]);
    let text = succeed(&["rescore", &fine]);
    let said: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("health"))
        .collect();
    assert_eq!(
        said,
        ["answer health of fine: nothing unusual in 40 answers"]
    );

    let yes = task(&path("yes"), 14, |_| "Yes");
    let text = succeed(&["rescore", &yes]);
    assert!(
        words(&text).contains(
            "answer health of yes: 28 answers, the marked line explains the score ! one label: \
             all 28 answers are yes, which is right for 50.0 % of the questions: a model that \
             always says yes gets this score (existence/0.jpg#0: \"Yes\")"
        ),
        "{text}"
    );

    // Loud findings come first; control characters in answers don't reach the terminal.
    let odd = task(&path("odd"), 20, |at| {
        ["a \u{1b}[31mcat", "Yes, it is", "No"][at % 3]
    });
    let text = succeed(&["rescore", &odd, &yes, &fine]);
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let found = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}\n{text}"));
    assert!(found("! neither yes nor no: 14 of 40") < found("  not bare: 27 of 40"));
    assert!(found("answer health of odd") < found("answer health of yes"));
    assert!(words(&text).contains("\"a \\u{1b}[31mcat\""), "{text}");

    // JSON has all findings, including those with a count of 0.
    let files = json(&["rescore", &fine, "--json"])["files"].clone();
    let health = &files[0]["health"];
    assert_eq!(health["num_answers"], 40);
    let checks = health["checks"].as_array().unwrap();
    assert!(
        checks.iter().all(|check| check["level"] == "fine"),
        "{health}"
    );
    let empty = checks.iter().find(|check| check["name"] == "empty answers");
    let empty = empty.unwrap();
    assert_eq!((&empty["count"], &empty["share"]), (&0.into(), &0.0.into()));
}

/// An impossible comparison affects no figure, on the terminal and in JSON.
#[test]
fn a_comparison_that_cannot_be_made_hides_no_figure() {
    let folder = tempfile::tempdir().unwrap();
    let task = |name: &str, lines: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("count.txt"), lines).unwrap();
        path.display().to_string()
    };
    let right = "1.jpg\tIs it?\tYes\tYes\n1.jpg\tIs it not?\tNo\tNo\n";
    let a = task("a", right);
    let b = task("b", &right.replace("No\tNo", "No\tYes"));
    let result = json(&["rescore", &a, &b, "--json"]);
    let value = |place: usize| result["files"][place]["figures"][0]["value"].as_f64();
    assert_eq!((value(0), value(1)), (Some(200.0), Some(50.0)));
    let pair = &result["comparisons"][0];
    assert_eq!(pair["difference"], 0.5);
    assert!(
        pair["paired"].is_null() && pair["p_holm"].is_null(),
        "{pair}"
    );
    let because = "all 2 questions are on one image, count/1.jpg, and a test needs two";
    assert_eq!(
        (&pair["no_paired"], &pair["no_headline"]),
        (&because.into(), &because.into())
    );
    let text = succeed(&["rescore", &a, &b]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "count: score 200.00 50.00".to_owned(),
        "a − b score +50.00 – – – –".to_owned(),
        format!("– score of a − b: {because}"),
        format!("– headline of a − b: {because}"),
    ] {
        assert!(words.contains(&part), "{part}: {text}");
    }

    // A file with a bad line is scored with the questions of a complete one.
    let cut = task("cut", &right.replace("\tNo\tNo", "\tNo"));
    for files in [[&a, &cut], [&cut, &a]] {
        let output = finepruner(&["rescore", files[0], files[1], "--json"]);
        let words = output
            .stderr
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(
            words.contains("count.txt line 2: 3 columns, expected 4"),
            "{words}"
        );
        assert!(words.contains("1 of 2 questions have no answer"), "{words}");
        let result: Value = serde_json::from_str(&output.stdout).unwrap();
        for file in result["files"].as_array().unwrap() {
            let expected = if file["name"] == "a" { 200.0 } else { 50.0 };
            assert_eq!(file["figures"][0]["value"], expected, "{file}");
        }
    }
}

/// The same questions and answers in both forms give the same figures.
#[cfg(feature = "parquet")]
#[test]
fn parquet_needs_no_flag() {
    let folder = tempfile::tempdir().unwrap();
    let lines = export("pope", folder.path());
    let parquet = folder.path().join("parquet").display().to_string();
    let args = ["data", "export", "embedded:select", "--layout", "pope"];
    let written = json(&[&args[..], &["--parquet", "--output", &parquet, "--json"]].concat());
    let checked = json(&["data", "check", &parquet, "--json"]);
    let set = &checked["datasets"][0];
    assert_eq!(
        (&set["form"], &set["is_complete"]),
        (&"parquet".into(), &true.into())
    );
    assert_eq!(set["num_questions"], written["num_samples"]);
    let path = folder.path().join("answers.jsonl");
    answers(&lines, &path, 4, 0);
    let path = path.display().to_string();
    let figures = |dataset: &str| {
        json(&["rescore", "--dataset", dataset, &path, "--strict", "--json"])["files"][0]["figures"]
            .clone()
    };
    assert_eq!(figures(&parquet), figures(&lines));
}

#[test]
fn a_folder_to_fill_in_is_a_dataset() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("mine").display().to_string();
    let text = succeed(&["data", "init", &folder]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("README.md explains every field"), "{text}");
    let checked = json(&["data", "check", &folder, "--json"]);
    let set = &checked["datasets"][0];
    assert_eq!(
        (&set["is_complete"], &set["num_questions"]),
        (&true.into(), &3.into())
    );
    let config = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../configs/ablation_a_config.json"
    );
    let run = root.path().join("run").display().to_string();
    let study = [
        "study",
        "--config",
        config,
        "--dataset",
        &folder,
        "--output",
        &run,
    ];
    let flags = [
        "--keep=8",
        "--num-selected-heads=4",
        "--head-selection-strategy=sum,variance",
        "--json",
    ];
    let said = json(&[&study[..], &flags].concat());
    let summary = &said["summary"];
    assert_eq!(
        (&summary["num_samples"], &summary["num_failed"]),
        (&3.into(), &0.into())
    );
    fail(&["data", "init", &folder], &["isn't empty"]);
    let other = root.path().join("other").display().to_string();
    let written = json(&["data", "init", &other, "--json"]);
    assert_eq!(written["files"].as_array().unwrap().len(), 5);
}
