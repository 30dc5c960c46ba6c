//! Scores as columns: one optional value per sample.

use std::collections::HashMap;
use std::sync::Arc;

use crate::run::Run;

pub(crate) use crate::columns::Column;

/// Scores of all cells, and the images of the samples.
#[derive(Debug, Clone)]
pub(crate) struct Scores {
    /// `[cells]`.
    pub(crate) cells: Vec<Column>,
    /// `[samples]`, number of each sample's image.
    pub(crate) clusters: Arc<[usize]>,
    /// Number of images.
    pub(crate) num_images: usize,
}

impl Scores {
    pub(crate) fn new(run: &Run) -> Scores {
        let mut images: HashMap<(usize, &str), usize> = HashMap::new();
        let clusters = run
            .records
            .iter()
            .map(|record| {
                let next = images.len();
                *images
                    .entry((record.dataset, record.image_id.as_str()))
                    .or_insert(next)
            })
            .collect();
        Scores {
            cells: run.columns.scores.clone(),
            clusters,
            num_images: images.len(),
        }
    }

    /// The mean of some cells on each sample that all of them have; all `None` for no cell.
    pub(crate) fn mean_of(&self, cells: &[usize]) -> Column {
        if cells.is_empty() {
            return self.clusters.iter().map(|_| None).collect();
        }
        mean_columns(
            &cells
                .iter()
                .map(|&cell| &self.cells[cell])
                .collect::<Vec<_>>(),
        )
    }
}

/// The mean of some columns on each sample that all of them have; empty for no column.
pub(crate) fn mean_columns(columns: &[&Column]) -> Column {
    let Some(first) = columns.first() else {
        return Arc::from([]);
    };
    (0..first.len())
        .map(|sample| {
            let values: Option<Vec<f64>> = columns.iter().map(|column| column[sample]).collect();
            values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
        })
        .collect()
}

/// The values of those samples that have one, and their images.
pub(crate) fn present(
    column: &Column,
    clusters: &[usize],
    samples: impl IntoIterator<Item = usize>,
) -> (Vec<f64>, Vec<usize>) {
    samples
        .into_iter()
        .filter_map(|sample| Some((column[sample]?, clusters[sample])))
        .unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_need_every_column() {
        let a: Column = Arc::from([Some(1.0), Some(0.0), None]);
        let b: Column = Arc::from([Some(0.0), Some(0.0), Some(1.0)]);
        let mean = mean_columns(&[&a, &b]);
        assert_eq!(mean.as_ref(), [Some(0.5), Some(0.0), None]);
        assert!(mean_columns(&[]).is_empty());
        let scores = Scores {
            cells: vec![a, b],
            clusters: Arc::from([0, 0, 1]),
            num_images: 2,
        };
        assert_eq!(*scores.mean_of(&[]), [None; 3]);
        assert_eq!(*scores.mean_of(&[1]), [Some(0.0), Some(0.0), Some(1.0)]);
        let (values, images) = present(&mean, &[7, 8, 9], [0, 1, 2]);
        assert_eq!((values, images), (vec![0.5, 0.0], vec![7, 8]));
    }
}
