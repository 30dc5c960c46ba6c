use proptest::prelude::*;

use super::*;
use crate::clustered_standard_error;
use crate::distribution::normal_quantile;

fn difference(values: &[f64], labels: &[usize]) -> ClusteredDifference {
    ClusteredDifference::new(values, &Clusters::new(labels).unwrap()).unwrap()
}

/// `n` samples, each on its own image, the first `b` of which are + 1 and the next `c` − 1.
fn singles(n: usize, b: usize, c: usize) -> ClusteredDifference {
    let values: Vec<f64> = (0..n)
        .map(|i| f64::from(u8::from(i < b)) - f64::from(u8::from((b..b + c).contains(&i))))
        .collect();
    difference(&values, &(0..n).collect::<Vec<_>>())
}

/// The formulas of the module's documentation in naive form, with each sum computed separately.
mod naive {
    #[derive(Clone, Copy)]
    pub(super) struct Naive {
        pub(super) d: f64,
        pub(super) a: f64,
        pub(super) u: f64,
        pub(super) b: f64,
    }

    pub(super) fn figures(values: &[f64], labels: &[usize]) -> Naive {
        let n = values.len() as f64;
        let d = values.iter().sum::<f64>() / n;
        let a = values.iter().map(|v| v.abs()).sum::<f64>() / n;
        let mut names = labels.to_vec();
        names.sort_unstable();
        names.dedup();
        let of = |name: usize| labels.iter().zip(values).filter(move |(l, _)| **l == name);
        let size = |name: usize| of(name).count() as f64;
        let sum = |name: usize| of(name).map(|(_, v)| v - d).sum::<f64>();
        let total = |f: &dyn Fn(usize) -> f64| names.iter().map(|&name| f(name)).sum::<f64>();
        let w = total(&|name| size(name).powi(2)) / n;
        let together = total(&|name| size(name).powi(2) / (1.0 - size(name) / n)) / n;
        let v = total(&|name| sum(name).powi(2) / (1.0 - size(name) / n));
        let k = v * v / (total(&|name| sum(name).powi(4)) + 1e-8);
        let share = |m: f64| if m >= w { 1.0 } else { (m - 1.0) / (w - 1.0) };
        let e2 = total(&|name| sum(name).powi(2));
        let r = if e2 > 0.0 {
            total(&|name| sum(name).powi(2) * share(size(name))) / e2
        } else {
            0.0
        };
        let squares: f64 = values.iter().map(|v| (v - d).powi(2)).sum();
        let f = if squares > 0.0 {
            (v / squares).max(1.0)
        } else {
            1.0
        };
        let g = if squares > 0.0 {
            (squares / (n * (a - d * d))).min(1.0)
        } else {
            0.0
        };
        let (to_w, to_one) = ((-k * r / 2.0).exp(), (-k / 8.0).exp());
        let f = (1.0 - to_w) * f + to_w * f.max(together);
        let g = (1.0 - to_one) * g + to_one;
        let b = if e2 > 0.0 {
            total(&|name| sum(name).abs().powi(3)) / e2 / n
        } else {
            0.0
        };
        let u = f * g / n;
        Naive { d, a, u, b }
    }

    impl Naive {
        /// |z(δ)| by the root formula, either sign of δ.
        pub(super) fn z(&self, delta: f64) -> f64 {
            let (d, delta) = if delta < 0.0 {
                (-self.d, -delta)
            } else {
                (self.d, delta)
            };
            let (b, c) = (
                -self.a + delta * (2.0 - d),
                -(self.a - d) / 2.0 * delta * (1.0 - delta),
            );
            let q = ((b * b - 8.0 * c).max(0.0).sqrt() - b) / 4.0;
            let variance = self.u * (2.0 * q + delta * (1.0 - delta));
            let off = self.u / 4.0 + (self.b - self.u).max(0.0);
            ((d - delta).abs() - off).max(0.0) / variance.sqrt()
        }
    }
}

