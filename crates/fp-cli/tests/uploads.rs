//! Files for servers, judges and official scripts, as `finepruner rescore --upload` writes
//! them.

mod common;

use std::path::{Path, PathBuf};

use common::{finepruner, succeed};
use serde_json::{Value, json};

/// Names the folder of golden cases, some of which belong to others: read where they lie.
const FIXTURES: &str = "FINEPRUNER_METRICS_FIXTURES";

/// A set of golden cases, or nothing with a printed reason.
fn fixture(set: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os(FIXTURES).map(PathBuf::from) else {
        println!("{set}: skipped, {FIXTURES} is not set");
        return None;
    };
    if !folder.is_dir() {
        println!("{set}: skipped, {} is no folder", folder.display());
        return None;
    }
    let text = std::fs::read_to_string(folder.join(format!("{set}.json"))).unwrap();
    let root: Value = serde_json::from_str(&text).unwrap();
    let num_cases = root["cases"].as_array().unwrap().len();
    println!("{set}: {num_cases} cases ran, 0 skipped");
    Some(root)
}

fn lines(path: &Path, values: impl IntoIterator<Item = Value>) {
    let lines: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

fn question(id: &Value, image: &str, text: &str) -> Value {
    json!({"question_id": id, "image": image, "text": text, "category": "default"})
}

fn answer(id: &Value, prompt: &str, text: &str) -> Value {
    json!({
        "question_id": id, "prompt": prompt, "text": text, "answer_id": "x",
        "model_id": "m", "metadata": {},
    })
}

/// Hands answers in; gives the file's content and what was warned of.
fn upload(dataset: &str, answers: &Path, ending: &str) -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out").display().to_string();
    let answers = answers.display().to_string();
    let args = ["rescore", "--dataset", dataset, &answers, "--upload", &out];
    let output = finepruner(&args);
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    let file = Path::new(&out).join(format!("answers.{ending}"));
    (std::fs::read(file).unwrap(), output.stderr)
}

/// VQAv2's, of the questions in `asked`, with the server's list of all in `all`.
fn vqav2(all: &[u64], asked: &[u64], texts: &[(u64, &str)]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("test2015")).unwrap();
    std::fs::write(root.join("test2015/a.jpg"), b"").unwrap();
    let list = |name: &str, ids: &[u64]| {
        let ids = ids.iter().map(|id| question(&json!(id), "a.jpg", "Q?"));
        lines(&root.join(name), ids);
    };
    list("llava_vqav2_mscoco_test-dev2015.jsonl", asked);
    if !all.is_empty() {
        list("llava_vqav2_mscoco_test2015.jsonl", all);
    }
    let path = root.join("answers.jsonl");
    lines(
        &path,
        texts
            .iter()
            .map(|(id, text)| answer(&json!(id), "Q?", text)),
    );
    let dataset = format!("{}:test-dev", root.display());
    let (content, warnings) = upload(&dataset, &path, "json");
    (String::from_utf8(content).unwrap(), warnings)
}

#[test]
fn vqav2_names_every_question_of_the_servers_list() {
    let texts = [(7, "The Bus."), (5, "Two")];
    let (content, _) = vqav2(&[9, 7, 5], &[5, 7], &texts);
    let expected = r#"[{"question_id":9,"answer":""},{"question_id":7,"answer":"bus"},{"question_id":5,"answer":"2"}]"#;
    assert_eq!(content, expected);
    let (content, warnings) = vqav2(&[], &[5, 7], &texts[..1]);
    assert_eq!(
        content,
        r#"[{"question_id":5,"answer":""},{"question_id":7,"answer":"bus"}]"#
    );
    assert!(
        warnings.contains("1 of 2 questions have no answer: 5"),
        "{warnings}"
    );
    assert!(
        warnings.contains("every question of test2015"),
        "{warnings}"
    );
}

#[test]
fn vqav2_golden() {
    let Some(root) = fixture("vqav2_convert") else {
        return;
    };
    let cases = root["cases"].as_array().unwrap();
    let id = |case: &Value| case["expected"]["question_id"].as_u64().unwrap();
    let all: Vec<u64> = cases.iter().map(id).collect();
    let texts: Vec<(u64, &str)> = cases
        .iter()
        .filter_map(|case| Some((id(case), case["text"].as_str()?)))
        .collect();
    let asked: Vec<u64> = texts.iter().map(|(id, _)| *id).collect();
    let (content, _) = vqav2(&all, &asked, &texts);
    let expected: Vec<&Value> = cases.iter().map(|case| &case["expected"]).collect();
    let found: Vec<Value> = serde_json::from_str(&content).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}

