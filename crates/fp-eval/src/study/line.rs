//! One checksummed line of a run's records.

use serde::Deserialize;

const HEAD: &str = "{\"crc32\":\"";
const MIDDLE: &str = "\",\"sample\":";
const TAIL: &str = "}";
const NUM_DIGITS: usize = 8;

/// What is wrong with a line of records.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// It isn't of the form `{"crc32":"…","sample":{…}}`.
    #[error("it isn't of the form {{\"crc32\":\"…\",\"sample\":{{…}}}}")]
    Frame,
    /// It has changed since it was written.
    #[error("its checksum is {found:08x}, expected {written}")]
    Checksum {
        /// The checksum in the line.
        written: String,
        /// The checksum of its content.
        found: u32,
    },
    /// It is intact but not a record of this version.
    #[error("it isn't a record of this version")]
    Content(#[from] serde_json::Error),
    /// A record contradicts itself or its run.
    #[error("{reason}")]
    Value {
        /// The contradiction.
        reason: String,
    },
}

/// A record's JSON as a line, including the line end.
pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
    let sum = crc32fast::hash(content);
    let mut line = format!("{HEAD}{sum:08x}{MIDDLE}").into_bytes();
    line.extend_from_slice(content);
    line.extend_from_slice(TAIL.as_bytes());
    line.push(b'\n');
    line
}

/// The content of a line without its end, after checking its checksum.
pub(crate) fn content(line: &[u8]) -> Result<&[u8], LineError> {
    let rest = line.strip_prefix(HEAD.as_bytes()).ok_or(LineError::Frame)?;
    let (written, rest) = rest.split_at_checked(NUM_DIGITS).ok_or(LineError::Frame)?;
    let content = rest
        .strip_prefix(MIDDLE.as_bytes())
        .and_then(|rest| rest.strip_suffix(TAIL.as_bytes()))
        .ok_or(LineError::Frame)?;
    let found = crc32fast::hash(content);
    if written == format!("{found:08x}").as_bytes() {
        Ok(content)
    } else {
        Err(LineError::Checksum {
            written: String::from_utf8_lossy(written).into_owned(),
            found,
        })
    }
}

/// The index of a line's sample, after checking its checksum.
pub(crate) fn index_of(line: &[u8]) -> Result<usize, LineError> {
    #[derive(Deserialize)]
    struct Index {
        index: usize,
    }
    let content = content(line)?;
    let index: Index = serde_json::from_slice(content)?;
    Ok(index.index)
}
