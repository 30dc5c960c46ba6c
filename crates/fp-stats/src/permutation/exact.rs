//! The exact distribution of a sum under all sign patterns.

use std::collections::BTreeMap;

/// Maximum number of multiplications for the exact distribution: about 20 ms.
const MAX_CONVOLUTION_WORK: f64 = 3e7;

/// Probabilities below this fraction of the largest are omitted from a distribution: they are far
/// too small to affect any p, and their products would underflow.
const SMALLEST_SHARE: f64 = 1e-300;

/// Units of which sums of 0/1 scores, thirds and tenths are integer multiples.
const UNITS_PER_POINT: [f64; 4] = [1.0, 3.0, 10.0, 30.0];

/// Fraction of all sign patterns whose total is at least `threshold` in absolute value.
pub(super) fn enumerate(differences: &[f64], threshold: f64) -> f64 {
    fn count(rest: &[f64], total: f64, threshold: f64) -> u64 {
        match rest.split_first() {
            None => u64::from(total.abs() >= threshold),
            Some((first, rest)) => {
                count(rest, total + first, threshold) + count(rest, total - first, threshold)
            }
        }
    }
    match differences.split_first() {
        Some((first, rest)) if threshold > 0.0 => {
            // Flipping every sign changes nothing, so the first sign is fixed.
            count(rest, *first, threshold) as f64 / (1_u64 << rest.len()) as f64
        }
        _ => 1.0,
    }
}

/// The differences as integer multiples of a common unit: the count of each size, and their
/// total. `None` if there is no such unit, or if the distribution would take too long.
pub(super) fn whole_units(differences: &[f64]) -> Option<WholeUnits> {
    let in_units = |units_per_point: f64| {
        let mut units = WholeUnits::default();
        for difference in differences {
            let exact = difference * units_per_point;
            let rounded = exact.round();
            let is_whole = (exact - rounded).abs() <= 1e-9 * exact.abs().max(1.0);
            // A distribution has an entry for every integer up to the largest.
            if !is_whole || rounded.abs() > MAX_CONVOLUTION_WORK {
                return None;
            }
            units.add(rounded as i64);
        }
        Some(units)
    };
    let units = UNITS_PER_POINT.into_iter().find_map(in_units)?;
    (units.work() <= MAX_CONVOLUTION_WORK).then_some(units)
}

/// Nonzero integers with any signs, counted by size.
#[derive(Debug, Default)]
pub(super) struct WholeUnits {
    num_of_size: BTreeMap<u64, u64>,
    sum: i64,
}

/// Consecutive probabilities, starting with that of `first`.
struct Distribution {
    first: usize,
    probabilities: Vec<f64>,
}

impl WholeUnits {
    fn add(&mut self, unit: i64) {
        if unit != 0 {
            *self.num_of_size.entry(unit.unsigned_abs()).or_default() += 1;
            self.sum += unit;
        }
    }

    /// Upper bound on the number of multiplications of [`tail`](Self::tail).
    fn work(&self) -> f64 {
        let (mut work, mut len, mut variance) = (0.0, 1.0, 0.0);
        let mut groups = self.by_support();
        groups.pop();
        for (size, count) in groups {
            work += len * support(count as f64).min(1.0 + count as f64);
            variance += count as f64 * (size * size) as f64;
            len = support(variance).min(len + (size * count) as f64);
        }
        work + len
    }

    /// Sizes with their counts, the most frequent last.
    fn by_support(&self) -> Vec<(u64, u64)> {
        let mut groups: Vec<(u64, u64)> = self.num_of_size.iter().map(|(s, n)| (*s, *n)).collect();
        groups.sort_by_key(|&(size, count)| (count, size));
        groups
    }

    /// P(|Σ ±d| ≥ |Σ d|), exact up to rounding.
    ///
    /// Σ ±d = 2S − Σ|d| with S the sum of those |d| whose sign is positive. Among n differences
    /// of one size the number of positive signs is binomial, so S is a sum of as many independent
    /// terms as there are sizes, not differences. All but the most frequent size are convolved;
    /// for that one, tail probabilities suffice: P(A + B ≥ t) = Σ P(A = a) P(B ≥ t − a), which
    /// takes one multiplication per a.
    pub(super) fn tail(&self) -> f64 {
        let observed = self.sum.unsigned_abs();
        if observed == 0 {
            return 1.0;
        }
        let mut groups = self.by_support();
        let Some((size, count)) = groups.pop() else {
            return 1.0;
        };
        let rest = groups.into_iter().fold(
            Distribution {
                first: 0,
                probabilities: vec![1.0],
            },
            |sum, (size, count)| sum.plus(&Distribution::binomial(count), size as usize),
        );
        let last = Distribution::binomial(count);
        let total: u64 = self
            .num_of_size
            .iter()
            .map(|(size, count)| size * count)
            .sum();
        let needed = ((total + observed) / 2) as usize;
        let tails = last.upper_tails();
        let size = size as usize;
        // Summed from the tail inwards, so that small terms are not lost.
        let tail: f64 = (rest.probabilities.iter().enumerate().rev())
            .map(|(at, probability)| {
                let missing = needed.saturating_sub(rest.first + at).div_ceil(size);
                let from = missing.saturating_sub(last.first);
                probability * tails.get(from).copied().unwrap_or(0.0)
            })
            .sum();
        // Never 0: the observed signs are one of the patterns.
        (2.0 * tail).clamp(f64::MIN_POSITIVE, 1.0)
    }
}

