//! Ranks heads once, by their mean score over many samples.
//!
//! A head strategy selects heads for each sample. Its static variant selects, for every later
//! sample, the h heads with the highest mean score over the samples that it was ranked on. If
//! both do equally well, selecting per sample gains nothing.

use fp_kernels::cpu::top_r;
use serde::{Deserialize, Serialize};

use crate::ScoringError;

/// The sum of each head's scores, and the number of samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeadRanking {
    sums: Vec<f64>,
    num_samples: usize,
    num_without_scores: usize,
}

impl HeadRanking {
    /// An empty ranking of `num_heads` heads.
    pub fn new(num_heads: usize) -> HeadRanking {
        HeadRanking {
            sums: vec![0.0; num_heads],
            num_samples: 0,
            num_without_scores: 0,
        }
    }

    /// Adds one sample's scores `[H]`. A head without a score (−∞: without mass, or not a
    /// candidate of `hierarchical`) counts as the lowest score of the sample; a sample in which
    /// no head has a score is only counted.
    ///
    /// # Errors
    /// A number of scores that differs from the number of heads.
    pub fn add(&mut self, scores: &[f64]) -> Result<(), ScoringError> {
        if scores.len() != self.sums.len() {
            return Err(ScoringError::LengthMismatch {
                what: "head scores [heads]",
                expected: self.sums.len(),
                got: scores.len(),
            });
        }
        let finite = scores.iter().copied().filter(|score| score.is_finite());
        let Some(lowest) = finite.reduce(f64::min) else {
            self.num_without_scores += 1;
            return Ok(());
        };
        self.num_samples += 1;
        for (sum, score) in self.sums.iter_mut().zip(scores) {
            *sum += if score.is_finite() { *score } else { lowest };
        }
        Ok(())
    }

    /// Number of samples in the ranking.
    pub fn num_samples(&self) -> usize {
        self.num_samples
    }

    /// Number of samples in which no head had a score.
    pub fn num_without_scores(&self) -> usize {
        self.num_without_scores
    }

    /// Mean score of each head, `[H]`; `None` if no sample had scores.
    pub fn means(&self) -> Option<Vec<f64>> {
        let count = self.num_samples as f64;
        (self.num_samples > 0).then(|| self.sums.iter().map(|sum| sum / count).collect())
    }

    /// The h heads with the highest means, ascending; ties go to the lower index. `None` if no
    /// sample had scores.
    ///
    /// # Errors
    /// h = 0, or h above H.
    pub fn top(&self, num_selected_heads: usize) -> Result<Option<Vec<usize>>, ScoringError> {
        self.means()
            .map(|means| Ok(top_r(&means, num_selected_heads)?.kept))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_by_hand() {
        let mut ranking = HeadRanking::new(3);
        assert_eq!(ranking.top(1).unwrap(), None);
        ranking.add(&[1.0, 3.0, f64::NEG_INFINITY]).unwrap();
        ranking.add(&[5.0, 1.0, 3.0]).unwrap();
        ranking.add(&[f64::NEG_INFINITY; 3]).unwrap();
        assert_eq!(
            (ranking.num_samples(), ranking.num_without_scores()),
            (2, 1)
        );
        // Head 2 counts as 1 in the first sample.
        assert_eq!(ranking.means(), Some(vec![3.0, 2.0, 2.0]));
        assert_eq!(ranking.top(2).unwrap(), Some(vec![0, 1]));
        assert!(ranking.top(4).is_err());
        assert!(ranking.add(&[1.0]).is_err());
    }
}
