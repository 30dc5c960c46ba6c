//! Cells over several datasets: the mean share of the unpruned accuracy that each retains, as
//! papers on pruning print it.

use serde::Serialize;

use super::cells::CellSummary;
use super::strata::BY_DATASET;

/// A cell relative to no pruning, by dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelativeAccuracy {
    /// The cell's id.
    pub cell: String,
    /// Accuracy divided by the unpruned one's, per dataset in the run's order; `None` where either
    /// is missing or the unpruned one is 0.
    pub by_dataset: Vec<Option<f64>>,
    /// Their mean; `None` where one of them is missing.
    pub mean: Option<f64>,
}

/// All cells relative to `vanilla`; empty for a single dataset or without vanilla.
pub(crate) fn relative_accuracies(
    cells: &[CellSummary],
    vanilla: Option<usize>,
) -> Vec<RelativeAccuracy> {
    let Some(vanilla) = vanilla.and_then(|vanilla| cells.get(vanilla)) else {
        return Vec::new();
    };
    let unpruned = means(vanilla);
    if unpruned.len() < 2 {
        return Vec::new();
    }
    let relative = |cell: &CellSummary| {
        let by_dataset: Vec<Option<f64>> = means(cell)
            .into_iter()
            .zip(&unpruned)
            .map(|(accuracy, unpruned)| ratio(accuracy, *unpruned))
            .collect();
        let known: Option<Vec<f64>> = by_dataset.iter().copied().collect();
        RelativeAccuracy {
            cell: cell.id.clone(),
            mean: known.map(|known| known.iter().sum::<f64>() / known.len() as f64),
            by_dataset,
        }
    };
    cells.iter().map(relative).collect()
}

fn means(cell: &CellSummary) -> Vec<Option<f64>> {
    let strata = cell.strata.iter();
    let of_datasets = strata.filter(|stratum| stratum.by == BY_DATASET);
    of_datasets.map(|stratum| stratum.accuracy.mean).collect()
}

fn ratio(accuracy: Option<f64>, unpruned: Option<f64>) -> Option<f64> {
    let unpruned = unpruned.filter(|unpruned| *unpruned > 0.0)?;
    Some(accuracy? / unpruned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unpruned_zero_has_no_ratio() {
        assert_eq!(ratio(Some(0.6), Some(0.8)), Some(0.6 / 0.8));
        assert_eq!(ratio(Some(0.6), Some(0.0)), None);
        assert_eq!(ratio(None, Some(0.8)), None);
        assert!(relative_accuracies(&[], Some(0)).is_empty());
        assert!(relative_accuracies(&[], None).is_empty());
    }
}