impl Distribution {
    /// Distribution of the number of positive signs among `count`, computed from the middle
    /// outwards by the ratio of neighbours, (n − k) / (k + 1).
    fn binomial(count: u64) -> Distribution {
        let middle = count / 2;
        let mut upper = vec![1.0];
        let mut share = 1.0;
        for k in middle..count {
            share *= (count - k) as f64 / (k + 1) as f64;
            if share < SMALLEST_SHARE {
                break;
            }
            upper.push(share);
        }
        // By symmetry, k and count − k have the same probability; for an odd count two of them
        // are in the middle.
        let is_odd = count % 2 == 1;
        let lower = upper.iter().skip(if is_odd { 2 } else { 1 });
        let probabilities: Vec<f64> = lower.rev().chain(&upper).copied().collect();
        let last = middle as usize + upper.len() - 1;
        Distribution {
            first: last + 1 - probabilities.len(),
            probabilities,
        }
        .normalized()
    }

    fn normalized(mut self) -> Distribution {
        // Summed from both ends inwards: small terms first.
        let (low, high) = self.probabilities.split_at(self.probabilities.len() / 2);
        let total = low.iter().sum::<f64>() + high.iter().rev().sum::<f64>();
        self.probabilities.iter_mut().for_each(|p| *p /= total);
        self
    }

    /// Distribution of `self` plus `size` times a variable distributed as `other`.
    fn plus(self, other: &Distribution, size: usize) -> Distribution {
        let len = self.probabilities.len() + size * (other.probabilities.len() - 1);
        let mut probabilities = vec![0.0; len];
        for (at, factor) in other.probabilities.iter().enumerate() {
            let sums = &mut probabilities[size * at..][..self.probabilities.len()];
            for (sum, probability) in sums.iter_mut().zip(&self.probabilities) {
                *sum += factor * probability;
            }
        }
        let largest = probabilities.iter().copied().fold(0.0, f64::max);
        let is_kept = |probability: &f64| *probability >= SMALLEST_SHARE * largest;
        let start = probabilities.iter().position(is_kept).unwrap_or(0);
        let end = probabilities.iter().rposition(is_kept).unwrap_or(0);
        Distribution {
            first: self.first + size * other.first + start,
            probabilities: probabilities[start..=end].to_vec(),
        }
    }

    /// The probability of each number or a larger one.
    fn upper_tails(&self) -> Vec<f64> {
        let mut tails = self.probabilities.clone();
        let mut above = 0.0;
        for tail in tails.iter_mut().rev() {
            above += *tail;
            *tail = above;
        }
        tails
    }
}

/// Approximate number of values of S with a stored probability, if Σ ±d has this variance:
/// exp(−x²/2) falls below [`SMALLEST_SHARE`] at 37.2 standard deviations, and the standard
/// deviation of S is half of that of Σ ±d.
fn support(variance_of_signs: f64) -> f64 {
    1.0 + 2.0 * 37.2 * 0.5 * variance_of_signs.sqrt()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The distribution of S, computed by adding one difference at a time.
    fn one_at_a_time(differences: &[i64]) -> f64 {
        let largest: u64 = differences.iter().map(|d| d.unsigned_abs()).sum();
        let observed = differences.iter().sum::<i64>().unsigned_abs();
        if observed == 0 {
            return 1.0;
        }
        let mut probability = vec![0.0; largest as usize + 1];
        probability[0] = 1.0;
        for step in differences.iter().map(|d| d.unsigned_abs() as usize) {
            for sum in (0..probability.len()).rev() {
                let shifted = sum.checked_sub(step).map_or(0.0, |from| probability[from]);
                probability[sum] = 0.5 * (probability[sum] + shifted);
            }
        }
        let first = (largest + observed) / 2;
        let tail: f64 = probability[first as usize..].iter().rev().sum();
        (2.0 * tail).min(1.0)
    }

    #[test]
    fn many_differences_of_a_normal_size() {
        // 30,000 signs whose sum is 3 standard deviations: 2 (1 − Φ(3)), with the continuity
        // correction.
        let num = 30_000_i64;
        let sum = 520_i64;
        let differences: Vec<f64> = (0..num)
            .map(|at| if at < (num + sum) / 2 { 1.0 } else { -1.0 })
            .collect();
        let p = whole_units(&differences).unwrap().tail();
        let z = (sum as f64 - 1.0) / (num as f64).sqrt();
        let normal = 2.0 * crate::distribution::normal_cdf(-z);
        assert!((p / normal - 1.0).abs() < 1e-3, "{p} {normal}");
        // All equal: far below the smallest number, but not 0.
        let p = whole_units(&vec![1.0; 30_000]).unwrap().tail();
        assert_eq!(p, f64::MIN_POSITIVE);
    }

    #[test]
    fn numbers_too_large_to_count_are_left_to_sampling() {
        for largest in [1e8, 5e9, 1e19, 1e300] {
            let mut differences = vec![1.0; 30];
            differences.extend([largest; 3]);
            assert!(whole_units(&differences).is_none(), "{largest}");
        }
    }

    proptest! {
        #[test]
        fn convolution_equals_enumeration(units in proptest::collection::vec(-4_i64..=4, 1..12)) {
            let differences: Vec<f64> = units.iter().map(|&unit| unit as f64).collect();
            let threshold = differences.iter().sum::<f64>().abs() - 1e-9;
            let exact = enumerate(&differences, threshold);
            let counted = whole_units(&differences).unwrap();
            prop_assert!((counted.tail() - exact).abs() < 1e-14);
        }

        #[test]
        fn grouping_by_size_equals_one_cluster_at_a_time(
            units in proptest::collection::vec(-5_i64..=5, 1..300),
        ) {
            let differences: Vec<f64> = units.iter().map(|&unit| unit as f64).collect();
            let exact = one_at_a_time(&units);
            let tail = whole_units(&differences).unwrap().tail();
            prop_assert!((tail - exact).abs() <= 1e-11 * exact, "{tail} {exact}");
        }
    }
}
