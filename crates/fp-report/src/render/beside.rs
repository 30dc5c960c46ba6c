//! Figures beside those of vanilla: on the same questions, or with vanilla's on them.

use fp_eval::format::{percent, signed_points};

use super::Source;
use crate::analysis::OnSameQuestions;

/// Vanilla on the questions of the oracle, budget by budget; none where the oracle
/// answered what vanilla did, or isn't there.
pub(crate) fn oracle(source: &Source<'_>) -> Option<Vec<Option<OnSameQuestions>>> {
    let of = |cell: &Option<usize>| source.analysis.cells[(*cell)?].vanilla_on_same;
    let same: Vec<_> = source.cell_index.oracle.iter().map(of).collect();
    let differs = |same: &OnSameQuestions| !same.is_all;
    same.iter().flatten().any(differs).then_some(same)
}

/// What stands behind a figure that is of other questions than vanilla's, such as
/// ` (vanilla 92.5 on the same 512, +2.5)`; nothing where they are the same.
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
