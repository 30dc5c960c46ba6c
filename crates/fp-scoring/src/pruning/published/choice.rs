//! What a published method chose.

use serde::Serialize;

use super::Dense;
use crate::TokenSelection;

/// What a method chose of one set of tensors.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodChoice {
    /// The tokens that are kept, in the order of the sequence: indices from 0; −1 is a zero
    /// vector. Rows that are merged of several tokens and the class token are not among
    /// them; they are in `rows`. Of `sparsevlm_raters`: indices of text tokens.
    pub kept: Vec<i64>,
    /// The order of choice, where the rule is greedy.
    pub picked: Option<Vec<usize>>,
    /// What else there is to say, by name.
    pub extras: Vec<(&'static str, Extra)>,
    /// Whether the class token is kept, before all others.
    pub has_class_token: bool,
    /// The resulting rows, where the method makes some.
    pub rows: Option<Dense>,
    /// The same as a stage takes it; none of a rule that chooses no image tokens.
    pub selection: Option<TokenSelection>,
}

/// Something else that a method says of its choice.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Extra {
    /// A number of things.
    Count(usize),
    /// A number.
    Number(f64),
    /// Numbers.
    Numbers(Vec<f64>),
    /// Heads, or numbers of tokens.
    Indices(Vec<usize>),
    /// Image tokens, by their index among those that entered the stage.
    Tokens(Vec<usize>),
    /// Positions in the sequence that entered the stage.
    Positions(Vec<usize>),
    /// Groups of image tokens.
    Groups(Vec<Vec<usize>>),
}

impl MethodChoice {
    /// Tokens that are kept as they are.
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

    /// What is said beside the tokens, by name.
    pub fn extra(&self, name: &str) -> Option<&Extra> {
        let mut extras = self.extras.iter();
        extras
            .find(|(known, _)| *known == name)
            .map(|(_, extra)| extra)
    }
}

/// Indices as they are written where other codes stand among them.
pub(crate) fn codes(tokens: &[usize]) -> Vec<i64> {
    tokens.iter().map(|&token| token as i64).collect()
}

/// A token that is kept: its place, and the rows that it is a sum of.
pub(crate) type Sum = (usize, Vec<(usize, f64)>);

/// The sums themselves, over rows of `table`.
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
