//! Limits on the decompressed size of files.

use std::path::PathBuf;

use super::DatasetError;

/// Environment variable that sets the limit, in MiB.
pub const LIMIT_VARIABLE: &str = "FINEPRUNER_MAX_DECODED_MIB";
/// One GiB: no benchmark's file has as much text, and no page as many image bytes.
const USUAL_MIB: u64 = 1024;

/// Most bytes that a page of a Parquet file, the cells read of one such file, or a workbook may
/// decompress to.
///
/// # Errors
/// The variable holds no valid number of MiB.
pub(super) fn decoded_limit() -> Result<u64, DatasetError> {
    let named = std::env::var_os(LIMIT_VARIABLE).filter(|value| !value.is_empty());
    let Some(named) = named else {
        return Ok(USUAL_MIB << 20);
    };
    let named = named.to_string_lossy();
    match named.parse::<u64>() {
        Ok(mib @ 1..=0xffff_ffff) => Ok(mib << 20),
        _ => Err(DatasetError::Content {
            path: PathBuf::from(LIMIT_VARIABLE),
            reason: format!("found {named:?}; expected a whole number of MiB, at least 1"),
        }),
    }
}

/// Message that something exceeds the limit, and how to raise it.
pub(super) fn too_much(what: &str, limit: u64) -> String {
    format!(
        "{what} to more than {} MiB; if the file is trusted, raise the limit with {LIMIT_VARIABLE}",
        limit >> 20
    )
}
