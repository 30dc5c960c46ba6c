//! The random generator of scenes: the same numbers on every machine and in every version.

use fp_scoring::hash::{GOLDEN_GAMMA, split_mix};

/// SplitMix64, with the few distributions that scenes need.
///
/// Implemented here because a benchmark's pixels must not change with a library's version. Source:
/// Steele, Lea & Flood, "Fast splittable pseudorandom number generators", 2014.
#[derive(Debug, Clone)]
pub struct SceneRng {
    state: u64,
}

impl SceneRng {
    /// The generator of one image. Different seeds, splits and indices give unrelated streams.
    pub fn for_image(seed: u64, split: u64, index: u64) -> SceneRng {
        let mut state = mix(seed);
        for part in [split, index] {
            state = mix(state ^ mix(part.wrapping_add(GOLDEN_GAMMA)));
        }
        SceneRng { state }
    }

    /// A generator for one part of the work, such as the questions: how much is drawn from it
    /// doesn't affect the other parts.
    #[must_use]
    pub fn fork(&self, part: u64) -> SceneRng {
        SceneRng {
            state: mix(self.state ^ mix(part.wrapping_mul(GOLDEN_GAMMA))),
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        split_mix(self.state)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of the product: no division, and a bias below 2⁻⁵⁰.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn range(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as usize) as i32
    }

    /// True with probability `num`/`den`.
    pub fn chance(&mut self, num: usize, den: usize) -> bool {
        self.below(den) < num
    }

    /// A random element of `items`, which must not be empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Shuffles `items` (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` different elements of `items`, in random order; all of them if there are fewer.
    pub fn sample<T: Copy>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut items = items.to_vec();
        self.shuffle(&mut items);
        items.truncate(count);
        items
    }
}

fn mix(value: u64) -> u64 {
    split_mix(value.wrapping_add(GOLDEN_GAMMA))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_images_splits_and_seeds_differ() {
        let mut first = std::collections::HashSet::new();
        for seed in 0..10 {
            for split in 0..3 {
                for index in 0..100 {
                    first.insert(SceneRng::for_image(seed, split, index).next());
                }
            }
        }
        assert_eq!(first.len(), 10 * 3 * 100);
    }

    #[test]
    fn draws_cover_their_range_evenly() {
        let mut rng = SceneRng::for_image(1, 0, 0);
        let mut counts = [0_usize; 7];
        for _ in 0..70_000 {
            counts[(rng.range(-3, 3) + 3) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (9_500..10_500).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn a_fork_is_not_moved_by_what_its_parent_draws_later() {
        let parent = SceneRng::for_image(1, 2, 3);
        let mut before = parent.fork(1);
        let mut moved = parent.clone();
        moved.next();
        assert_eq!(before.next(), parent.fork(1).next());
        assert_ne!(parent.fork(1).next(), parent.fork(2).next());
    }
}