#[test]
fn no_disagreement_bounds_the_difference_by_the_number_of_images() {
    // By binomial theory, 0 of 399 excludes 0.92 points at 97.5 % on either side.
    let interval = singles(399, 0, 0).interval(0.95).unwrap();
    assert_eq!(interval.low, -interval.high);
    assert!((0.0092..0.0115).contains(&interval.high), "{interval:?}");
    // 0 of 12: 26 points.
    let few = singles(12, 0, 0).interval(0.95).unwrap();
    assert!((0.26..0.40).contains(&few.high), "{few:?}");
    // Six questions per image may be fully correlated.
    let labels: Vec<usize> = (0..399 * 6).map(|i| i / 6).collect();
    let clustered = difference(&[0.0; 399 * 6], &labels).interval(0.95).unwrap();
    assert!(
        (clustered.high - interval.high).abs() < 1e-12,
        "{clustered:?}"
    );
}

#[test]
fn tango_by_hand() {
    // 0/1 scores, each on its own image: w = n / (n − 1), nearly Tango's own statistic.
    let ours = singles(1000, 30, 10);
    assert!((ours.step - 1.0 / 999.0).abs() < 1e-6, "{ours:?}");
    // δ = 0: q = a / 2, so the variance is u · a, McNemar's; a quarter is subtracted.
    let z = ours.statistic(0.0);
    let expected = (0.02 - ours.step / 4.0) / (ours.step * 0.04).sqrt();
    assert!((z - expected).abs() < 1e-12, "{z} {expected}");
    // δ = 0.02, the observed difference: within a quarter, so the distance is zero.
    assert_eq!(ours.statistic(0.02), 0.0);
}

#[test]
fn where_many_disagree_it_is_the_ordinary_interval() {
    let values: Vec<f64> = (0..3000)
        .map(|i| match i * 7 % 10 {
            0 | 3 => 1.0,
            1 => -1.0,
            _ => 0.0,
        })
        .collect();
    let clusters = Clusters::singletons(3000).unwrap();
    let interval = ClusteredDifference::new(&values, &clusters)
        .unwrap()
        .interval(0.95)
        .unwrap();
    let error = clustered_standard_error(&values, &clusters).unwrap();
    for (end, expected) in [
        (interval.low, 0.1 - 1.9608 * error),
        (interval.high, 0.1 + 1.9608 * error),
    ] {
        assert!((end - expected).abs() < 0.02 * error, "{end} {expected}");
    }
}

#[test]
fn more_agreement_and_less_confidence_narrow_it() {
    let width = |n, b, confidence| {
        let interval = singles(n, b, 0).interval(confidence).unwrap();
        interval.high - interval.low
    };
    for n in [12, 30, 100, 400, 2000] {
        assert!(width(2 * n, 0, 0.95) < width(n, 0, 0.95));
        assert!(width(n, 0, 0.9) < width(n, 0, 0.95));
        assert!(width(n, 0, 0.95) < width(n, 1, 0.95));
    }
}

