//! Heads selected per sample against heads ranked once.

use maud::html;

use super::findings::{comparison_fields, comparison_table};
use super::markup::{Section, section};
use crate::render::Source;

pub(super) fn static_heads(source: &Source<'_>) -> Option<Section> {
    let tests = source.analysis.static_heads.as_ref()?;
    let mut table = comparison_table("Per-sample against static heads");
    for comparison in &tests.comparisons {
        table.row(comparison_fields("all budgets and h", comparison));
    }
    let content = html! {
        @if !tests.comparisons.is_empty() { (table) }
        @for pair in &tests.untested {
            p { (pair.a) " against " (pair.b) ": not tested, " (pair.because) "." }
        }
    };
    let lead = format!(
        "A static variant uses the heads that its strategy ranks highest by their mean score on the selection half, the same for every question; static_heads.json lists them. {}",
        tests.sentence()
    );
    Some(section(
        "static-heads",
        "Does choosing heads per sample matter?",
        &lead,
        content,
    ))
}
