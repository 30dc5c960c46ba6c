//! The distribution of a sum under all sign patterns, exactly.

/// Additions up to which the exact distribution is worth its time: some 20 ms.
const MAX_CONVOLUTION_WORK: f64 = 3e7;

/// Units of which sums of 0/1 scores, thirds and tenths are whole multiples.
const UNITS_PER_POINT: [f64; 4] = [1.0, 3.0, 10.0, 30.0];

/// Share of all sign patterns whose total is at least `threshold` in absolute value.
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
            // Flipping every sign changes nothing, so the first stays.
            count(rest, *first, threshold) as f64 / (1_u64 << rest.len()) as f64
        }
        _ => 1.0,
    }
}

/// The differences as whole numbers of a common unit, if they are that and few enough.
pub(super) fn whole_units(differences: &[f64]) -> Option<Vec<i64>> {
    UNITS_PER_POINT.iter().find_map(|units_per_point| {
        let mut work = 0.0;
        let units: Option<Vec<i64>> = differences
            .iter()
            .map(|difference| {
                let exact = difference * units_per_point;
                let rounded = exact.round();
                let is_whole = (exact - rounded).abs() <= 1e-9 * exact.abs().max(1.0);
                work += rounded.abs();
                is_whole.then_some(rounded as i64)
            })
            .collect();
        units.filter(|_| work * differences.len() as f64 <= MAX_CONVOLUTION_WORK)
    })
}

/// P(|Σ ±d| ≥ |Σ d|), exactly: Σ ±d = 2S − Σ|d| with S the sum of those |d| whose
/// sign came out positive, and the distribution of S grows one cluster at a time.
pub(super) fn convolve(differences: &[i64]) -> f64 {
    let largest: u64 = differences.iter().map(|d| d.unsigned_abs()).sum();
    let observed = differences.iter().sum::<i64>().unsigned_abs();
    if observed == 0 {
        return 1.0;
    }
    let mut probability = vec![0.0; largest as usize + 1];
    probability[0] = 1.0;
    let mut reach = 0;
    for step in differences.iter().map(|d| d.unsigned_abs() as usize) {
        reach += step;
        for sum in (0..=reach).rev() {
            let shifted = if sum >= step {
                probability[sum - step]
            } else {
                0.0
            };
            probability[sum] = 0.5 * (probability[sum] + shifted);
        }
    }
    let first = (largest + observed) / 2;
    // From the tail inwards, so that small terms are not lost.
    let tail: f64 = probability[first as usize..].iter().rev().sum();
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn convolution_equals_enumeration(units in proptest::collection::vec(-4_i64..=4, 1..12)) {
            let differences: Vec<f64> = units.iter().map(|&unit| unit as f64).collect();
            let threshold = differences.iter().sum::<f64>().abs() - 1e-9;
            let exact = enumerate(&differences, threshold);
            prop_assert!((convolve(&units) - exact).abs() < 1e-14);
        }
    }
}
