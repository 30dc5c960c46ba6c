//! `results.json` and `timings.json`.

use serde::Serialize;
use serde_json::Value;

use super::Source;
use crate::analysis::{Analysis, Failures};
use crate::error::ReportError;
use crate::measured::MeasuredTimes;

/// Format version of `results.json`.
pub const RESULTS_VERSION: u32 = 3;

/// Keys of the run's environment that differ from run to run.
const VOLATILE: [&str; 3] = ["started", "memory_bytes", "invocation"];

#[derive(Debug, Serialize)]
struct Results<'a> {
    schema: &'static str,
    version: u32,
    /// All failures; omitted where everything was answered.
    #[serde(skip_serializing_if = "Failures::is_empty")]
    failures: &'a Failures,
    run: Value,
    analysis: &'a Analysis,
}

/// All results except measured times: the same for every run of the same study on the same machine.
pub(crate) fn results_json(source: &Source<'_>) -> Result<String, ReportError> {
    let error = |source| ReportError::Json {
        what: "results",
        source,
    };
    let mut run = serde_json::to_value(&source.run.spec).map_err(error)?;
    if let Some(environment) = run.get_mut("environment").and_then(Value::as_object_mut) {
        environment.retain(|key, _| !VOLATILE.contains(&key.as_str()));
    }
    let results = Results {
        schema: "finepruner-results",
        version: RESULTS_VERSION,
        failures: &source.analysis.failures,
        run,
        analysis: source.analysis,
    };
    let mut text = serde_json::to_string_pretty(&results).map_err(error)?;
    text.push('\n');
    Ok(text)
}

pub(crate) fn timings_json(times: &MeasuredTimes) -> Result<String, ReportError> {
    let mut text = serde_json::to_string_pretty(times).map_err(|source| ReportError::Json {
        what: "timings",
        source,
    })?;
    text.push('\n');
    Ok(text)
}
