//! Output of a measurement on a terminal.

use std::path::PathBuf;

use anyhow::Result;
use fp_eval::efficiency::{Efficiency, Progress, describe, tables};

use crate::commands::print_text;
use crate::table::{table, wrap};

/// Columns of the terminal.
const WIDTH: usize = 80;

/// Prints the tables, a description of the measurement, and the files that were written.
pub(super) fn print(measured: &Efficiency, written: &[PathBuf]) -> Result<()> {
    let mut text = String::new();
    for line in describe(measured) {
        text += &(wrap(&line, WIDTH).join("\n") + "\n");
    }
    for shown in tables(measured) {
        let header: Vec<&str> = shown.header.iter().map(String::as_str).collect();
        let figures: Vec<usize> = (1..header.len()).collect();
        text += &format!(
            "\n{}\n\n{}\n",
            shown.title,
            table(&header, &shown.rows, &figures)
        );
    }
    for path in written {
        text += &format!("\nwrote {}", path.display());
    }
    print_text(&text)
}

/// Reports progress on standard error.
pub(crate) fn say_progress(is_quiet: bool) -> impl FnMut(Progress) {
    move |progress| {
        let text = match progress {
            _ if is_quiet => return,
            Progress::Loading => "reading the weights".to_owned(),
            Progress::Rounds(0, all) => format!("{all} rounds, one sample at a time"),
            Progress::Rounds(..) => return,
            Progress::Batch(size) => format!("batches of {size}"),
            Progress::Memory(0, all) => format!("peak memory, in {all} processes"),
            Progress::Memory(..) => return,
        };
        eprintln!("efficiency: {text}");
    }
}
