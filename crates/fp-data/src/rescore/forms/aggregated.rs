//! Results of lmms-eval, `<date>_results.json`: scores of whole tasks, without answers. The error
//! names the files to use instead.

use std::path::Path;

use serde_json::Value;

use super::lmms_eval_folder::samples_in;
use super::{Form, Opened, file_name};
use crate::rescore::RescoreError;

pub(super) const FORM: Form = Form {
    name: "",
    fits: |_, opened| {
        opened.key("results").is_some_and(Value::is_object) && opened.key("logs").is_none()
    },
    read: |path, opened| Err(refusal(path, &opened)),
};

fn refusal(path: &Path, opened: &Opened) -> RescoreError {
    let tasks = opened.key("results").and_then(Value::as_object);
    let tasks: Vec<&str> = tasks
        .into_iter()
        .flat_map(|t| t.keys().map(String::as_str))
        .collect();
    let date = file_name(path).strip_suffix("_results.json");
    let of_run = |name: &&str| date.is_none_or(|date| name.starts_with(date));
    let files = path.parent().map(samples_in).unwrap_or_default();
    let names: Vec<&str> = files
        .iter()
        .map(|path| file_name(path))
        .filter(of_run)
        .collect();
    let instead = if names.is_empty() {
        "none is beside it, run lmms-eval with --log_samples".to_owned()
    } else {
        format!(
            "give {}, beside it; these scores are then shown too",
            names.join(" or ")
        )
    };
    RescoreError::Form {
        path: path.to_owned(),
        reason: format!(
            "lmms-eval's scores of whole tasks ({}), without answers; those are in <date>_samples_<task>.jsonl: {instead}",
            tasks.join(", ")
        ),
    }
}
