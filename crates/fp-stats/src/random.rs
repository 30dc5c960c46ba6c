//! Random numbers for resampling, the same on every machine for a given seed.

use fp_scoring::hash::{GOLDEN_GAMMA, split_mix};

/// xoshiro256++ seeded by SplitMix64.
///
/// Source: Blackman & Vigna, "Scrambled linear pseudorandom number generators", 2021;
/// Lemire, "Fast random integer generation in an interval", 2019, for the bounded draw.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The generator of a stream: the same seed gives unrelated numbers in another stream.
    pub(crate) fn new(seed: u64, stream: Stream) -> Self {
        let mut mix = seed ^ stream.salt();
        let state = std::array::from_fn(|_| {
            mix = mix.wrapping_add(GOLDEN_GAMMA);
            split_mix(mix)
        });
        Random { state }
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `bound`, uniformly distributed; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: u32) -> usize {
        let mut product = (self.bits() >> 32) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
            while (product as u32) < threshold {
                product = (self.bits() >> 32) * u64::from(bound);
            }
        }
        (product >> 32) as usize
    }
}

/// Purpose of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Resampling clusters with replacement.
    Bootstrap,
    /// Flipping signs or swapping labels of clusters.
    Permutation,
    /// Drawing datasets with a known truth.
    Simulation,
}

impl Stream {
    const fn salt(self) -> u64 {
        match self {
            Stream::Bootstrap => 0x626f_6f74_7374_7261,
            Stream::Permutation => 0x7065_726d_7574_6174,
            Stream::Simulation => 0x7369_6d75_6c61_7465,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_first_output() {
        // From state (1, 2, 3, 4): rotl(1 + 4, 23) + 1.
        let mut random = Random {
            state: [1, 2, 3, 4],
        };
        assert_eq!(random.bits(), (5 << 23) + 1);
        // State is now s0 = 1^4^2^1.. by hand: s2 = 3^1 = 2, s3 = 4^2 = 6, s1 = 2^2 = 0,
        // s0 = 1^6 = 7, s2 ^= 2<<17, s3 = rotl(6, 45).
        assert_eq!(random.state, [7, 0, 2 ^ (2 << 17), 6_u64.rotate_left(45)]);
    }

    #[test]
    fn bounded_draws_are_even_and_streams_differ() {
        let mut random = Random::new(7, Stream::Bootstrap);
        let mut counts = [0_u32; 5];
        for _ in 0..50_000 {
            counts[random.below(5)] += 1;
        }
        // The standard deviation of a count is about 89.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 500),
            "{counts:?}"
        );
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
        let mut again = Random::new(7, Stream::Bootstrap);
        let mut other = Random::new(7, Stream::Permutation);
        assert_ne!(again.bits(), other.bits());
    }
}
