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

/// What is wrong stands in the command's own output: nothing is left but the exit code 2.
#[derive(Debug)]
pub(crate) struct AlreadyReported;

impl std::fmt::Display for AlreadyReported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("problems were found")
    }
}

impl std::error::Error for AlreadyReported {}

/// A study that came to its end with questions or single answers that failed. Its own output
/// says which; what is left is an exit code of its own.
#[derive(Debug)]
pub(crate) struct Incomplete {
    num_failed: usize,
    num_recorded: usize,
    num_failed_answers: usize,
}

impl Incomplete {
    /// Refuses a study in which anything failed, unless that is allowed.
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

/// What came of each cell of a run on its samples with images.
pub(crate) fn cells_of(run: &Run) -> Result<Vec<CellResult>> {
    let mut sums = ResultSums::new(&run.spec);
    run.stream(|records| {
        let mut records = records.iter().filter(|record| !record.text_only);
        records.try_for_each(|record| sums.add(&run.spec, record))?;
        anyhow::Ok(())
    })?;
    Ok(sums.finish(&run.spec))
}

/// Says on standard error what should be known of a result that is given all the same.
pub(crate) fn warn(notes: &[String]) {
    for note in notes {
        eprintln!("{}", wrap_lines(&plain(&format!("warning: {note}"))));
    }
}

/// Says what will be resident on the CPU, before weights are read, where it is much.
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

/// Prints text, its lines broken at spaces to fit the terminal's columns.
pub(crate) fn print_text(text: &str) -> Result<()> {
    print_verbatim(&wrap_lines(text))
}

/// Prints text as it is, but for what a terminal would obey; unlike `print!` a closed pipe is an error to act on, not a panic.
pub(crate) fn print_verbatim(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    note_output();
    writeln!(out, "{}", plain(text.trim_end()))?;
    out.flush()?;
    Ok(())
}
