//! `report.html`.
use super::Source;
use crate::report::error::ReportError;

pub(crate) fn page(source: &Source<'_>) -> Result<String, ReportError> {
    Ok(source.analysis.verdict.headline.clone())
}
