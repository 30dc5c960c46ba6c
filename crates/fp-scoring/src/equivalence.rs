//! Strategies that are equivalent in practice.

use crate::{KeptTokens, ScoringError};

/// Agreement of one pair of strategies over samples.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Equivalence {
    /// Mean Jaccard index of the kept sets.
    pub mean_jaccard: f64,
    /// Fraction of samples in which the kept sets are identical.
    pub identical_share: f64,
}

/// The strategy equivalence matrix: agreement of each pair of selections over samples.
#[derive(Debug, Clone, PartialEq)]
pub struct EquivalenceMatrix {
    labels: Vec<String>,
    num_samples: usize,
    /// Sum of Jaccard indices and count of identical sets, row-major.
    sums: Vec<(f64, usize)>,
}

impl EquivalenceMatrix {
    /// An empty matrix over the selections named by `labels`.
    pub fn new(labels: Vec<String>) -> Self {
        let cells = labels.len() * labels.len();
        EquivalenceMatrix {
            labels,
            num_samples: 0,
            sums: vec![(0.0, 0); cells],
        }
    }

    /// Adds one sample: the tokens that each selection kept, in the order of the labels.
    ///
    /// # Errors
    /// A number of selections that differs from the number of labels.
    pub fn add_sample(&mut self, kept: &[&KeptTokens]) -> Result<(), ScoringError> {
        let n = self.labels.len();
        if kept.len() != n {
            return Err(ScoringError::LengthMismatch {
                what: "a sample of the equivalence matrix",
                expected: n,
                got: kept.len(),
            });
        }
        for (i, a) in kept.iter().enumerate() {
            for (j, b) in kept.iter().enumerate() {
                let cell = &mut self.sums[i * n + j];
                cell.0 += a.jaccard(b);
                cell.1 += usize::from(a == b);
            }
        }
        self.num_samples += 1;
        Ok(())
    }

    /// Labels of the selections.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Number of samples added so far.
    pub fn num_samples(&self) -> usize {
        self.num_samples
    }

    /// Agreement of selections `i` and `j`; `None` before the first sample, or for an index
    /// outside the labels.
    pub fn get(&self, i: usize, j: usize) -> Option<Equivalence> {
        let n = self.labels.len();
        if self.num_samples == 0 || i >= n || j >= n {
            return None;
        }
        let (jaccards, identical) = self.sums[i * n + j];
        let samples = self.num_samples as f64;
        Some(Equivalence {
            mean_jaccard: jaccards / samples,
            identical_share: identical as f64 / samples,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_over_two_samples() {
        let set = |tokens: &[usize]| KeptTokens::new(tokens.to_vec(), 10).unwrap();
        let mut matrix = EquivalenceMatrix::new(vec!["a".into(), "b".into()]);
        assert_eq!(matrix.get(0, 0), None);
        matrix.add_sample(&[&set(&[1, 2]), &set(&[1, 2])]).unwrap();
        matrix.add_sample(&[&set(&[1, 2]), &set(&[2, 3])]).unwrap();
        let cell = matrix.get(0, 1).unwrap();
        assert_eq!(cell, matrix.get(1, 0).unwrap());
        assert!((cell.mean_jaccard - (1.0 + 1.0 / 3.0) / 2.0).abs() < 1e-15);
        assert_eq!(cell.identical_share, 0.5);
        assert!(matrix.add_sample(&[&set(&[1])]).is_err());
    }
}
