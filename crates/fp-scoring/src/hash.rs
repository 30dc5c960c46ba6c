//! Hash functions with the same values on every machine and in every version: random choices,
//! dummy weights, scenes and records depend on them.

/// 2⁶⁴ divided by the golden ratio, made odd: the increment of SplitMix64's state.
pub const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64, a bijection: from the states seed + i · [`GOLDEN_GAMMA`], i = 1,
/// 2, …, it computes the generator's outputs.
///
/// Source: Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014.
pub const fn split_mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 64-bit FNV-1a.
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    fnv1a_seeded(0, bytes)
}

/// 64-bit FNV-1a with a seeded initial state; seed 0 gives plain FNV-1a.
pub fn fnv1a_seeded(seed: u64, bytes: impl IntoIterator<Item = u8>) -> u64 {
    let start = seed ^ 0xcbf2_9ce4_8422_2325;
    bytes.into_iter().fold(start, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values() {
        let first = [1, 2].map(|i| split_mix(1_234_567 + GOLDEN_GAMMA.wrapping_mul(i)));
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
        assert_eq!(split_mix(GOLDEN_GAMMA), 0xe220_a839_7b1d_cdaf);
        assert_eq!(fnv1a([]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(*b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(*b"foobar"), 0x8594_4171_f739_67e8);
    }
}
