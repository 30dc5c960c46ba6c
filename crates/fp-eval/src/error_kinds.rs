//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use std::io;
use std::path::PathBuf;

use fp_data::dataset::DatasetError;
use fp_data::embedded::EmbeddedError;
use fp_model::ModelError;
use fp_scoring::{
    BudgetError, DuplicateMethod, MethodRegistry, PlanError, PublishedError, error_text,
};
use serde::de::Error as _;

use self::error_check::{CAUSE, check};
use crate::efficiency::{EfficiencyError, SettingOutOfRange};
use crate::study::config::{ConfigError, Diagnostics, FixedHeadsError, MethodSettingError};
use crate::study::{
    BlockError, DoesNotFit, GridError, LineError, MemoryNeeds, SelectionFileError, StudyError,
};

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

fn budget() -> BudgetError {
    BudgetError::Kept {
        budget: CAUSE.to_owned(),
        kept: 0.0,
        num_image_tokens: 4,
    }
}

fn diagnostics() -> Diagnostics {
    let mut diagnostics = Diagnostics::default();
    diagnostics.add("limit", "0; must be at least 1");
    diagnostics
}

fn dataset() -> DatasetError {
    DatasetError::Io {
        path: path(),
        source: io_error(),
    }
}

fn model() -> ModelError {
    ModelError::Json {
        path: path(),
        source: json(),
    }
}

fn does_not_fit() -> DoesNotFit {
    DoesNotFit {
        device: "cuda".to_owned(),
        needs: MemoryNeeds {
            weights: 26 << 30,
            question: 1 << 30,
            reserved: 1 << 29,
            dtype: "bf16".to_owned(),
        },
        free: 23 << 30,
    }
}

#[test]
fn studies() {
    check(&every_variant!(ConfigError:
        Io { path: path(), source: io_error() },
        Invalid { path: Some(path()), diagnostics: diagnostics() },
    ));
    check(&every_variant!(GridError:
        Budget { 0: budget() },
        AllHeads { setting: text(), num_heads: 4 },
        Same { first: text(), second: "other".to_owned(), value: "R".to_owned() },
        Method { 0: MethodRegistry::standard().get("nothing").unwrap_err() },
        Duplicate { 0: DuplicateMethod { name: text() } },
        Plan { 0: PlanError::Budget(budget()) },
    ));
    check(&every_variant!(FixedHeadsError:
        Read { name: text(), path: path(), source: io_error() },
        Json { name: text(), path: path(), source: json() },
        Which { name: text() },
        Plan { 0: PlanError::Budget(budget()) },
    ));
    check(&every_variant!(MethodSettingError:
        Published { 0: PublishedError::NoBudget { method: "m" } },
        Preset { method: text(), preset: "9".to_owned(), known: vec!["192"] },
        Param { method: text(), param: "keep".to_owned() },
        Name { method: text() },
        Character { name: text() },
    ));
    check(&every_variant!(SelectionFileError:
        Read { path: path(), source: dataset() },
        Content { path: path(), problems: vec![text()], more: 2 },
    ));
    check(&every_variant!(LineError:
        Frame {},
        Checksum { written: text(), found: 7 },
        Content { 0: json() },
        Value { reason: text() },
    ));
    check(&every_variant!(BlockError:
        Header {},
        Checksum { written: 3, found: 7 },
        Content { reason: text() },
        Record { place: 3, source: json().into() },
    ));
    let threads = rayon::ThreadPoolBuilder::new()
        .spawn_handler(|_| Err(io_error()))
        .num_threads(1)
        .build();
    check(&every_variant!(StudyError:
        Config { 0: ConfigError::Io { path: path(), source: io_error() } },
        Several { 0: vec![StudyError::Dataset(dataset())] },
        Grid { 0: budget().into() },
        Selections { 0: SelectionFileError::Read { path: path(), source: dataset() } },
        Dataset { 0: dataset() },
        Embedded { 0: EmbeddedError::UnknownSplit { name: CAUSE.to_owned() } },
        Model { 0: model() },
        Device { name: "gpu".to_owned(), source: model() },
        Memory { 0: does_not_fit() },
        Io { doing: "read", path: path(), source: io_error() },
        Content { path: path(), reason: text() },
        Json { path: path(), source: json() },
        Line { path: path(), line: 3, source: json().into() },
        Block { path: path(), block: 3, offset: 96, source: BlockError::Record { place: 3, source: json().into() } },
        Order { path: path(), line: 3, found: 2, expected: text() },
        NoRun { path: path() },
        NotARun { path: path() },
        Changed { path: path(), changes: vec![text()] },
        Incompatible { path: path(), reason: text() },
        Busy { path: path(), holder: text() },
        Locked { path: path(), lock: path(), holder: text() },
        Merge { first: path(), second: path(), reason: text() },
        Incomplete { missing: 1, expected: 2, first: 0, holes: vec![text()] },
        Setting { what: "threads", found: "0".to_owned(), expected: text() },
        Threads { 0: threads.unwrap_err() },
        Stopped { folder: path(), done: 1, total: 2 },
    ));
}

#[test]
fn efficiency() {
    check(&every_variant!(EfficiencyError:
        Model { 0: model() },
        Study { 0: StudyError::Dataset(dataset()) },
        Embedded { 0: EmbeddedError::UnknownSplit { name: text() } },
        Dataset { 0: dataset() },
        OutOfRange { 0: SettingOutOfRange { what: "the number of repeats", found: 0, least: 1, most: 9 } },
        Setting { what: "the largest batch", found: text(), expected: text() },
        Io { doing: "write", path: path(), source: io_error() },
        Content { path: path(), source: json() },
        Json { 0: json() },
        Threads { count: 2, reason: text() },
        Memory { 0: does_not_fit() },
    ));
}

#[test]
fn a_cause_is_told_once() {
    let missing = io::Error::from_raw_os_error(2);
    let error = StudyError::Dataset(DatasetError::Io {
        path: PathBuf::from("data/questions.jsonl"),
        source: missing,
    });
    assert_eq!(
        error_text(&error),
        "can't read data/questions.jsonl: No such file or directory (os error 2)"
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"study\": \"a\", \"nmae\": 1}").unwrap();
    let error = crate::study::StudyConfig::read(file.path()).unwrap_err();
    let text = error_text(&error);
    assert_eq!(text.matches("unknown key").count(), 1, "{text}");
}
