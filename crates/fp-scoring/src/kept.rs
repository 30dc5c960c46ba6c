//! Kept image tokens.

use crate::ScoringError;
use crate::hash::fnv1a;

/// Kept image tokens: relative to the image, ascending, unique.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(transparent)]
pub struct KeptTokens(Vec<usize>);

impl KeptTokens {
    /// Accepts tokens that are ascending, unique and below N.
    ///
    /// # Errors
    /// The first token that violates this.
    pub fn new(tokens: Vec<usize>, num_image_tokens: usize) -> Result<Self, ScoringError> {
        let mut next_allowed = 0;
        for &token in &tokens {
            if token < next_allowed || token >= num_image_tokens {
                return Err(ScoringError::InvalidKeptTokens {
                    token,
                    num_image_tokens,
                });
            }
            next_allowed = token + 1;
        }
        Ok(KeptTokens(tokens))
    }

    /// For tokens of a selection, which always satisfy this.
    pub(crate) fn from_selection(tokens: Vec<usize>) -> Self {
        debug_assert!(tokens.is_sorted_by(|a, b| a < b));
        KeptTokens(tokens)
    }

    /// All of N tokens.
    pub fn all(num_image_tokens: usize) -> Self {
        KeptTokens((0..num_image_tokens).collect())
    }

    /// The indices, ascending.
    pub fn as_slice(&self) -> &[usize] {
        &self.0
    }

    /// R.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no token is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// 64-bit FNV-1a over the indices as little-endian `u32`: equal sets have equal hashes on
    /// every machine.
    pub fn hash64(&self) -> u64 {
        let bytes = self
            .0
            .iter()
            .flat_map(|&token| (token as u32).to_le_bytes());
        fnv1a(bytes)
    }

    /// Jaccard index |A ∩ B| / |A ∪ B|; 1 for two empty sets.
    pub fn jaccard(&self, other: &KeptTokens) -> f64 {
        let (mut shared, mut others) = (0, other.0.iter().peekable());
        for token in &self.0 {
            while others.next_if(|other| *other < token).is_some() {}
            shared += usize::from(others.next_if_eq(&token).is_some());
        }
        let union = self.len() + other.len() - shared;
        if union == 0 {
            1.0
        } else {
            shared as f64 / union as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ascending_unique_tokens_pass() {
        assert!(KeptTokens::new(vec![0, 3, 4], 5).is_ok());
        for wrong in [vec![1, 1], vec![2, 1], vec![5]] {
            assert!(KeptTokens::new(wrong, 5).is_err());
        }
    }

    #[test]
    fn jaccard_by_hand() {
        let set = |tokens: &[usize]| KeptTokens::new(tokens.to_vec(), 10).unwrap();
        assert_eq!(set(&[1, 2, 3]).jaccard(&set(&[2, 3, 4])), 0.5);
        assert_eq!(set(&[1]).jaccard(&set(&[2])), 0.0);
        assert_eq!(set(&[5, 9]).jaccard(&set(&[5, 9])), 1.0);
    }

    #[test]
    fn hash_is_stable() {
        assert_eq!(KeptTokens(vec![]).hash64(), 0xcbf2_9ce4_8422_2325);
        assert_ne!(KeptTokens(vec![1]).hash64(), KeptTokens(vec![256]).hash64());
    }
}
