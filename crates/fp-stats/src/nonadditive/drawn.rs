//! Several figures of many sets of answers: images are drawn once for all of them.
//!
//! [`super::compare_statistic`] draws images again for each pair. If a hundred cells are compared
//! with the same few, each set's figures in every draw are needed repeatedly. Here each set is
//! evaluated once per draw, for all comparisons, and all of its figures share the sums. The
//! results equal those of `compare_statistic` bit for bit.

use super::{ClusterTotals, StatisticComparison, add_scaled, compare_statistic, interval_kind};
use crate::bootstrap::{Bootstrap, IntervalMethod, check_options, summarise};
use crate::comparison::CompareOptions;
use crate::error::{StatsError, check_finite, check_len};
use crate::permutation::label_swap_tests;
use crate::random::{Random, Stream};

/// Number of draws that are summed together.
const BLOCK: usize = 128;

/// Gets the totals over images, `[width]`, and writes the figures, `[count]`, which are initially
/// `None` and stay so if undefined.
type Fill<'a> = dyn Fn(&[f64], &mut [Option<f64>]) + Sync + 'a;

/// Figures that are functions of totals.
#[derive(Clone, Copy)]
pub struct Statistics<'a> {
    count: usize,
    fill: &'a Fill<'a>,
}

impl<'a> Statistics<'a> {
    /// `count` figures; `fill` gets the totals over images, `[width]`, and writes the defined
    /// figures, `[count]`, all of which are initially `None`.
    pub fn new(count: usize, fill: &'a Fill<'a>) -> Statistics<'a> {
        Statistics { count, fill }
    }

    /// Computes every figure; `None` if it is undefined or infinite.
    fn defined(&self, totals: &[f64], found: &mut [Option<f64>]) {
        found.fill(None);
        (self.fill)(totals, found);
        for value in found {
            *value = value.filter(|value| value.is_finite());
        }
    }
}

/// One set of totals, with its figures on the data and in every draw.
#[derive(Debug, Clone)]
pub struct DrawnTotals<'a> {
    totals: &'a ClusterTotals,
    sums: Vec<f64>,
    /// `[figures]`.
    observed: Vec<Option<f64>>,
    /// `[figures, draws]`; NaN if a figure is undefined.
    draws: Vec<f64>,
}

/// Draws images once and computes the figures of every set in every draw. All sets must have the
/// same images in the same order.
///
/// # Errors
/// Totals of different shapes, NaN, fewer than two clusters, too few draws.
pub fn draw_statistics<'a>(
    sets: &[&'a ClusterTotals],
    options: &CompareOptions,
    statistics: &Statistics<'_>,
) -> Result<Vec<DrawnTotals<'a>>, StatsError> {
    let Some(first) = sets.first() else {
        return Ok(Vec::new());
    };
    for set in sets {
        check_len("totals of a set", set.values.len(), first.values.len())?;
        check_len("width of a set", set.width, first.width)?;
        check_finite("totals of a set", &set.values)?;
    }
    let (num_clusters, width) = (first.num_clusters(), first.width);
    check_options(num_clusters, &options.bootstrap())?;
    let num_draws = options.num_draws;
    let mut found = vec![None; statistics.count];
    let mut drawn: Vec<DrawnTotals<'_>> = Vec::with_capacity(sets.len());
    for &totals in sets {
        let mut sums = vec![0.0; width];
        let rows = totals.values.chunks_exact(width);
        rows.for_each(|row| add_scaled(&mut sums, row, 1.0));
        statistics.defined(&sums, &mut found);
        drawn.push(DrawnTotals {
            totals,
            sums,
            observed: found.clone(),
            draws: vec![f64::NAN; statistics.count * num_draws],
        });
    }
    let entries: Vec<Vec<Entry>> = sets.iter().map(|set| entries(set)).collect();
    let mut random = Random::new(options.seed, Stream::Bootstrap);
    // Number of times that each image was drawn, `[clusters, BLOCK]`.
    let mut counts = vec![0.0_f64; num_clusters * BLOCK];
    let mut sums = vec![0.0_f64; width * BLOCK];
    let mut totals = vec![0.0_f64; width];
    for start in (0..num_draws).step_by(BLOCK) {
        let len = BLOCK.min(num_draws - start);
        counts.fill(0.0);
        for draw in 0..len {
            for _ in 0..num_clusters {
                counts[random.below(num_clusters as u32) * BLOCK + draw] += 1.0;
            }
        }
        for (set, entries) in drawn.iter_mut().zip(&entries) {
            sums.fill(0.0);
            for entry in entries {
                let counts = &counts[entry.cluster * BLOCK..][..BLOCK];
                add_scaled(
                    &mut sums[entry.column * BLOCK..][..BLOCK],
                    counts,
                    entry.value,
                );
            }
            for draw in 0..len {
                for (column, total) in totals.iter_mut().enumerate() {
                    *total = sums[column * BLOCK + draw];
                }
                statistics.defined(&totals, &mut found);
                for (figure, value) in found.iter().enumerate() {
                    set.draws[figure * num_draws + start + draw] = value.unwrap_or(f64::NAN);
                }
            }
        }
    }
    Ok(drawn)
}

