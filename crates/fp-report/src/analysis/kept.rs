//! Image tokens that a cell kept on a sample.

use fp_eval::study::SampleRecord;

/// Tokens that a cell kept; `None` where it keeps all, doesn't apply, or has no image in its input.
pub(crate) fn kept_tokens(record: &SampleRecord, cell: usize) -> Option<&[usize]> {
    record.run_of(cell)?.seen.last_tokens()
}

/// A set of tokens as bits, for fast intersections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenBits(Vec<u64>);

impl TokenBits {
    pub(crate) fn new(tokens: &[usize]) -> TokenBits {
        let words = tokens.last().map_or(0, |last| last / 64 + 1);
        let mut bits = vec![0_u64; words];
        for &token in tokens {
            // The tokens are ascending, so all are below the last one; others are ignored.
            if let Some(word) = bits.get_mut(token / 64) {
                *word |= 1 << (token % 64);
            }
        }
        TokenBits(bits)
    }

    /// |A ∩ B| / |A ∪ B|; 1 for two empty sets.
    pub(crate) fn jaccard(&self, other: &TokenBits) -> f64 {
        let count = |bits: &[u64]| bits.iter().map(|word| word.count_ones()).sum::<u32>();
        let both = self.0.iter().zip(&other.0);
        let shared: u32 = both.map(|(a, b)| (a & b).count_ones()).sum();
        let union = count(&self.0) + count(&other.0) - shared;
        match union {
            0 => 1.0,
            _ => f64::from(shared) / f64::from(union),
        }
    }
}

#[cfg(test)]
mod tests {
    use fp_scoring::KeptTokens;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bits_agree_with_sets(
            a in proptest::collection::btree_set(0_usize..200, 0..40),
            b in proptest::collection::btree_set(0_usize..200, 0..40),
        ) {
            let (a, b): (Vec<usize>, Vec<usize>) = (a.into_iter().collect(), b.into_iter().collect());
            let expected = KeptTokens::new(a.clone(), 200)
                .unwrap()
                .jaccard(&KeptTokens::new(b.clone(), 200).unwrap());
            prop_assert_eq!(TokenBits::new(&a).jaccard(&TokenBits::new(&b)), expected);
            prop_assert_eq!(TokenBits::new(&a) == TokenBits::new(&b), a == b);
        }
    }
}
