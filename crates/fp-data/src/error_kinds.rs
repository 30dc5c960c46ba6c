//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use std::io;
use std::path::PathBuf;

use fp_image::ImageError;
use fp_stats::StatsError;
use serde::de::Error as _;

use self::error_check::{CAUSE, check};
use crate::dataset::{DatasetError, Problems, SheetError};
use crate::embedded::EmbeddedError;
use crate::metric::MetricError;
use crate::rescore::RescoreError;
use crate::scene::GenerateError;

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

fn dataset() -> DatasetError {
    DatasetError::Io {
        path: path(),
        source: io_error(),
    }
}

#[test]
fn metrics() {
    check(&every_variant!(MetricError:
        UnknownRule { name: text(), known: "exact".to_owned() },
        AnswerCount { rule: "vqa", needed: "10", got: 9 },
        Label { what: "the label", got: text(), expected: "yes" },
        LengthMismatch { what: "values", expected: 2, got: 1 },
        Empty { what: "values" },
        Unpaired { what: "question", id: text(), problem: "has no answer" },
        Prompt { prompt: text(), reason: "no question mark" },
        OutOfRange { name: "area", value: -1.0, expected: "more" },
        Undefined { what: "the rank", reason: "it is 0" },
    ));
}

#[test]
fn datasets() {
    check(&every_variant!(DatasetError:
        Io { path: path(), source: io_error() },
        Shared { 0: dataset().into() },
        NoFolder { name: text(), folder: path() },
        UnknownForm { folder: path() },
        NearMiss { path: path(), what: "is another", benchmark: "GQA", needed: "this" },
        Ambiguous { folder: path(), selectors: vec![text()] },
        UnknownPart { folder: path(), name: text(), known: vec![text()] },
        Missing { folder: path(), what: "question file", names: vec![text()] },
        Content { path: path(), reason: text() },
        Unreadable { path: path(), reason: text(), source: json().into() },
        LeadsOut { path: path(), found: path() },
        Column { path: path(), column: text(), expected: text(), found: text() },
        NoAnswers { name: text(), split: text(), judge: text() },
        Write { path: path(), source: io_error() },
        NotEmpty { path: path() },
        NothingFits { name: text(), count: 3, layout: "POPE", reason: "yes or no" },
        Hash { path: path(), expected: text(), found: text() },
        Lines { path: path(), problems: Problems::default() },
        Empty { path: path() },
    ));
    check(&every_variant!(SheetError:
        Image { path: path(), source: io_error() },
        Pixels { path: path(), source: ImageError::ConfigSyntax(json()) },
        Write { path: path(), source: CAUSE.into() },
        Empty {},
    ));
    check(&every_variant!(GenerateError:
        Write { path: path(), source: io_error() },
        NotEmpty { path: path() },
        Count { what: "images", found: text(), expected: "more" },
    ));
    check(&every_variant!(EmbeddedError:
        Missing { what: text(), searched: vec![path()] },
        UnknownSplit { name: text() },
    ));
}

#[test]
fn answers() {
    check(&every_variant!(RescoreError:
        Dataset { 0: dataset() },
        Metric { 0: MetricError::Undefined { what: CAUSE, reason: "it is 0" } },
        Stats { 0: StatsError::Empty { what: CAUSE } },
        Form { path: path(), reason: text() },
        Json { path: path(), reason: "not a list of answers", source: json() },
        NothingInCommon { path: path(), count: 2, dataset: text(), ids: vec![text()], known: vec![text()] },
        FewInCommon {
            path: path(),
            count: 3,
            unknown: 2,
            dataset: text(),
            missing: 4,
            ids: vec![text()],
            known: vec![text()],
        },
        OtherQuestions {
            path: path(),
            count: 3,
            others: 2,
            dataset: text(),
            id: text(),
            prompt: text(),
            question: text(),
            is_known: true,
        },
        OtherBenchmark {
            path: path(),
            tool: "lmms-eval",
            task: text(),
            benchmark: "POPE",
            dataset: text(),
            asked: "GQA",
        },
        Different { first: text(), second: text() },
    ));
}
