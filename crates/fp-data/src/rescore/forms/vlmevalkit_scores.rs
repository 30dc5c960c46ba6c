//! Score files of VLMEvalKit, `<model>_<dataset>_acc.csv` and similar: aggregated scores, without
//! answers. The error names the file to use instead.

use std::path::Path;

use super::{Form, Opened, tasks};
use crate::rescore::RescoreError;
use crate::rescore::reported::vlmevalkit::ENDINGS;

pub(super) const FORM: Form = Form {
    name: "",
    fits: |path, opened| {
        let is_scores = matches!(opened, Opened::Other) || opened.key("Final Score").is_some();
        is_scores && predictions(path).is_some()
    },
    read: |path, _| Err(refusal(path)),
};

/// Name of the predictions without its extension.
fn predictions(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    let stem = ENDINGS
        .iter()
        .find_map(|ending| name.strip_suffix(ending))?;
    tasks::of_vlmevalkit(stem).map(|_| stem)
}

fn refusal(path: &Path) -> RescoreError {
    let stem = predictions(path).unwrap_or_default();
    let names = ["xlsx", "tsv", "json"].map(|ending| format!("{stem}.{ending}"));
    let is_beside = |name: &&String| path.with_file_name(name).is_file();
    let instead = match names.iter().find(is_beside) {
        Some(name) => format!("give {name}, beside it; these scores are then shown too"),
        None => format!("give the predictions, {stem}.xlsx, .tsv or .json"),
    };
    RescoreError::Form {
        path: path.to_owned(),
        reason: format!("VLMEvalKit's scores of whole splits, without answers: {instead}"),
    }
}
