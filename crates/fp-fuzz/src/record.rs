//! The record of a run: what was run, on which machine, and the result.

use std::fmt::Write as _;

use crate::child::{MOST_MEMORY, MOST_TIME};
use crate::summary::Summary;

/// The record as Markdown.
pub(crate) fn markdown(summary: &Summary) -> String {
    let mut text = String::new();
    let minutes = summary.seconds / 60.0;
    // Writing to a string can't fail.
    let _ = write!(
        text,
        "# Damaged files for every parser\n\n\
         {} processes on {}; overflow checks and debug assertions on.\n\n\
         `cargo xtask fuzz --minutes {minutes:.0} --seed {}`: {} inputs in {minutes:.1} minutes, \
         {:.0} a second; **{} failed**.\n\n\
         An input fails that panics past the guards, ends its process, takes more than {} s of \
         processor time or {} MiB beyond its own size. `seed files` are the sound files that were \
         damaged; `taken` counts inputs that were read as sound, `refused` those that an error \
         or a listed problem was the answer to.\n\n\
         | parser | seed files | inputs | taken | refused | failed |\n\
         |---|--:|--:|--:|--:|--:|\n",
        summary.processes,
        summary.machine,
        summary.seed,
        summary.inputs,
        summary.inputs_per_second,
        summary.failed,
        MOST_TIME.as_secs(),
        MOST_MEMORY >> 20,
    );
    for line in &summary.parsers {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            line.parser, line.seed_files, line.inputs, line.taken, line.refused, line.failed
        );
    }
    for cause in &summary.causes {
        let _ = write!(
            text,
            "\n* {}, {} inputs: {:?}: {}\n",
            cause.parser,
            cause.inputs,
            cause.kind,
            cause.message.replace('|', "\\|")
        );
    }
    text
}
