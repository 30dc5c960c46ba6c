//! The native half of the Python package `finepruner`.
//!
//! Everything that is typed, documented and meant to be called is in `python/finepruner`; this
//! is what it calls. Settings come as the command's flags and results go as JSON, so that
//! Python and the command say the same; only arrays are handed over as they are. Work is done
//! without the interpreter's lock.
#![forbid(unsafe_code)]
#![allow(clippy::needless_pass_by_value)] // arguments as Python's are converted to

mod answers;
mod error;
mod memory;
mod quality;
mod runs;
mod scores;

use std::ffi::OsString;
use std::path::PathBuf;

use fp_cli::api;
use pyo3::prelude::*;

use error::{Error, to_python};

/// Runs a command line, the program's name first, and gives the exit code.
#[pyfunction]
fn main(py: Python<'_>, args: Vec<OsString>) -> u8 {
    py.detach(|| fp_cli::run(args))
}

/// Looks for the shipped model and benchmark in this folder too.
#[pyfunction]
fn look_in(folder: PathBuf) {
    fp_data::embedded::look_in(folder);
}

/// JSON of every strategy, control and method.
#[pyfunction]
fn strategies() -> PyResult<String> {
    Ok(api::strategies().map_err(to_python)?.to_string())
}

/// JSON of the published methods of these names, or all.
#[pyfunction]
fn methods(names: Vec<String>) -> PyResult<String> {
    Ok(api::methods(&names).map_err(to_python)?.to_string())
}

/// JSON of what a budget means.
#[pyfunction]
fn budget(flags: Vec<String>) -> PyResult<String> {
    Ok(api::budget(&flags).map_err(to_python)?.to_string())
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("Error", module.py().get_type::<Error>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(look_in, module)?)?;
    module.add_function(wrap_pyfunction!(strategies, module)?)?;
    module.add_function(wrap_pyfunction!(methods, module)?)?;
    module.add_function(wrap_pyfunction!(budget, module)?)?;
    scores::add_to(module)?;
    answers::add_to(module)?;
    quality::add_to(module)?;
    runs::add_to(module)
}
