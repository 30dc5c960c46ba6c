//! One file per command.

use std::io::Write;

use anyhow::Result;
use fp_eval::format::counted;
use fp_eval::study::{CellResult, ResultSums};
use fp_model::ResidentMemory;
use fp_report::{Failures, Run};
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
pub(crate) mod methods;
mod output_file;
pub(crate) mod records;
pub(crate) mod report;
pub(crate) mod rescore;
pub(crate) mod score;
pub(crate) mod select;
pub(crate) mod selections;
pub(crate) mod strategies;
pub(crate) mod study;

/// An error that the command's own output has reported: only the exit code 2 is left.
#[derive(Debug)]
pub(crate) struct AlreadyReported;

impl std::fmt::Display for AlreadyReported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("problems were found")
    }
}

impl std::error::Error for AlreadyReported {}

/// A finished study in which questions or single answers failed. Its own output lists them; only a
/// separate exit code is left.
#[derive(Debug)]
pub(crate) struct Incomplete {
    num_failed: usize,
    num_recorded: usize,
    num_failed_answers: usize,
}

impl Incomplete {
    /// Refuses a study with failures, unless failures are allowed.
    pub(crate) fn check(failures: &Failures, is_allowed: bool) -> Result<()> {
        if is_allowed || failures.is_empty() {
            return Ok(());
        }
        Err(Incomplete {
            num_failed: failures.num_failed,
            num_recorded: failures.num_recorded,
            num_failed_answers: failures.num_failed_answers,
        }
        .into())
    }
}

impl std::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.num_failed, self.num_failed_answers) {
            (0, answers) => write!(f, "{} of single cells failed", counted(answers, "answer"))?,
            (samples, _) => write!(
                f,
                "{samples} of {} failed",
                counted(self.num_recorded, "question")
            )?,
        }
        f.write_str("; --allow-failed accepts the rest, with exit code 0")
    }
}

impl std::error::Error for Incomplete {}

/// Results of each cell of a run on the samples with images.
pub(crate) fn cells_of(run: &Run) -> Result<Vec<CellResult>> {
    let mut sums = ResultSums::new(&run.spec);
    run.stream(|records| {
        let mut records = records.iter().filter(|record| !record.text_only);
        records.try_for_each(|record| sums.add(&run.spec, record))?;
        anyhow::Ok(())
    })?;
    Ok(sums.finish(&run.spec))
}

/// Prints warnings about a result on standard error.
pub(crate) fn warn(notes: &[String]) {
    for note in notes {
        eprintln!("{}", wrap_lines(&plain(&format!("warning: {note}"))));
    }
}

/// Reports the predicted CPU memory on standard error before weights are read, if it is large.
pub(crate) fn say_resident(memory: &ResidentMemory) {
    if let Some(note) = memory.note() {
        eprintln!("{}", wrap_lines(&note));
    }
}

/// Prints `value` as JSON.
pub(crate) fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    note_output();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Prints text, wrapped at spaces to the terminal's width.
pub(crate) fn print_text(text: &str) -> Result<()> {
    print_verbatim(&wrap_lines(text))
}

/// Prints text unchanged, except for terminal control sequences; unlike with `print!`, a closed
/// pipe is an error to handle, not a panic.
pub(crate) fn print_verbatim(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    note_output();
    writeln!(out, "{}", plain(text.trim_end()))?;
    out.flush()?;
    Ok(())
}
