//! Location of the golden cases, and how they are counted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

/// The environment variable that names the folder.
const FOLDER: &str = "FINEPRUNER_METRICS_FIXTURES";

/// One file of cases, with counts of what was checked.
pub(crate) struct Fixture {
    set: &'static str,
    /// The whole file.
    pub(crate) root: Value,
    num_run: usize,
    /// Ids of the cases that couldn't be checked completely, by reason.
    unchecked: BTreeMap<&'static str, Vec<String>>,
}

impl Fixture {
    /// Opens the cases of `set`; `None`, with a printed reason, where the folder is absent.
    pub(crate) fn open(set: &'static str) -> Option<Self> {
        Some(Fixture {
            set,
            root: read(set)?,
            num_run: 0,
            unchecked: BTreeMap::new(),
        })
    }

    /// Runs `check` on every case; each failure names the case's id.
    pub(crate) fn run(&mut self, check: impl Fn(&Value) -> Outcome) {
        let cases = self.root["cases"].as_array().expect("cases");
        assert_eq!(self.root["n_cases"], cases.len());
        for case in cases {
            let id = case["id"]
                .as_str()
                .map_or_else(|| case["id"].to_string(), str::to_owned);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(case)));
            match result {
                Ok(outcome) => {
                    self.num_run += 1;
                    if let Outcome::Partly(what) = outcome {
                        self.unchecked.entry(what).or_default().push(id);
                    }
                }
                Err(_) => panic!("case {id} of {} failed, see above", self.set),
            }
        }
    }
}

/// Reads the whole file of `set`; `None`, with a printed reason, where the folder is absent.
pub(crate) fn read(set: &'static str) -> Option<Value> {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        println!("{set}: skipped, {FOLDER} is not set");
        return None;
    };
    if !folder.is_dir() {
        println!("{set}: skipped, {} is no folder", folder.display());
        return None;
    }
    let path = folder.join(format!("{set}.json"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let root: Value = serde_json::from_str(&text).expect("a fixture is JSON");
    assert_eq!(root["set"], set);
    Some(root)
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let cases = self.root["cases"].as_array().map_or(0, Vec::len);
        let (set, run) = (self.set, self.num_run);
        println!("{set}: {run} cases ran, {} skipped", cases - run);
        for (what, ids) in &self.unchecked {
            println!("{set}: {} without {what} ({})", ids.len(), ids.join(", "));
        }
    }
}

/// Result of checking a case.
pub(crate) enum Outcome {
    /// The case was checked.
    Ran,
    /// The case was checked except for a part, with the reason.
    Partly(&'static str),
}

/// A number of a case.
#[track_caller]
pub(crate) fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) if text == "inf" => f64::INFINITY,
        Value::String(text) if text == "nan" => f64::NAN,
        _ => value
            .as_f64()
            .unwrap_or_else(|| panic!("{value} is no number")),
    }
}

/// Numbers of a case.
#[track_caller]
pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    let values = value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"));
    values.iter().map(number).collect()
}

/// A string of a case.
#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no string"))
}

/// Strings of a case.
#[track_caller]
pub(crate) fn texts(value: &Value) -> Vec<String> {
    let values = value
        .as_array()
        .unwrap_or_else(|| panic!("{value} is no list"));
    values.iter().map(|value| text(value).to_owned()).collect()
}

/// Fails unless `got` equals the expected number within a relative error of 1e-9.
#[track_caller]
pub(crate) fn check(what: &str, got: f64, expected: &Value) {
    let expected = number(expected);
    // Sums that cancel to 0 leave rounding errors, which no relative tolerance allows.
    let is_zero = expected.abs() < 1e-12 && got.abs() < 1e-12;
    let is_close = got == expected || (got - expected).abs() <= 1e-9 * expected.abs();
    assert!(is_close || is_zero, "{what}: {got} instead of {expected}");
}

/// Fails unless `got` equals the expected number within an absolute error of 1e-9.
#[track_caller]
pub(crate) fn check_absolute(what: &str, got: f64, expected: &Value) {
    let expected = number(expected);
    assert!(
        (got - expected).abs() <= 1e-9,
        "{what}: {got} instead of {expected}"
    );
}
