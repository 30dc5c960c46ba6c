//! Submission files for servers, judges and official scripts, as `finepruner rescore --upload`
//! writes them.

mod lists;
#[cfg(feature = "xlsx")]
mod workbook;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::finepruner;

/// Environment variable of the folder of golden cases; some belong to others and are read in place.
const FIXTURES: &str = "FINEPRUNER_METRICS_FIXTURES";

/// A set of golden cases, or `None` with a printed reason.
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

/// Makes a submission; returns the file's content and the warnings.
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
