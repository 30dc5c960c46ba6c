//! Vanilla on the questions that a cell answered.
//!
//! Accuracies side by side are only comparable on the same questions: the oracle answers
//! those with boxes alone, and a cell may fail where vanilla does not.

use serde::Serialize;

use super::scores::Column;

/// A cell and vanilla on the questions that both answered. Scores are 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OnSameQuestions {
    /// Questions that both answered.
    pub n: usize,
    /// Vanilla's mean score on them.
    pub vanilla: f64,
    /// The cell's less vanilla's.
    pub difference: f64,
    /// Whether each answered just these; else their own accuracies are of different
    /// questions and must not be read side by side.
    pub is_all: bool,
}

/// None without a question that both answered.
pub(crate) fn on_same_questions(cell: &Column, vanilla: &Column) -> Option<OnSameQuestions> {
    let (mut n, mut sum, mut sum_vanilla) = (0_usize, 0.0, 0.0);
    for (cell, vanilla) in cell.iter().zip(vanilla.iter()) {
        if let (Some(cell), Some(vanilla)) = (cell, vanilla) {
            n += 1;
            sum += cell;
            sum_vanilla += vanilla;
        }
    }
    let mean = |sum: f64| sum / n as f64;
    (n > 0).then(|| OnSameQuestions {
        n,
        vanilla: mean(sum_vanilla),
        difference: mean(sum) - mean(sum_vanilla),
        is_all: [cell, vanilla]
            .iter()
            .all(|column| n == column.iter().flatten().count()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vanilla_is_taken_where_the_cell_answered() {
        let vanilla: Column = [Some(0.0), Some(1.0), Some(1.0), None].into();
        let oracle: Column = [None, Some(1.0), Some(1.0), Some(1.0)].into();
        let same = on_same_questions(&oracle, &vanilla).unwrap();
        assert_eq!((same.n, same.vanilla, same.difference), (2, 1.0, 0.0));
        assert!(!same.is_all && on_same_questions(&vanilla, &vanilla).unwrap().is_all);
        assert_eq!(
            on_same_questions(&oracle, &[None, None, None, None].into()),
            None
        );
    }
}
