//! The measured efficiency in `summary.md`.

use std::fmt::Write;

use fp_eval::efficiency::{describe, overview, selection};

use super::Source;

/// A table of the measured efficiency, if there is one. Unlike the rest of the summary, it differs
/// between measurements.
pub(super) fn section(source: &Source<'_>, text: &mut String) {
    let Some(efficiency) = source.efficiency else {
        return;
    };
    text.push_str("\n## Efficiency, measured\n\n");
    if !efficiency.is_of(&source.run.spec) {
        text.push_str(OTHER_RUN);
        text.push('\n');
        return;
    }
    text.push_str(&overview(efficiency).markdown());
    text.push('\n');
    if let Some(table) = selection(efficiency) {
        let _ = writeln!(
            text,
            "{}\n\n{}",
            table.title.replace('\n', " "),
            table.markdown()
        );
    }
    for line in describe(efficiency) {
        // Writing to a string can't fail.
        let _ = writeln!(text, "* {line}");
    }
}

/// Replaces the figures of a measurement of something else.
pub(super) const OTHER_RUN: &str = "The efficiency.json in this folder was measured with another model or configuration, and is ignored; `finepruner efficiency --run DIR` measures this run.";
