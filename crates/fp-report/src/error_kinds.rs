//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use std::io;
use std::path::PathBuf;

use fp_data::metric::MetricError;
use fp_eval::efficiency::EfficiencyError;
use fp_eval::study::StudyError;
use fp_scoring::{BudgetError, ScoringError};
use fp_stats::StatsError;
use serde::de::Error as _;

use self::error_check::{CAUSE, check};
use crate::drawing::OverlayError;
use crate::{PublishedError, ReportError};

fn path() -> PathBuf {
    PathBuf::from("runs/a")
}

fn text() -> String {
    "some text".to_owned()
}

fn io_error() -> io::Error {
    io::Error::other(CAUSE)
}

fn json() -> serde_json::Error {
    serde_json::Error::custom(CAUSE)
}

fn stats() -> StatsError {
    StatsError::Empty { what: CAUSE }
}

fn budget() -> BudgetError {
    BudgetError::Kept {
        budget: CAUSE.to_owned(),
        kept: 0.0,
        num_image_tokens: 4,
    }
}

#[test]
fn reports() {
    let scoring = ScoringError::Budget(budget());
    check(&every_variant!(ReportError:
        Study { 0: StudyError::Io { doing: "read", path: path(), source: io_error() } },
        Record { index: 1, id: "a".to_owned(), reason: text() },
        Kept { index: 1, id: "a".to_owned(), source: scoring },
        Costs { 0: budget() },
        NoSamples { folder: path() },
        Incomparable { first: path(), second: path(), reason: text() },
        Stats { 0: stats() },
        Metric { 0: MetricError::Undefined { what: CAUSE, reason: "it is 0" } },
        Json { what: "results", source: json() },
        Io { path: path(), source: io_error() },
        Efficiency { 0: EfficiencyError::Json(json()) },
        Published { 0: PublishedError::Json(json()) },
    ));
}

#[test]
fn published_rows() {
    check(&every_variant!(PublishedError:
        Json { 0: json() },
        Row {
            index: 1,
            method: "fastv".to_owned(),
            what: "the source",
            found: "empty".to_owned(),
            expected: text(),
        },
    ));
}

#[test]
fn overlays() {
    check(&every_variant!(OverlayError:
        Ending { path: path() },
        Panels { count: 0 },
        Grid { columns: 2, rows: 3, num_tokens: 4 },
        Encode { source: io_error() },
    ));
}
