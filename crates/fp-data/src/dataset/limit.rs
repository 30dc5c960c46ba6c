//! How much a file may decompress to.

use std::path::PathBuf;

use super::DatasetError;

/// Names the limit, in MiB.
pub const LIMIT_VARIABLE: &str = "FINEPRUNER_MAX_DECODED_MIB";
/// A gibibyte: no benchmark's file has as much text, and no page as many pictures.
const USUAL_MIB: u64 = 1024;

/// Bytes that a page of a Parquet file, the cells read of one such file, or a workbook may
/// decompress to.
///
/// # Errors
/// The variable holds no number of MiB.
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

/// Says that something is too much, and how to allow it.
pub(super) fn too_much(what: &str, limit: u64) -> String {
    format!(
        "{what} to more than {} MiB; if the file is trusted, raise the limit with {LIMIT_VARIABLE}",
        limit >> 20
    )
}
