//! The tokens that a stage keeps.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::SelectError;
use crate::KeptTokens;

/// The tokens that a stage keeps, in their order. Indices refer to the n tokens that enter the
/// stage, 0..n.
///
/// Every kept token has a *place*: the input token whose position it takes. Without a merge the
/// kept token is that token; with a merge it is a weighted sum of input tokens: of hidden states,
/// or, at the site `vision`, of the rows that enter the projector, where index n is the class
/// token's row. Two selections are equal if their places and weights are, bit for bit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenSelection {
    places: Arc<[usize]>,
    merge: Option<Merge>,
}

/// For each kept token, the input tokens that it is a sum of, with their weights. Sums are
/// computed in the order of the entries, in `f64`; an empty sum is the zero vector.
#[derive(Debug, Clone)]
pub struct Merge {
    rows: Arc<[Vec<(usize, f64)>]>,
    is_before_projector: bool,
}

impl Merge {
    /// One list of tokens and weights per kept token.
    pub fn rows(&self) -> &[Vec<(usize, f64)>] {
        &self.rows
    }

    /// Whether the sums are over the rows that enter the projector.
    pub fn is_before_projector(&self) -> bool {
        self.is_before_projector
    }
}

impl PartialEq for Merge {
    fn eq(&self, other: &Merge) -> bool {
        let rows = self.rows.iter().zip(other.rows.iter());
        self.is_before_projector == other.is_before_projector
            && self.rows.len() == other.rows.len()
            && rows.into_iter().all(|(a, b)| {
                a.len() == b.len()
                    && a.iter()
                        .zip(b)
                        .all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits())
            })
    }
}

impl Eq for Merge {}

impl Hash for Merge {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.is_before_projector.hash(state);
        for row in self.rows.iter() {
            row.len().hash(state);
            for (token, weight) in row {
                (token, weight.to_bits()).hash(state);
            }
        }
    }
}

impl TokenSelection {
    /// All of n tokens.
    pub fn all(num_tokens: usize) -> TokenSelection {
        TokenSelection {
            places: (0..num_tokens).collect(),
            merge: None,
        }
    }

    /// Tokens in the order in which they are kept, not necessarily ascending.
    ///
    /// # Errors
    /// A token outside 0..n, or a duplicate.
    pub fn new(places: Vec<usize>, num_tokens: usize) -> Result<TokenSelection, SelectError> {
        check_places(&places, num_tokens)?;
        Ok(TokenSelection {
            places: places.into(),
            merge: None,
        })
    }

    /// Tokens that are weighted sums of hidden states: one entry per kept token, with its place
    /// and the input tokens with their weights; an empty list is the zero vector. Tokens without
    /// an origin of their own may share a place. If every sum is one token with weight 1, the
    /// result is a selection without a merge.
    ///
    /// # Errors
    /// A place or token outside 0..n, a duplicate token in a sum, or a weight that isn't finite.
    pub fn merged(
        rows: Vec<(usize, Vec<(usize, f64)>)>,
        num_tokens: usize,
    ) -> Result<TokenSelection, SelectError> {
        TokenSelection::summed(rows, num_tokens, None)
    }

    /// As [`TokenSelection::merged`], at the site `vision`: sums of the rows that enter the
    /// projector. Index n is the class token's row, unless the features already contain it.
    ///
    /// # Errors
    /// As [`TokenSelection::merged`], and a token above n.
    pub fn merged_before_projector(
        rows: Vec<(usize, Vec<(usize, f64)>)>,
        num_tokens: usize,
    ) -> Result<TokenSelection, SelectError> {
        TokenSelection::summed(rows, num_tokens, Some(1))
    }

    /// As [`TokenSelection::merged_before_projector`], for an image of several crops, each with a
    /// class token: indices n, n + 1, … are their rows, crop by crop.
    ///
    /// # Errors
    /// As [`TokenSelection::merged_before_projector`].
    pub fn merged_with_class_rows(
        rows: Vec<(usize, Vec<(usize, f64)>)>,
        num_tokens: usize,
        num_class_rows: usize,
    ) -> Result<TokenSelection, SelectError> {
        TokenSelection::summed(rows, num_tokens, Some(num_class_rows))
    }

