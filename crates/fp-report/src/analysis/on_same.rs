//! Comparison with vanilla on the questions that a cell answered, from columns of scores.

use fp_eval::study;

use super::scores::Column;

pub use study::OnSameQuestions;

/// `None` without a question that both answered.
pub(crate) fn on_same_questions(cell: &Column, vanilla: &Column) -> Option<OnSameQuestions> {
    study::on_same_questions(cell.iter().copied().zip(vanilla.iter().copied()))
}
