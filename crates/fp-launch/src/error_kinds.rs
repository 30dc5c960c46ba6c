//! Every kind of error of this crate.

#[macro_use]
#[path = "../../fp-scoring/src/error_check.rs"]
mod error_check;

use std::io;
use std::path::PathBuf;

use fp_eval::study::StudyError;
use serde::de::Error as _;

use self::error_check::{CAUSE, check};
use crate::LaunchError;

fn path() -> PathBuf {
    PathBuf::from("runs/a")
}

fn text() -> String {
    "some text".to_owned()
}

fn io_error() -> io::Error {
    io::Error::other(CAUSE)
}

#[test]
fn launches() {
    check(&every_variant!(LaunchError:
        Io { doing: "read", path: path(), source: io_error() },
        Json { path: path(), source: serde_json::Error::custom(CAUSE) },
        NotALaunch { path: path() },
        Format { path: path(), found: 9, expected: 1 },
        InUse { path: path() },
        Busy { path: path(), lock: path() },
        Setting { what: text(), found: text(), expected: "another".to_owned() },
        Missing { program: text(), hint: "install it", source: io_error() },
        Refused { command: text(), reason: "not now".to_owned() },
        Unfinished { path: path(), shards: vec![text()] },
        Study { 0: StudyError::NotARun { path: path() } },
    ));
}
