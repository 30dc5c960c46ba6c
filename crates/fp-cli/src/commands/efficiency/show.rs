//! Output of a measurement on a terminal.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use fp_eval::efficiency::{Efficiency, Progress, describe, tables};

use crate::commands::print_text;
use crate::commands::study::duration;
use crate::table::{table, wrap};

/// Columns of the terminal.
const WIDTH: usize = 80;

/// Prints the tables, a description of the measurement, and the files that were written.
pub(super) fn print(measured: &Efficiency, written: &[PathBuf]) -> Result<()> {
    let mut text = String::new();
    let mut lines = describe(measured);
    if let Some(first) = lines.first_mut() {
        first.insert_str(0, &name(&measured.plan.model));
    }
    for line in lines {
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

/// The model before a line about it.
fn name(model: &str) -> String {
    match model.starts_with("random:") {
        true => format!("{model}, dummy weights: "),
        false => format!("{model}: "),
    }
}

/// Shortest time between two lines about rounds.
const INTERVAL: Duration = Duration::from_secs(10);

/// Reports progress on standard error.
pub(crate) fn say_progress(is_quiet: bool) -> impl FnMut(Progress) {
    let (mut start, mut shown) = (Instant::now(), Instant::now());
    move |progress| {
        let text = match progress {
            _ if is_quiet => return,
            Progress::Loading => "reading the weights".to_owned(),
            Progress::Rounds(0, all) => {
                (start, shown) = (Instant::now(), Instant::now());
                format!("{all} rounds, one sample at a time")
            }
            Progress::Rounds(..) if shown.elapsed() < INTERVAL => return,
            Progress::Rounds(done, all) => {
                shown = Instant::now();
                let left = start.elapsed().as_secs_f64() / done as f64 * (all - done) as f64;
                format!("{done} of {all} rounds, {} left", duration(left))
            }
            Progress::Batch(size) => format!("batches of {size}"),
            Progress::Memory(0, all) => format!("peak memory, in {all} processes"),
            Progress::Memory(..) => return,
        };
        eprintln!("efficiency: {text}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn models_are_named() {
        assert_eq!(super::name("embedded"), "embedded: ");
        let dummy = super::name("random:tiny");
        assert_eq!(dummy, "random:tiny, dummy weights: ");
    }
}
