//! Figures beside vanilla's, with vanilla restricted to the same questions where they differ.

use fp_eval::format::{percent, signed_points};

use super::Source;
use crate::analysis::OnSameQuestions;

/// Vanilla on the oracle's questions, by budget; `None` where both answered the same questions, or
/// the run has no oracle.
pub(crate) fn oracle(source: &Source<'_>) -> Option<Vec<Option<OnSameQuestions>>> {
    let of = |cell: &Option<usize>| source.analysis.cells[(*cell)?].vanilla_on_same;
    let same: Vec<_> = source.cell_index.oracle.iter().map(of).collect();
    let differs = |same: &OnSameQuestions| !same.is_all;
    same.iter().flatten().any(differs).then_some(same)
}

/// The note after a figure over other questions than vanilla's, such as
/// ` (vanilla 92.5 on the same 512, +2.5)`; empty where they are the same.
pub(crate) fn note(same: Option<OnSameQuestions>) -> String {
    match same.filter(|same| !same.is_all) {
        None => String::new(),
        Some(same) => format!(
            " (vanilla {} on the same {}, {})",
            percent(same.vanilla),
            same.n,
            signed_points(same.difference)
        ),
    }
}
