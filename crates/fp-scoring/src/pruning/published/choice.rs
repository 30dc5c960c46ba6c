//! Selections of published methods.

use serde::Serialize;

use super::Dense;
use crate::TokenSelection;

/// A method's selection for one set of tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodChoice {
    /// The kept tokens in the order of the sequence: indices from 0; −1 is a zero vector. Rows
    /// merged from several tokens and the class token are not included; they are in `rows`. For
    /// `sparsevlm_raters`: indices of text tokens.
    pub kept: Vec<i64>,
    /// The order of selection, if the rule is greedy.
    pub picked: Option<Vec<usize>>,
    /// Further results by name.
    pub extras: Vec<(&'static str, Extra)>,
    /// Whether the class token is kept, before all others.
    pub has_class_token: bool,
    /// The resulting rows, if the method computes some.
    pub rows: Option<Dense>,
    /// The same in the form of a stage; `None` for a rule that selects no image tokens.
    pub selection: Option<TokenSelection>,
}

/// A further result of a method.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Extra {
    /// A count.
    Count(usize),
    /// A number.
    Number(f64),
    /// Numbers.
    Numbers(Vec<f64>),
    /// Heads, or numbers of tokens.
    Indices(Vec<usize>),
    /// Image tokens, as indices among those that enter the stage.
    Tokens(Vec<usize>),
    /// Positions in the sequence that enters the stage.
    Positions(Vec<usize>),
    /// Groups of image tokens.
    Groups(Vec<Vec<usize>>),
}

impl MethodChoice {
    /// A selection of unmerged tokens.
    pub(crate) fn plain(kept: &[usize], selection: TokenSelection) -> MethodChoice {
        MethodChoice {
            kept: codes(kept),
            picked: None,
            has_class_token: false,
            extras: Vec::new(),
            rows: None,
            selection: Some(selection),
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, extra: Extra) -> MethodChoice {
        self.extras.push((name, extra));
        self
    }

    #[must_use]
    pub(crate) fn with_picked(self, picked: Vec<usize>) -> MethodChoice {
        MethodChoice {
            picked: Some(picked),
            ..self
        }
    }

    #[must_use]
    pub(crate) fn with_rows(self, rows: Dense) -> MethodChoice {
        MethodChoice {
            rows: Some(rows),
            ..self
        }
    }

    /// A further result, by name.
    pub fn extra(&self, name: &str) -> Option<&Extra> {
        let mut extras = self.extras.iter();
        extras
            .find(|(known, _)| *known == name)
            .map(|(_, extra)| extra)
    }
}

/// Converts indices to the form that also holds other codes.
pub(crate) fn codes(tokens: &[usize]) -> Vec<i64> {
    tokens.iter().map(|&token| token as i64).collect()
}

/// A kept token: its place, and the weighted rows that it is a sum of.
pub(crate) type Sum = (usize, Vec<(usize, f64)>);

/// Computes the sums over rows of `table`.
pub(crate) fn weighted_rows(sums: &[Sum], table: &Dense) -> Dense {
    let width = table.num_columns();
    let rows = sums.iter().map(|(_, sum)| {
        let mut row = vec![0.0; width];
        for &(token, weight) in sum {
            super::dense::add(&mut row, table.row(token), weight);
        }
        row
    });
    Dense::from_rows(rows.collect(), width)
}
