//! Errors, with the texts that the command prints.

use std::error::Error as StdError;

use fp_scoring::error_text;
use pyo3::PyErr;
use pyo3::exceptions::PyValueError;

pyo3::create_exception!(
    finepruner,
    Error,
    PyValueError,
    "What FinePruner refuses or can't do, with what was found and what would be right."
);

/// An error of the workspace as Python's: its text and its causes, once each.
pub(crate) fn to_python(error: impl Into<anyhow::Error>) -> PyErr {
    let error = error.into();
    Error::new_err(in_names(&error_text(
        AsRef::<dyn StdError + Send + Sync>::as_ref(&error),
    )))
}

/// A text with flags as Python names them: `image_range` for `--image-range`.
fn in_names(text: &str) -> String {
    let mut named = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("--") {
        let (before, flag) = (&rest[..at], &rest[at + 2..]);
        let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let len = flag.find(|c| !is_letter(c)).unwrap_or(flag.len());
        let starts_word = !before.ends_with(|c: char| c.is_alphanumeric() || "-_/.".contains(c));
        named += before;
        if starts_word && flag.starts_with(|c: char| c.is_ascii_lowercase()) {
            named += &flag[..len].replace('-', "_");
        } else {
            named += &rest[at..at + 2 + len];
        }
        rest = &flag[len..];
    }
    named + rest
}
