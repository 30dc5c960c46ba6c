//! One file per command.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use crate::failure::note_output;
use crate::plain::plain;
use crate::table::wrap_lines;

pub(crate) mod budget;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod efficiency;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod merge;
mod output_file;
pub(crate) mod report;
pub(crate) mod rescore;
pub(crate) mod score;
pub(crate) mod selections;
pub(crate) mod strategies;
pub(crate) mod study;

/// What is wrong stands in the command's own output: nothing is left but the exit code 2.
#[derive(Debug)]
pub(crate) struct AlreadyReported;

impl std::fmt::Display for AlreadyReported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("problems were found")
    }
}

impl std::error::Error for AlreadyReported {}

/// Says on standard error what should be known of a result that is given all the same.
fn warn(notes: &[String]) {
    for note in notes {
        eprintln!("{}", wrap_lines(&plain(&format!("warning: {note}"))));
    }
}

/// Prints `value` as JSON.
fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    note_output();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Prints text, its lines broken at spaces to fit the terminal's columns.
fn print_text(text: &str) -> Result<()> {
    print_verbatim(&wrap_lines(text))
}

/// Prints text as it is, but for what a terminal would obey; unlike `print!` a closed pipe is an error to act on, not a panic.
fn print_verbatim(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    note_output();
    writeln!(out, "{}", plain(text.trim_end()))?;
    out.flush()?;
    Ok(())
}