#[test]
fn means_have_wilsons_interval() {
    let clusters = Clusters::singletons(4000).unwrap();
    let values: Vec<f64> = (0..4000).map(|i| f64::from(u8::from(i % 5 > 0))).collect();
    let ours = clustered_score_interval(&values, &clusters, 0.95).unwrap();
    // Wilson 1927, the score interval of a proportion.
    let (n, p, z) = (4000.0, 0.8, normal_quantile(0.975));
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let spread = (p * (1.0_f64 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let half_width = z / (1.0 + z * z / n) * spread;
    assert!((ours.low - (centre - half_width)).abs() < 3e-4, "{ours:?}");
    assert!((ours.high - (centre + half_width)).abs() < 3e-4, "{ours:?}");
    let flipped: Vec<f64> = values.iter().map(|value| 1.0 - value).collect();
    let flipped = clustered_score_interval(&flipped, &clusters, 0.95).unwrap();
    assert!((flipped.low + ours.high - 1.0).abs() < 1e-12);
    // None and all: one end is exact, the other is not.
    for value in [0.0, 1.0] {
        let ends = clustered_score_interval(&[value; 4000], &clusters, 0.95).unwrap();
        assert!(
            ends.contains(value) && ends.high - ends.low > 9e-4,
            "{ends:?}"
        );
    }
}

#[test]
fn what_is_no_score_is_an_error() {
    let clusters = Clusters::new(&[0, 1]).unwrap();
    assert!(ClusteredDifference::new(&[1.5, 0.0], &clusters).is_err());
    assert!(ClusteredDifference::new(&[f64::NAN, 0.0], &clusters).is_err());
    assert!(ClusteredDifference::new(&[1.0], &clusters).is_err());
    assert!(clustered_score_interval(&[-0.5, 0.0], &clusters, 0.95).is_err());
    let one = Clusters::new(&[0, 0]).unwrap();
    assert!(ClusteredDifference::new(&[1.0, 0.0], &one).is_err());
    let plain = difference(&[1.0, 0.0], &[0, 1]);
    assert!(plain.interval(1.0).is_err());
}

/// Scores of two answers, 0/1 or fractional, with the image of each.
fn samples() -> impl Strategy<Value = Vec<(f64, usize)>> {
    let value = prop_oneof![
        6 => Just(0.0),
        1 => Just(1.0),
        1 => Just(-1.0),
        1 => (-10_i32..=10).prop_map(|tenths| f64::from(tenths) / 10.0),
    ];
    proptest::collection::vec((value, 0_usize..25), 3..120)
}

proptest! {
    #[test]
    fn agrees_with_the_naive_formulas(samples in samples()) {
        let (values, labels): (Vec<f64>, Vec<usize>) = samples.into_iter().unzip();
        prop_assume!(Clusters::new(&labels).unwrap().len() > 1);
        let (ours, naive) = (difference(&values, &labels), naive::figures(&values, &labels));
        prop_assert!((ours.difference - naive.d).abs() < 1e-12);
        prop_assert!((ours.step - naive.u).abs() < 1e-9 * naive.u, "{} {}", ours.step, naive.u);
        let quantile = student_t_quantile(0.975, ours.degrees_of_freedom).unwrap();
        let two_sided = naive::Naive { b: 0.0, ..naive };
        for (interval, naive) in [
            (ours.interval(0.95).unwrap(), two_sided),
            (ours.bounds(0.025).unwrap(), naive),
        ] {
            for (end, inwards) in [(interval.low, 1e-6), (interval.high, -1e-6)] {
                prop_assert!(naive.z(end + inwards) < quantile + 1e-6);
                prop_assert!(end.abs() > 1.0 - 1e-6 || naive.z(end - inwards) > quantile - 1e-6);
            }
        }
    }

    #[test]
    fn is_well_behaved(samples in samples(), shift in 1_usize..50) {
        let (values, labels): (Vec<f64>, Vec<usize>) = samples.into_iter().unzip();
        prop_assume!(Clusters::new(&labels).unwrap().len() > 1);
        let ours = difference(&values, &labels);
        let interval = ours.interval(0.95).unwrap();
        prop_assert!(-1.0 <= interval.low && interval.high <= 1.0);
        prop_assert!(interval.low < interval.high && interval.contains(ours.difference));
        // Exchanging a and b mirrors the result, bit for bit.
        let negative: Vec<f64> = values.iter().map(|value| -value).collect();
        let mirrored = difference(&negative, &labels).interval(0.95).unwrap();
        prop_assert_eq!((mirrored.low, mirrored.high), (-interval.high, -interval.low));
        // Neither labels nor order matter.
        let turn = shift % values.len();
        let turned: Vec<f64> = values[turn..].iter().chain(&values[..turn]).copied().collect();
        let names: Vec<usize> = labels[turn..].iter().chain(&labels[..turn]).map(|l| 99 - l).collect();
        let again = difference(&turned, &names).interval(0.95).unwrap();
        prop_assert!((again.low - interval.low).abs() < 1e-9);
        prop_assert!((again.high - interval.high).abs() < 1e-9);
        // z(δ) decreases in δ.
        let mut last = f64::INFINITY;
        for step in -20..=20 {
            let z = ours.statistic(f64::from(step) / 20.0);
            prop_assert!(z <= last + 1e-9, "{} after {}", z, last);
            last = z;
        }
    }

    #[test]
    fn a_disagreement_that_fades_is_none(samples in 12_usize..200) {
        let labels: Vec<usize> = (0..samples).collect();
        let mut values = vec![0.0; samples];
        let none = difference(&values, &labels).interval(0.95).unwrap();
        values[0] = 1e-6;
        let faint = difference(&values, &labels).interval(0.95).unwrap();
        prop_assert!((faint.high - none.high).abs() < 1e-4 * none.high);
    }
}