/// A nonzero total of a cluster: most are zero, since an image belongs to one task.
struct Entry {
    cluster: usize,
    column: usize,
    value: f64,
}

fn entries(totals: &ClusterTotals) -> Vec<Entry> {
    let rows = totals.values.chunks_exact(totals.width).enumerate();
    rows.flat_map(|(cluster, row)| {
        let columns = row.iter().enumerate().filter(|(_, value)| **value != 0.0);
        columns.map(move |(column, &value)| Entry {
            cluster,
            column,
            value,
        })
    })
    .collect()
}

impl DrawnTotals<'_> {
    /// Compares every figure with that of `other`, as [`compare_statistic`] does, in the order of
    /// `statistics`. Both must have been drawn with these options and statistics.
    ///
    /// # Errors
    /// Sets of different shapes, or no permutations. For a figure that is undefined on the data
    /// or in more than half of the draws, its own result is an error.
    pub fn compare(
        &self,
        other: &DrawnTotals<'_>,
        options: &CompareOptions,
        statistics: &Statistics<'_>,
    ) -> Result<Vec<Result<StatisticComparison, StatsError>>, StatsError> {
        let (a, b) = (self.totals, other.totals);
        check_len("totals of b", b.values.len(), a.values.len())?;
        check_len("width of b", b.width, a.width)?;
        check_len("draws of b", other.draws.len(), self.draws.len())?;
        let expected = statistics.count * options.num_draws;
        check_len("draws", self.draws.len(), expected)?;
        if options.interval_method == IntervalMethod::Bca {
            // Needs the figures without each image, which are not stored.
            let figures = 0..statistics.count;
            return Ok(figures
                .map(|figure| compare_statistic(a, b, options, |t| one(statistics, figure, t)))
                .collect());
        }
        let changes: Vec<Vec<(usize, f64)>> = (0..a.num_clusters())
            .map(|cluster| changes(a.row(cluster), b.row(cluster)))
            .filter(|changes| !changes.is_empty())
            .collect();
        let (mut totals_a, mut totals_b) = (self.sums.clone(), other.sums.clone());
        let mut of_b = vec![None; statistics.count];
        let swap = |swapped: &[bool], found: &mut [Option<f64>]| {
            totals_a.copy_from_slice(&self.sums);
            totals_b.copy_from_slice(&other.sums);
            for (changes, _) in changes.iter().zip(swapped).filter(|(_, swap)| **swap) {
                for &(column, change) in changes {
                    totals_a[column] += change;
                    totals_b[column] -= change;
                }
            }
            (statistics.fill)(&totals_a, found);
            of_b.fill(None);
            (statistics.fill)(&totals_b, &mut of_b);
            for (of_a, of_b) in found.iter_mut().zip(&of_b) {
                *of_a = of_a.zip(*of_b).map(|(of_a, of_b)| of_a - of_b);
            }
        };
        let options_p = options.permutation();
        let tests = label_swap_tests(changes.len(), &options_p, statistics.count, swap)?;
        let compared = tests.into_iter().enumerate().map(|(figure, test)| {
            let undefined = StatsError::UndefinedStatistic;
            let value_a = self.observed[figure].ok_or(undefined.clone())?;
            let value_b = other.observed[figure].ok_or(undefined)?;
            let of = |drawn: &DrawnTotals<'_>| {
                let start = figure * options.num_draws;
                drawn.draws[start..][..options.num_draws].to_vec()
            };
            let mut draws: Vec<f64> = of(self);
            for (draw, of_b) in draws.iter_mut().zip(of(other)) {
                *draw -= of_b;
            }
            draws.retain(|draw| draw.is_finite());
            let num_undefined = options.num_draws - draws.len();
            let Bootstrap {
                observed,
                interval,
                standard_error,
                num_undefined,
            } = summarise(
                value_a - value_b,
                draws,
                num_undefined,
                [],
                &options.bootstrap(),
            )?;
            let test = test?;
            Ok(StatisticComparison {
                num_clusters: a.num_clusters(),
                num_disagreeing: changes.len(),
                value_a,
                value_b,
                difference: observed,
                standard_error,
                interval: None,
                interval_method: interval_kind(options),
                no_interval: None,
                num_undefined_draws: num_undefined,
                p: test.p,
                method: test.method,
            }
            .with_interval(interval))
        });
        Ok(compared.collect())
    }
}

