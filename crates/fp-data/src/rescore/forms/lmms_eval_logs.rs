//! Logs of lmms-eval before 0.2.4: `<task>.json`, an object with the arguments of the run and the
//! questions in `logs` (0.2.0, `__main__.py`).

use std::path::Path;

use serde_json::{Map, Value};

use super::lmms_eval::Lines;
use super::{Form, Opened};
use crate::dataset::ProblemKind;
use crate::rescore::AnswerFile;

pub(super) const FORM: Form = Form {
    name: "<task>.json as lmms-eval before 0.2.4 logs it (args, logs)",
    fits: |_, opened| opened.key("logs").is_some_and(Value::is_array),
    read: |path, opened| Ok(read(path, &opened)),
};

fn read(path: &Path, opened: &Opened) -> AnswerFile {
    let task = path.file_stem().and_then(|stem| stem.to_str());
    let mut lines = Lines::new(task, "entry");
    let logs = opened.key("logs").and_then(Value::as_array);
    for (entry, number) in logs.into_iter().flatten().zip(1..) {
        let entry: Result<Map<String, Value>, _> = match entry {
            Value::Object(entry) => Ok(entry.clone()),
            _ => Err((
                ProblemKind::Malformed,
                "an entry is an object with doc_id and filtered_resps".to_owned(),
            )),
        };
        lines.add(number, entry);
    }
    lines.file(path, Vec::new(), None)
}
