//! One file per command.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use crate::failure::note_output;

pub(crate) mod budget;
pub(crate) mod compare;
pub(crate) mod config;
pub(crate) mod data;
pub(crate) mod efficiency;
pub(crate) mod eval;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod merge;
pub(crate) mod report;
pub(crate) mod rescore;
pub(crate) mod score;
pub(crate) mod strategies;
pub(crate) mod study;

/// Prints `value` as JSON.
fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    note_output();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Prints text; unlike `print!` a closed pipe is an error to act on, not a panic.
fn print_text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    note_output();
    writeln!(out, "{}", text.trim_end())?;
    out.flush()?;
    Ok(())
}
