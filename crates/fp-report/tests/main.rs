//! Integration tests of analyses and reports.

mod report;
mod studies;
#[path = "../../fp-eval/tests/study_support.rs"]
mod study_support;