fn one(statistics: &Statistics<'_>, figure: usize, totals: &[f64]) -> Option<f64> {
    let mut found = vec![None; statistics.count];
    (statistics.fill)(totals, &mut found);
    found[figure]
}

/// The columns in which b's row differs from a's, with the changes.
fn changes(a: &[f64], b: &[f64]) -> Vec<(usize, f64)> {
    let columns = a.iter().zip(b).enumerate();
    columns
        .filter(|(_, (of_a, of_b))| of_a != of_b)
        .map(|(column, (of_a, of_b))| (column, of_b - of_a))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two fractions, the second over a column that is zero in some draws.
    fn shares(totals: &[f64], found: &mut [Option<f64>]) {
        for (place, found) in found.iter_mut().enumerate() {
            let (part, whole) = (totals[2 * place], totals[2 * place + 1]);
            *found = (whole > 0.0).then(|| 100.0 * part / whole);
        }
    }

    const SHARES: Statistics<'static> = Statistics {
        count: 2,
        fill: &shares,
    };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn shared_draws_are_those_of_each_pair(
            rows in proptest::collection::vec(
                (0_u8..3, 0_u8..3, 0_u8..2, 0_u8..3, 0_u8..3), 2..60),
            seed: u64,
            is_bca: bool,
        ) {
            let mut sets = vec![ClusterTotals::zeros(rows.len(), 4).unwrap(); 3];
            for (cluster, &(a, b, rare, c, d)) in rows.iter().enumerate() {
                // All images count in the first fraction, few in the second.
                for (set, right) in sets.iter_mut().zip([a, b, c]) {
                    let row = [f64::from(right.min(d)), f64::from(d), f64::from(right % 2 * rare),
                        f64::from(rare)];
                    set.row_mut(cluster).copy_from_slice(&row);
                }
            }
            let interval_method = if is_bca {
                IntervalMethod::Bca
            } else {
                IntervalMethod::Percentile
            };
            let options = CompareOptions {
                num_draws: 1_000, num_permutations: 300, seed, interval_method,
                ..CompareOptions::default()
            };
            let refs: Vec<&ClusterTotals> = sets.iter().collect();
            let drawn = draw_statistics(&refs, &options, &SHARES).unwrap();
            for (a, b) in [(0, 1), (1, 2), (2, 0), (1, 1)] {
                let shared = drawn[a].compare(&drawn[b], &options, &SHARES).unwrap();
                for (figure, shared) in shared.into_iter().enumerate() {
                    let alone = compare_statistic(&sets[a], &sets[b], &options, |totals| {
                        one(&SHARES, figure, totals)
                    });
                    prop_assert_eq!(shared, alone);
                }
            }
        }
    }

    #[test]
    fn shapes_have_to_agree() {
        let options = CompareOptions::default();
        let a = ClusterTotals::zeros(3, 4).unwrap();
        let b = ClusterTotals::zeros(2, 4).unwrap();
        assert!(draw_statistics(&[&a, &b], &options, &SHARES).is_err());
        assert!(draw_statistics(&[], &options, &SHARES).unwrap().is_empty());
        let of_a = draw_statistics(&[&a], &options, &SHARES).unwrap();
        let of_b = draw_statistics(&[&b], &options, &SHARES).unwrap();
        assert!(of_a[0].compare(&of_b[0], &options, &SHARES).is_err());
        // Nothing is counted: both fractions are undefined, each with its own error.
        let same = of_a[0].compare(&of_a[0], &options, &SHARES).unwrap();
        assert_eq!(same, vec![Err(StatsError::UndefinedStatistic); 2]);
    }
}