    fn summed(
        rows: Vec<(usize, Vec<(usize, f64)>)>,
        num_tokens: usize,
        num_class_rows: Option<usize>,
    ) -> Result<TokenSelection, SelectError> {
        let is_before_projector = num_class_rows.is_some();
        let (places, sums): (Vec<usize>, Vec<Vec<(usize, f64)>>) = rows.into_iter().unzip();
        let num_rows = num_tokens + num_class_rows.unwrap_or(0);
        if let Some(place) = places.iter().find(|place| **place >= num_tokens) {
            return Err(outside(*place, num_tokens));
        }
        for (place, sum) in places.iter().zip(&sums) {
            let mut tokens: Vec<usize> = sum.iter().map(|(token, _)| *token).collect();
            tokens.sort_unstable();
            if let Some(pair) = tokens.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(invalid(format!(
                    "token {} is listed twice in the sum at {place}",
                    pair[0]
                )));
            }
            for &(token, weight) in sum {
                if token >= num_rows {
                    return Err(outside(token, num_rows));
                }
                if !weight.is_finite() {
                    return Err(invalid(format!(
                        "the weight of token {token} in the sum at {place} is {weight}"
                    )));
                }
            }
        }
        let is_identity = |(place, sum): (&usize, &Vec<(usize, f64)>)| matches!(sum.as_slice(), [(token, weight)] if token == place && *weight == 1.0);
        let merge = if places.iter().zip(&sums).all(is_identity) {
            check_places(&places, num_tokens)?;
            None
        } else {
            Some(Merge {
                rows: sums.into(),
                is_before_projector,
            })
        };
        Ok(TokenSelection {
            places: places.into(),
            merge,
        })
    }

    /// For each kept token, the input token whose position it takes.
    pub fn places(&self) -> &[usize] {
        &self.places
    }

    /// As [`TokenSelection::places`], shared.
    pub fn shared_places(&self) -> Arc<[usize]> {
        Arc::clone(&self.places)
    }

    /// How tokens are summed, if any are merged.
    pub fn merge(&self) -> Option<&Merge> {
        self.merge.as_ref()
    }

    /// Number of kept tokens.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no token is kept.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether all of n tokens are kept unchanged.
    pub fn is_all(&self, num_tokens: usize) -> bool {
        self.merge.is_none()
            && self.places.len() == num_tokens
            && self.places.iter().enumerate().all(|(i, place)| i == *place)
    }

    /// The kept tokens, if nothing is merged and they keep their order.
    pub fn kept_tokens(&self) -> Option<KeptTokens> {
        let is_plain = self.merge.is_none() && self.places.is_sorted_by(|a, b| a < b);
        is_plain.then(|| KeptTokens::from_selection(self.places.to_vec()))
    }
}

impl From<&KeptTokens> for TokenSelection {
    fn from(kept: &KeptTokens) -> TokenSelection {
        TokenSelection {
            places: kept.as_slice().into(),
            merge: None,
        }
    }
}

fn check_places(places: &[usize], num_tokens: usize) -> Result<(), SelectError> {
    let mut is_taken = vec![false; num_tokens];
    for &place in places {
        let taken = is_taken
            .get_mut(place)
            .ok_or_else(|| outside(place, num_tokens))?;
        if std::mem::replace(taken, true) {
            return Err(invalid(format!("token {place} is listed twice")));
        }
    }
    Ok(())
}

fn outside(token: usize, num_tokens: usize) -> SelectError {
    invalid(format!(
        "token {token} is not below the number of tokens, {num_tokens}"
    ))
}

fn invalid(reason: String) -> SelectError {
    SelectError::Invalid { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_weights_are_a_selection() {
        let merged = TokenSelection::merged(vec![(1, vec![(1, 1.0)]), (3, vec![(3, 1.0)])], 4);
        let plain = TokenSelection::new(vec![1, 3], 4).unwrap();
        assert_eq!(merged.unwrap(), plain);
        assert_eq!(plain.kept_tokens().unwrap().as_slice(), [1, 3]);
        assert!(!plain.is_all(2));
        assert!(TokenSelection::all(3).is_all(3));
    }

    #[test]
    fn what_is_impossible_is_refused() {
        for (places, reason) in [(vec![0, 4], "not below"), (vec![2, 2], "twice")] {
            let error = TokenSelection::new(places, 4).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        for (rows, reason) in [
            (vec![(4, vec![])], "not below"),
            (vec![(0, vec![(0, 1.0)]), (0, vec![(0, 1.0)])], "twice"),
            (vec![(0, vec![(5, 1.0)])], "not below"),
            (vec![(0, vec![(1, 0.5), (1, 0.5)])], "twice"),
            (vec![(0, vec![(1, f64::NAN)])], "NaN"),
        ] {
            let error = TokenSelection::merged(rows, 4).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn the_class_token_is_a_row_before_the_projector_alone() {
        let rows = || vec![(0, vec![(4, 1.0)]), (0, vec![]), (2, vec![(2, 1.0)])];
        assert!(TokenSelection::merged(rows(), 4).is_err());
        let vision = TokenSelection::merged_before_projector(rows(), 4).unwrap();
        assert!(vision.merge().unwrap().is_before_projector());
        assert_eq!(vision.places(), [0, 0, 2]);
        // The same sums over other rows are a different selection.
        let rows = || vec![(0, vec![(1, 1.0)])];
        let vision = TokenSelection::merged_before_projector(rows(), 4).unwrap();
        assert_ne!(vision, TokenSelection::merged(rows(), 4).unwrap());
    }

    #[test]
    fn another_order_or_weight_is_another_selection() {
        let new = |places: &[usize]| TokenSelection::new(places.to_vec(), 4).unwrap();
        assert_ne!(new(&[0, 1]), new(&[1, 0]));
        assert_eq!(new(&[1, 0]).kept_tokens(), None);
        let merged =
            |weight| TokenSelection::merged(vec![(0, vec![(0, weight), (1, 0.5)])], 4).unwrap();
        assert_eq!(merged(0.5), merged(0.5));
        assert_ne!(merged(0.5), merged(0.25));
    }
}