/// VizWiz's: images with what was said of them.
fn vizwiz(texts: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("test")).unwrap();
    let mut questions = Vec::new();
    let mut answers = Vec::new();
    for (number, (image, text)) in texts.iter().enumerate() {
        std::fs::write(root.join("test").join(image), b"").unwrap();
        questions.push(question(&json!(number), image, "Q?"));
        answers.push(answer(&json!(number), "Q?", text));
    }
    lines(&root.join("llava_test.jsonl"), questions);
    let path = root.join("answers.jsonl");
    lines(&path, answers);
    let (content, _) = upload(&root.display().to_string(), &path, "json");
    String::from_utf8(content).unwrap()
}

#[test]
fn vizwiz_names_images() {
    let content = vizwiz(&[("b.jpg", "The Soup's can."), ("a.jpg", "")]);
    let expected = r#"[{"image":"b.jpg","answer":"soup 's can"},{"image":"a.jpg","answer":""}]"#;
    assert_eq!(content, expected);
}

#[test]
fn vizwiz_golden() {
    let Some(root) = fixture("vizwiz_upload") else {
        return;
    };
    let cases = root["cases"].as_array().unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let texts: Vec<(String, String)> = cases
        .iter()
        .map(|case| (text(case, "image"), text(case, "text")))
        .collect();
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let expected: Vec<&Value> = cases.iter().map(|case| &case["expected"]).collect();
    let found: Vec<Value> = serde_json::from_str(&vizwiz(&texts)).unwrap();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}

