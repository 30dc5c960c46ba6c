//! Variation of a strategy's loss between groups of samples.

use fp_stats::{ClusterTotals, NoInterval, StatsError, compare_statistic, holm};

use super::compare::PairedTester;
use super::scores::Column;
use super::strata::Strata;
use crate::error::ReportError;

/// One strategy's spread against another's; scores from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Steadiness {
    /// The other strategy.
    pub(crate) other: String,
    /// Largest minus smallest mean over groups.
    pub(crate) spread: f64,
    /// The other strategy's spread.
    pub(crate) other_spread: f64,
    /// Below 0 where the strategy has the smaller spread.
    pub(crate) difference: f64,
    /// Cluster bootstrap interval of the difference, or why there is none.
    pub(crate) interval: Result<[f64; 2], NoInterval>,
    /// p after Holm's correction over the other strategies.
    pub(crate) p_holm: f64,
}

/// Reason for the lack of a result.
pub(crate) const NOT_TESTED: &str =
    "too few images: some group of text lengths has no image in most bootstrap draws";

/// Compares the range of a strategy's means over groups, minus those of no pruning where available,
/// with the other strategies' ranges. Each group is a pair of totals: sum and number.
pub(crate) fn against(
    tester: &PairedTester,
    column: &Column,
    others: &[(&str, &Column)],
    vanilla: Option<&Column>,
    groups: &Strata,
) -> Result<Vec<Steadiness>, ReportError> {
    let num_clusters = tester.clusters().iter().max().map_or(0, |last| last + 1);
    if num_clusters < 2 {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (name, other) in others {
        let mut totals = [
            ClusterTotals::zeros(num_clusters, 2 * groups.groups.len())?,
            ClusterTotals::zeros(num_clusters, 2 * groups.groups.len())?,
        ];
        for (index, group) in groups.groups.iter().enumerate() {
            for &sample in &group.samples {
                let unpruned = match vanilla {
                    Some(vanilla) => vanilla[sample],
                    None => Some(0.0),
                };
                let values = (column[sample], other[sample], unpruned);
                let (Some(a), Some(b), Some(unpruned)) = values else {
                    continue;
                };
                for (totals, value) in totals.iter_mut().zip([a, b]) {
                    let row = totals.row_mut(tester.clusters()[sample]);
                    row[2 * index] += value - unpruned;
                    row[2 * index + 1] += 1.0;
                }
            }
        }
        let [of_column, of_other] = totals;
        let result = compare_statistic(&of_column, &of_other, tester.options(), range_of_means);
        // With few images, a group is empty in too many draws for an interval.
        let result = match result {
            Err(StatsError::UndefinedStatistic | StatsError::UndefinedDraws { .. }) => continue,
            result => result?,
        };
        found.push(Steadiness {
            other: (*name).to_owned(),
            spread: result.value_a,
            other_spread: result.value_b,
            difference: result.difference,
            interval: match (result.interval, result.no_interval) {
                (Some(interval), _) => Ok([interval.low, interval.high]),
                (None, reason) => Err(reason.unwrap_or(NoInterval::AllDrawsAlike)),
            },
            p_holm: result.p,
        });
    }
    let p: Vec<f64> = found.iter().map(|steadiness| steadiness.p_holm).collect();
    for (steadiness, adjusted) in found.iter_mut().zip(holm(&p)?) {
        steadiness.p_holm = adjusted;
    }
    Ok(found)
}

/// Largest minus smallest mean of groups given as sum and number; `None` while a group is empty.
fn range_of_means(totals: &[f64]) -> Option<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for group in totals.chunks_exact(2) {
        if group[1] == 0.0 {
            return None;
        }
        let mean = group[0] / group[1];
        (low, high) = (low.min(mean), high.max(mean));
    }
    Some(high - low)
}

#[cfg(test)]
mod tests {
    use super::range_of_means;

    #[test]
    fn ranges_by_hand() {
        assert_eq!(range_of_means(&[1.0, 2.0, 3.0, 4.0, 0.0, 1.0]), Some(0.75));
        assert_eq!(range_of_means(&[1.0, 2.0, 0.0, 0.0]), None);
    }
}
