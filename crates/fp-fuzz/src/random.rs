//! Random numbers from a seed.

/// SplitMix64: small, and without weak seeds.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of one input: input `number` of the parser called `parser`.
    pub fn of_input(seed: u64, parser: &str, number: u64) -> Random {
        // FNV-1a of the name; the generator mixes the result with the rest.
        let name = parser
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        let mut random = Random(seed);
        let mut state = random.bits();
        for part in [name, number] {
            random = Random(state ^ part);
            state = random.bits();
        }
        random
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.bits()) * (bound as u128);
        (wide >> 64) as usize
    }

    /// True with probability 1 / `count`.
    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// A random element; `None` of an empty slice.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    /// A length up to `most`; short lengths are far more likely.
    pub fn length(&mut self, most: usize) -> usize {
        let scale = self.below(most.max(1).ilog2() as usize + 1);
        self.below((1_usize << scale).min(most)) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_follows_from_seed_parser_and_number() {
        let first = |seed, parser, number| Random::of_input(seed, parser, number).bits();
        assert_eq!(first(1, "png", 7), first(1, "png", 7));
        let others = [first(2, "png", 7), first(1, "gif", 7), first(1, "png", 8)];
        assert!(!others.contains(&first(1, "png", 7)));
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut random = Random::of_input(0, "", 0);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[random.below(5)] = true;
            assert!((1..=17).contains(&random.length(17)));
        }
        assert_eq!(seen, [true; 5]);
        assert_eq!((random.below(0), random.below(1)), (0, 0));
        assert_eq!(random.pick::<u8>(&[]), None);
        assert_eq!(random.length(0), 1);
    }
}