/// MM-Vet's: raw texts by question.
fn mm_vet(texts: &[(u64, &str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("images")).unwrap();
    std::fs::write(root.join("images/a.png"), b"").unwrap();
    let asked = texts
        .iter()
        .map(|(id, text, _)| question(&json!(id), "a.png", text));
    lines(&root.join("llava-mm-vet.jsonl"), asked);
    let path = root.join("answers.jsonl");
    lines(
        &path,
        texts
            .iter()
            .map(|(id, prompt, text)| answer(&json!(id), prompt, text)),
    );
    let (content, _) = upload(&root.display().to_string(), &path, "json");
    String::from_utf8(content).unwrap()
}

#[test]
fn mm_vet_keeps_the_order_and_the_text() {
    let content = mm_vet(&[(10, "Q?", "It's\n\"d\"."), (2, "Q?", "é")]);
    assert_eq!(
        content,
        "{\n  \"v1_10\": \"It's\\n\\\"d\\\".\",\n  \"v1_2\": \"\\u00e9\"\n}"
    );
}

#[test]
fn mm_vet_golden() {
    let Some(root) = fixture("mmvet_export") else {
        return;
    };
    let cases = root["cases"].as_array().unwrap();
    let text = |case: &Value, key: &str| case[key].as_str().unwrap().to_owned();
    let texts: Vec<(u64, String, String)> = cases
        .iter()
        .map(|case| {
            (
                case["question_id"].as_u64().unwrap(),
                text(case, "prompt"),
                text(case, "text"),
            )
        })
        .collect();
    let borrowed: Vec<(u64, &str, &str)> = texts
        .iter()
        .map(|(id, a, b)| (*id, a.as_str(), b.as_str()))
        .collect();
    let found: Value = serde_json::from_str(&mm_vet(&borrowed)).unwrap();
    let mut expected = serde_json::Map::new();
    for case in cases {
        expected.extend(case["expected"].as_object().unwrap().clone());
    }
    assert_eq!(found, Value::Object(expected));
}

/// GQA's: what its script reads.
#[test]
fn gqa_golden() {
    let Some(root) = fixture("gqa_convert") else {
        return;
    };
    let cases = root["cases"].as_array().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    std::fs::create_dir_all(root.join("data/images")).unwrap();
    std::fs::write(root.join("data/images/1.jpg"), b"").unwrap();
    let (mut asked, mut answers, mut official) = (Vec::new(), Vec::new(), serde_json::Map::new());
    for case in cases {
        let id = &case["expected"]["questionId"];
        asked.push(question(id, "1.jpg", "Q?"));
        answers.push(answer(id, "Q?", case["text"].as_str().unwrap()));
        let about = json!({
            "question": "Q?", "answer": "a", "imageId": "1", "isBalanced": true,
            "types": {"structural": "query", "semantic": "obj", "detailed": "x"},
            "semantic": [], "groups": {"global": null, "local": null},
        });
        official.insert(id.as_str().unwrap().to_owned(), about);
    }
    lines(&root.join("llava_gqa_testdev_balanced.jsonl"), asked);
    let official = Value::Object(official).to_string();
    std::fs::write(root.join("data/testdev_balanced_questions.json"), official).unwrap();
    let path = root.join("answers.jsonl");
    lines(&path, answers);
    let (content, _) = upload(&root.display().to_string(), &path, "json");
    let found: Vec<Value> = serde_json::from_slice(&content).unwrap();
    let expected: Vec<&Value> = cases.iter().map(|case| &case["expected"]).collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
}

/// MMBench's table of rows with two to four options, and answers to them.
#[cfg(feature = "xlsx")]
fn mmbench(rows: &[(u64, Vec<&str>, char, &str)], folder: &Path) -> PathBuf {
    let header = "index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\tsource\tl2-category\tcomment\tsplit\timage\n";
    let mut table = header.to_owned();
    let mut answers = Vec::new();
    let image = "iVBORw0KGgo".repeat(12);
    for (index, options, gold, text) in rows {
        let option = |place: usize| options.get(place).copied().unwrap_or_default();
        table += &format!(
            "{index}\tWhich?\tnan\t{}\t{}\t{}\t{}\t{gold}\tc\ts\tl\tnan\tdev\t{image}\n",
            option(0),
            option(1),
            option(2),
            option(3)
        );
        answers.push(answer(&json!(index), "Which?", text));
    }
    let path = folder.join("answers.jsonl");
    lines(&path, answers);
    std::fs::write(folder.join("mmbench_dev_20230712.tsv"), table).unwrap();
    path
}

#[cfg(feature = "xlsx")]
#[test]
fn mmbench_is_a_workbook_with_a_column_of_answers() {
    let folder = tempfile::tempdir().unwrap();
    let two = || vec!["up", "down"];
    let rows = [
        (1, two(), 'A', "A"),
        (1_000_001, two(), 'B', "B. down"),
        (2, vec!["1", "2.50", "", "x"], 'B', "A"),
    ];
    let answers = mmbench(&rows, folder.path());
    let dataset = folder.path().display().to_string();
    let (content, _) = upload(&dataset, &answers, "xlsx");
    let book = folder.path().join("book.xlsx");
    std::fs::write(&book, content).unwrap();
    let of = |path: &Path, dataset: &[&str]| {
        let path = path.display().to_string();
        let text = succeed(&[&["rescore", &path, "--json"], dataset].concat());
        let value: Value = serde_json::from_str(&text).unwrap();
        value["files"][0]["figures"].clone()
    };
    // The workbook holds its questions, and gives what answers and data set give.
    let figures = of(&book, &[]);
    assert_eq!(figures, of(&answers, &["--dataset", &dataset]));
    assert_eq!(figures[0]["value"], 50.0);
}

#[cfg(feature = "xlsx")]
#[test]
fn mmbench_golden() {
    let Some(root) = fixture("mmbench_circular") else {
        return;
    };
    let golds: Vec<char> = root["answer"].as_str().unwrap().chars().collect();
    for case in root["cases"].as_array().unwrap() {
        let preds: Vec<char> = case["preds"].as_str().unwrap().chars().collect();
        let texts: Vec<String> = preds
            .iter()
            .enumerate()
            .map(|(row, letter)| match letter {
                '?' => case["other_text"][row.to_string()]["text"]
                    .as_str()
                    .unwrap()
                    .to_owned(),
                letter => letter.to_string(),
            })
            .collect();
        let rows: Vec<(u64, Vec<&str>, char, &str)> = (0..golds.len())
            .map(|row| {
                let index = root["index"][row].as_u64().unwrap();
                let num_options = root["n_options"][row].as_u64().unwrap() as usize;
                // The texts of options matter to few answers, and are given for those.
                let given = &case["other_text"][row.to_string()]["choices"];
                let option = |letter: char| given[letter.to_string()].as_str();
                let options = ('A'..='D').take(num_options);
                let options = options.map(|letter| option(letter).unwrap_or("an option"));
                (index, options.collect(), golds[row], texts[row].as_str())
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let answers = mmbench(&rows, folder.path());
        let (content, _) = upload(&folder.path().display().to_string(), &answers, "xlsx");
        let book = folder.path().join("book.xlsx");
        std::fs::write(&book, content).unwrap();
        let text = succeed(&["rescore", &book.display().to_string(), "--json"]);
        let value: Value = serde_json::from_str(&text).unwrap();
        let figures = value["files"][0]["figures"].as_array().unwrap();
        for (name, key) in [
            ("circular (mmbench)", "circular"),
            ("vanilla, first rotation (mmbench)", "vanilla_0"),
            ("vanilla, all rows (mmbench)", "vanilla_all"),
        ] {
            let found = figures
                .iter()
                .find(|figure| figure["name"] == name)
                .unwrap();
            let expected = 100.0 * case["expected"][key].as_f64().unwrap();
            let found = found["value"].as_f64().unwrap();
            assert!(
                (found - expected).abs() < 1e-9,
                "{}: {name}: {found} {expected}",
                case["id"]
            );
        }
    }
}
